"""What the command says of folders that it cannot use."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from frumious.storage.filesystem.os_errors import access_advice
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_CAPABILITIES = "-dac_override,-dac_read_search"
_PRIVILEGED = os.geteuid() == 0


@pytest.fixture
def upstream() -> Iterator[Server]:
    index = Index()
    index.upload(wheel("six", "1.0"))
    with Server(index) as server:
        yield server


def configure(upstream: Server, directory: Path, folder: Path, options: str = "") -> str:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {directory}\nmaster = {upstream.url}\nallow-non-https = true\n"
        f"{options}"
    )
    return str(path)


needs_setpriv = pytest.mark.skipif(
    _PRIVILEGED and shutil.which("setpriv") is None, reason="needs setpriv"
)


def unprivileged(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command as a user whom permissions stop, also if the tests run as root."""
    prefix = ["setpriv", "--bounding-set", _CAPABILITIES, "--inh-caps", _CAPABILITIES]
    return subprocess.run(
        [*(prefix if _PRIVILEGED else ()), sys.executable, "-m", "frumious.cli", *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@needs_setpriv
@pytest.mark.parametrize(
    ("place", "problem"),
    [("closed/mirror", "Permission denied"), ("a" * 300, "File name too long")],
)
def test_a_folder_that_cannot_be_looked_at_is_named(
    upstream: Server, tmp_path: Path, place: str, problem: str
) -> None:
    (tmp_path / "closed").mkdir(0o000)
    lock = tmp_path / place / "sub" / ".lock"
    conf = configure(upstream, lock.parent, tmp_path)

    done = unprivileged("-c", conf, "mirror")

    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert f"'{lock}': {problem}" in done.stderr


@needs_setpriv
def test_an_unwritable_folder_is_named_with_what_to_do(upstream: Server, tmp_path: Path) -> None:
    mirror = tmp_path / "mirror"
    conf = configure(upstream, mirror, tmp_path)
    assert frumious("-c", conf, "-q", "mirror").returncode == 0
    advice = f"user {os.geteuid()} owns {str(mirror)!r}, and needs the permissions rwx: see chmod"
    (mirror / ".lock").unlink()
    mirror.chmod(0o500)

    for verb in (("mirror",), ("sync", "six"), ("verify", "--repair"), ("delete", "six")):
        done = unprivileged("-c", conf, *verb)
        assert advice in done.stderr, verb
        assert done.returncode == 1

    (mirror / "web").chmod(0o000)
    done = unprivileged("-c", conf, "serve", "--port", "0")
    (mirror / "web").chmod(0o755)
    mirror.chmod(0o700)
    assert done.returncode == 1
    assert f"user {os.geteuid()} owns {str(mirror / 'web')!r}, and needs" in done.stderr


def test_access_is_explained_by_owner_and_nearest_folder(tmp_path: Path) -> None:
    advice = access_advice(str(tmp_path / "not/here/yet"))

    assert (
        advice
        == f"user {os.geteuid()} owns {str(tmp_path)!r}, and needs the permissions rwx: see chmod"
    )
    foreign, owner = (tmp_path, 65534) if _PRIVILEGED else ("/", 0)
    if _PRIVILEGED:
        os.chown(foreign, owner, -1)
    text = f"{str(foreign)!r} belongs to user {owner}, and this is user {os.geteuid()}"
    assert text in access_advice(str(foreign))


@pytest.mark.parametrize("verb", ["plan", "mirror", "verify", "status", "serve"])
def test_a_directory_that_is_a_file_is_refused(upstream: Server, tmp_path: Path, verb: str) -> None:
    file = tmp_path / "file"
    file.touch()

    for directory in (file, file / "mirror"):
        done = frumious("-c", configure(upstream, directory, tmp_path), verb)
        assert f"[mirror] directory = {str(directory)!r}: {str(file)!r} is a file" in done.stderr
        assert done.returncode == 2


def test_a_logging_configuration_that_is_missing_or_incomplete_is_named(
    upstream: Server, tmp_path: Path
) -> None:
    missing, empty = tmp_path / "missing.ini", tmp_path / "empty.ini"
    empty.touch()
    conf = configure(upstream, tmp_path / "mirror", tmp_path, f"log-config = {missing}\n")
    done = frumious("-c", conf, "plan")
    assert f"log-config = {str(missing)!r}: there is no such file" in done.stderr
    assert done.returncode == 2

    conf = configure(upstream, tmp_path / "mirror", tmp_path, f"log-config = {empty}\n")
    done = frumious("-c", conf, "plan")
    assert f"log-config = {str(empty)!r}" in done.stderr
    assert done.returncode == 2


def test_an_existing_configuration_stays(tmp_path: Path) -> None:
    conf = tmp_path / "mirror.conf"
    conf.write_text("mine")

    done = frumious("-c", str(conf), "init")

    assert f"{str(conf)!r} exists, and stays as it is" in done.stderr
    assert (done.returncode, conf.read_text()) == (1, "mine")


def test_a_run_that_waits_does_not_claim_to_have_all_changes(
    upstream: Server, tmp_path: Path
) -> None:
    conf = configure(upstream, tmp_path / "mirror", tmp_path)
    assert frumious("-c", conf, "-q", "mirror").returncode == 0
    with Server(Index()) as other:
        configure(other, tmp_path / "mirror", tmp_path)

        done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert done.stdout == "Nothing to do.\n"
    assert "master is another index" in done.stderr
