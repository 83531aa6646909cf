"""What a tool locked is mirrored, exactly that, and installed by the tool from the mirror alone."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from frumious.config.settings import PYPI
from localcloud.environment import CHECKOUT
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.upstream import Index, Server, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.timeout(400)

UV: Final = str(Path(sys.executable).with_name("uv"))
PIP: Final = (sys.executable, "-m", "pip")
CLIENTS: Final = CHECKOUT / ".venv-clients/bin"  # Poetry, PDM and Pipenv
PROJECT: Final = """
[project]
name = "consumer"
version = "0"
requires-python = ">=3.11"
dependencies = ["demo==2.0"]
"""
POETRY: Final = """
[tool.poetry]
package-mode = false
[[tool.poetry.source]]
name = "mirrored"
url = "{index}"
priority = "primary"
"""
PIPFILE: Final = f"""
[[source]]
url = "{PYPI}/simple"
verify_ssl = true
name = "pypi"
[packages]
demo = "==2.0"
"""
WHEELS: Final = {"demo-2.0-py3-none-any.whl", "other_one-1.5-py3-none-any.whl"}
ALL: Final = {*WHEELS, "demo-2.0.tar.gz", "other_one-1.5.tar.gz"}


class Tool:
    """A tool in a folder of its own, which is also its home."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "pyproject.toml").write_text(PROJECT)

    def run(self, *command: str | Path, **environment: str) -> None:
        """Run the tool; this machine's own settings do not count."""
        foreign = ("PIP_", "UV_", "POETRY_", "PDM_", "PIPENV_", "PYTHON", "XDG_", "VIRTUAL_ENV")
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(foreign) and not name.upper().endswith("_PROXY")
        }
        isolated = {
            "HOME": str(self.folder),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "POETRY_VIRTUALENVS_IN_PROJECT": "true",
            "PDM_CHECK_UPDATE": "false",
            "PDM_NON_INTERACTIVE": "1",
            "PDM_PYPI_VERIFY_SSL": "0",
            "PIPENV_VENV_IN_PROJECT": "1",
            "UV_NO_CACHE": "1",
        }
        done = subprocess.run(
            command,
            cwd=self.folder,
            env={**inherited, **isolated, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout

    def replace(self, old: str, new: str, *names: str) -> None:
        """Replace an address in files, as docs/selection.md says."""
        for name in names:
            path = self.folder / name
            path.write_text(path.read_text().replace(old, new))

    def forget(self) -> None:
        """Remove what was installed, and caches."""
        for path in (".venv", ".cache", "installed"):
            shutil.rmtree(self.folder / path, ignore_errors=True)


Lock = tuple[str, set[str]]  # the file, and the names of the files that it pins


def by_uv(tool: Tool, upstream: str) -> Lock:
    tool.run(UV, "lock", UV_DEFAULT_INDEX=f"{upstream}/simple/")
    return "uv.lock", ALL


def sync_by_uv(tool: Tool, upstream: str, mirror: str) -> None:
    tool.replace(upstream, mirror, "uv.lock")
    tool.run(UV, "sync", "--locked", UV_DEFAULT_INDEX=f"{mirror}/simple/")


def pylock_by_uv(tool: Tool, upstream: str) -> Lock:
    command = (UV, "export", "--format", "pylock.toml", "--output-file", "pylock.toml")
    tool.run(*command, UV_DEFAULT_INDEX=f"{upstream}/simple/")
    return "pylock.toml", ALL


def sync_pylock_by_uv(tool: Tool, upstream: str, mirror: str) -> None:
    tool.replace(upstream, mirror, "pylock.toml")
    tool.run(UV, "venv")
    tool.run(UV, "pip", "sync", "pylock.toml", VIRTUAL_ENV=str(tool.folder / ".venv"))


def requirements_by_uv(tool: Tool, upstream: str) -> Lock:
    command = (UV, "export", "--no-emit-project", "--output-file", "requirements.txt")
    tool.run(*command, UV_DEFAULT_INDEX=f"{upstream}/simple/")
    return "requirements.txt", ALL


def install_requirements_by_pip(tool: Tool, _upstream: str, mirror: str) -> None:
    target = ("--target", "installed", "--no-cache-dir", "--require-hashes")
    index = ("--index-url", f"{mirror}/simple/")
    tool.run(*PIP, "install", *target, *index, "-r", "requirements.txt")


def pylock_by_pip(tool: Tool, upstream: str) -> Lock:
    options = ("--index-url", f"{upstream}/simple/", "--output", "pylock.toml")
    tool.run(*PIP, "lock", *options, "demo==2.0")
    return "pylock.toml", WHEELS


def install_pylock_by_pip(tool: Tool, upstream: str, mirror: str) -> None:
    tool.replace(upstream, mirror, "pylock.toml")
    tool.run(*PIP, "install", "--target", "installed", "--no-cache-dir", "-r", "pylock.toml")


def by_poetry(tool: Tool, upstream: str) -> Lock:
    project = PROJECT + POETRY.format(index=f"{upstream}/simple/")
    (tool.folder / "pyproject.toml").write_text(project)
    tool.run(CLIENTS / "poetry", "lock", "--no-interaction")
    return "poetry.lock", ALL


def install_by_poetry(tool: Tool, upstream: str, mirror: str) -> None:
    tool.replace(upstream, mirror, "pyproject.toml", "poetry.lock")
    tool.run(CLIENTS / "poetry", "lock", "--no-interaction")  # keeps the locked versions
    tool.run(CLIENTS / "poetry", "install", "--no-interaction")


def by_pdm(tool: Tool, upstream: str) -> Lock:
    (tool.folder / "pyproject.toml").write_text(f"{PROJECT}[tool.pdm]\ndistribution = false\n")
    tool.run(CLIENTS / "pdm", "lock", PDM_PYPI_URL=f"{upstream}/simple/")
    return "pdm.lock", ALL


def sync_by_pdm(tool: Tool, _upstream: str, mirror: str) -> None:
    tool.run(CLIENTS / "pdm", "sync", PDM_PYPI_URL=f"{mirror}/simple/")


def by_pipenv(tool: Tool, upstream: str) -> Lock:
    (tool.folder / "Pipfile").write_text(PIPFILE)
    tool.run(CLIENTS / "pipenv", "lock", "--pypi-mirror", f"{upstream}/simple/")
    return "Pipfile.lock", ALL


def sync_by_pipenv(tool: Tool, _upstream: str, mirror: str) -> None:
    tool.run(CLIENTS / "pipenv", "sync", "--pypi-mirror", f"{mirror}/simple/")


@contextmanager
def serving(conf: Path) -> Iterator[str]:
    """Serve the mirror; yield its address."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with subprocess.Popen(
        [sys.executable, "-m", "frumious.cli", "-c", conf, "serve", "--port", "0"],
        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        signal.signal(signal.SIGINT, before)
        assert process.stdout is not None
        found = re.search(r"http://[^/\s]+", process.stdout.readline())
        assert found is not None
        yield found[0]
        process.kill()


@pytest.mark.parametrize(
    ("lock", "install"),
    [
        (by_uv, sync_by_uv),
        pytest.param(pylock_by_uv, sync_pylock_by_uv, marks=pytest.mark.servers),
        pytest.param(requirements_by_uv, install_requirements_by_pip, marks=pytest.mark.servers),
        pytest.param(pylock_by_pip, install_pylock_by_pip, marks=pytest.mark.servers),
        pytest.param(by_poetry, install_by_poetry, marks=pytest.mark.servers),
        pytest.param(by_pdm, sync_by_pdm, marks=pytest.mark.servers),
        pytest.param(by_pipenv, sync_by_pipenv, marks=pytest.mark.servers),
    ],
)
def test_what_is_locked_is_mirrored_exactly_and_installed_from_the_mirror_alone(
    lock: Callable[[Tool, str], Lock],
    install: Callable[[Tool, str, str], None],
    tmp_path: Path,
) -> None:
    index = Index()
    for version in ("1.0", "2.0", "3.0"):
        index.upload(wheel("demo", version, requires=["other-one<2"]))
        index.upload(sdist("demo", version, requires=["other-one<2"]))
    for version in ("1.0", "1.5", "2.0"):
        index.upload(wheel("other-one", version))
        index.upload(sdist("other-one", version))
    folder = tmp_path / "tool"
    folder.mkdir()
    tool = Tool(folder)
    with Server(index) as upstream:
        locked, files = lock(tool, upstream.url)
        index.upload(wheel("demo", "2.0", tag="py2-none-any"))  # after it was locked
        conf = tmp_path / "mirror.conf"
        conf.write_text(
            f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
            "allow-non-https = true\n[plugins]\nenabled = project_locks\n"
            f"[locks]\nfiles = {folder}/{locked}\nlock-exact = true\n"
        )
        mirrored = frumious("-c", str(conf), "mirror")
        assert mirrored.returncode == 0, mirrored.stderr
        address = upstream.url
    stored = {path.name for path in (tmp_path / "mirror/web/packages").rglob("*.*")}
    assert {name for name in stored if name.endswith((".whl", ".gz"))} == files

    tool.forget()
    with serving(conf) as mirror:
        install(tool, address, mirror)
    assert [*folder.rglob("demo-2.0.dist-info")]
    assert [*folder.rglob("other_one-1.5.dist-info")]
