"""pip, uv, Poetry and PDM install from a private mirror with a valid token, and only then."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from frumious.access.tokens import issue
from localcloud import LocalCloud
from localcloud.environment import CHECKOUT
from tests.upstream import wheel

from .conftest import ignore_line

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

pytestmark = pytest.mark.timeout(300)

CLIENTS = CHECKOUT / ".venv-clients/bin"  # Poetry and PDM
WHEEL = wheel("guarded", "1.0")
PATH = f"packages/aa/bb/cc/{WHEEL.filename}"
PAGE = {
    "meta": {"api-version": "1.1"},
    "name": "guarded",
    "versions": ["1.0"],
    "files": [
        {
            "filename": WHEEL.filename,
            "url": f"../../{PATH}",
            "hashes": {"sha256": hashlib.sha256(WHEEL.content).hexdigest()},
            "size": len(WHEEL.content),
            "yanked": False,
        }
    ],
}


@dataclass(frozen=True)
class PrivateMirror:
    """A private mirror with one project, and tokens of each kind by name."""

    netloc: str
    secrets: Mapping[str, str]

    def url(self, secret: str | None = None, username: str = "__token__") -> str:
        credentials = "" if secret is None else f"{username}:{secret}@"
        return f"http://{credentials}{self.netloc}/simple/"


@pytest.fixture(scope="module")
def mirror(stub_template: Path) -> Iterator[PrivateMirror]:
    parameters = {"AccessTokens": "true"}
    with LocalCloud(stub_template, parameters=parameters, on_line=ignore_line) as cloud:
        for key, body, kind in (
            (f"web/{PATH}", WHEEL.content, "application/octet-stream"),
            (
                "web/simple/guarded/index.v1_json",
                json.dumps(PAGE).encode(),
                "application/vnd.pypi.simple.v1+json",
            ),
        ):
            cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=body, ContentType=kind)
        secrets = {}
        for name, issued, days in (
            ("valid", time.time(), 1),
            ("expired", time.time() - 2 * 86400, 1),
            ("revoked", time.time(), 1),
        ):
            secrets[name], token = issue(name, issued, days=days)
            cloud.key_value_store.values[name] = token.to_json()
        del cloud.key_value_store.values["revoked"]
        secrets["wrong"] = secrets["valid"].replace("_valid_", "_expired_")
        yield PrivateMirror(urlsplit(cloud.url).netloc, secrets)


class Client:
    """An installer in a folder of its own, which is also its home."""

    def __init__(self, name: str, folder: Path, url: str) -> None:
        self.name = name
        self._folder = folder
        self._url = url
        if name in {"poetry", "pdm"}:
            (folder / "pyproject.toml").write_text(PROJECTS[name].format(url=url))

    def install(self, **environment: str) -> tuple[bool, str]:
        """Install the project; return whether it is installed, and what the client printed."""
        inherited = {
            name: value
            for name, value in os.environ.items()
            if not name.upper().startswith(("PIP_", "PYTHON", "UV_", "POETRY_", "PDM_", "XDG_"))
            and not name.upper().endswith("_PROXY")
            and name != "VIRTUAL_ENV"
        }
        isolated = {
            "HOME": str(self._folder),
            "PIP_CONFIG_FILE": os.devnull,
            "PYTHON_KEYRING_BACKEND": "keyring.backends.null.Keyring",
            "POETRY_VIRTUALENVS_IN_PROJECT": "true",
            "PDM_CHECK_UPDATE": "false",
            "PDM_NON_INTERACTIVE": "1",
            "PDM_IGNORE_SAVED_PYTHON": "1",
        }
        done = subprocess.run(
            self._command(),
            cwd=self._folder,
            env={**inherited, **isolated, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
            timeout=240,
        )
        return bool([*self._folder.rglob("guarded-1.0.dist-info")]), done.stdout

    def _command(self) -> list[str]:
        python = sys.executable
        target = ["--target", "installed", "--no-deps"]
        options = ["--disable-pip-version-check", "--no-cache-dir", "--no-input"]
        match self.name:
            case "pip":
                index = ["--index-url", self._url]
                return [python, "-m", "pip", "install", *options, *target, *index, "guarded"]
            case "uv":
                uv = str(Path(python).with_name("uv"))
                index = ["--default-index", self._url]
                return [uv, "pip", "install", "--no-cache", *target, *index, "guarded"]
            case "poetry":
                return [str(CLIENTS / "poetry"), "add", "--no-interaction", "guarded"]
            case _:
                return [str(CLIENTS / "pdm"), "add", "--no-self", "guarded"]


PROJECTS = {
    "poetry": """
[project]
name = "consumer"
version = "0"
requires-python = ">=3.11"

[tool.poetry]
package-mode = false

[[tool.poetry.source]]
name = "mirror"
url = "{url}"
priority = "primary"
""",
    "pdm": """
[project]
name = "consumer"
version = "0"
requires-python = ">=3.11"

[[tool.pdm.source]]
name = "pypi"
url = "{url}"
""",
}

ALL_CLIENTS = pytest.mark.parametrize(
    "client",
    [
        "pip",
        "uv",
        pytest.param("poetry", marks=pytest.mark.servers),
        pytest.param("pdm", marks=pytest.mark.servers),
    ],
)


@ALL_CLIENTS
def test_a_token_in_the_url_is_enough(mirror: PrivateMirror, client: str, tmp_path: Path) -> None:
    installed, output = Client(client, tmp_path, mirror.url(mirror.secrets["valid"])).install()
    assert installed, output


@ALL_CLIENTS
def test_a_token_in_netrc_is_enough(mirror: PrivateMirror, client: str, tmp_path: Path) -> None:
    host = mirror.netloc.partition(":")[0]
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"machine {host} login __token__ password {mirror.secrets['valid']}\n")
    netrc.chmod(0o600)
    installed, output = Client(client, tmp_path, mirror.url()).install(NETRC=str(netrc))
    assert installed, output


@ALL_CLIENTS
@pytest.mark.parametrize("kind", [None, "wrong", "revoked", "expired"])
def test_without_a_valid_token_nothing_is_installed(
    mirror: PrivateMirror, client: str, kind: str | None, tmp_path: Path
) -> None:
    url = mirror.url(None if kind is None else mirror.secrets[kind])
    installed, output = Client(client, tmp_path, url).install()
    assert not installed, output
    if client != "poetry":  # which prints the URL with the token in it
        assert "frumious_" not in output


@pytest.mark.parametrize(
    ("client", "variables"),
    [
        ("uv", {"UV_INDEX_MIRROR_USERNAME": "__token__", "UV_INDEX_MIRROR_PASSWORD": "{}"}),
        pytest.param(
            "poetry",
            {
                "POETRY_HTTP_BASIC_MIRROR_USERNAME": "__token__",
                "POETRY_HTTP_BASIC_MIRROR_PASSWORD": "{}",
            },
            marks=pytest.mark.servers,
        ),
        pytest.param(
            "pdm",
            {"PDM_PYPI_USERNAME": "__token__", "PDM_PYPI_PASSWORD": "{}"},
            marks=pytest.mark.servers,
        ),
    ],
)
def test_a_token_in_the_environment_is_enough(
    mirror: PrivateMirror, client: str, variables: Mapping[str, str], tmp_path: Path
) -> None:
    url = mirror.url() if client != "uv" else f"mirror={mirror.url()}"
    values = {name: value.format(mirror.secrets["valid"]) for name, value in variables.items()}
    installed, output = Client(client, tmp_path, url).install(**values)
    assert installed, output
