"""The legacy JSON of releases, mirrored and served, for the client that reads it: PDM."""

from __future__ import annotations

import shutil
import tomllib
from typing import TYPE_CHECKING

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.serving.command import serve
from tests.serving.nginx import Nginx
from tests.test_lock_files import CLIENTS, Tool
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.servers, pytest.mark.timeout(400)]

PROJECT = """
[project]
name = "consumer"
version = "0"
requires-python = ">=3.11"
dependencies = ["Zope.Needy<2"]
[tool.pdm]
distribution = false
[[tool.pdm.source]]
name = "pypi"
url = "{url}/simple/"
"""


def locked(folder: Path) -> dict[str, str]:
    """Return the versions that PDM has locked, by project."""
    lock = tomllib.loads((folder / "pdm.lock").read_text())
    return {each["name"]: each["version"] for each in lock["package"]}


@pytest.mark.parametrize("server", [Nginx, serve], ids=["nginx", "command"])
def test_pdm_locks_by_the_json_of_releases_without_any_file(
    server: type[Nginx], tmp_path: Path
) -> None:
    index = Index()
    for version in ("1.0", "1.5", "2.0"):
        index.upload(wheel("Zope.Needy", version, requires=[f"other_one=={version}"]))
        index.upload(wheel("other-one", version))
    mirror, conf, tool = tmp_path / "mirror", tmp_path / "mirror.conf", Tool(tmp_path)
    with Server(index) as upstream:
        conf.write_text(
            f"[mirror]\ndirectory = {mirror}\nmaster = {upstream.url}\nallow-non-https = true\n"
            "json = true\nrelease-json = true\n"
        )
        done = frumious("-c", str(conf), "mirror")
        assert done.returncode == 0, done.stderr
    shutil.rmtree(mirror / "web/packages")  # whatever is locked now comes from JSON alone
    (tmp_path / "server").mkdir()
    with server(mirror, tmp_path / "server", hash_index=False) as served:
        (tool.folder / "pyproject.toml").write_text(PROJECT.format(url=served.url))
        with pytest.raises(AssertionError):
            tool.run(CLIENTS / "pdm", "lock", PDM_PYPI_JSON_API="0")
        tool.run(CLIENTS / "pdm", "lock", PDM_PYPI_JSON_API="1")
    assert locked(tool.folder) == {"zope-needy": "1.5", "other-one": "1.5"}
