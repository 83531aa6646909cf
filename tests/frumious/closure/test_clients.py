"""Installers find on a closed mirror in a folder all that a listed project needs."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.installers import PIP, UV, install
from tests.test_lock_files import serving
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.parametrize("closure", ["true", "latest"])
def test_installers_need_no_other_index(tmp_path: Path, closure: str) -> None:
    index = Index()
    for version in ("1.0", "2.0", "3.0"):
        index.upload(wheel("lib", version, requires=["leaf"]))
        index.upload(wheel("leaf", version))
    index.upload(wheel("root", "1.0", requires=["lib<3", "tool[fast]"]))
    index.upload(wheel("tool", "1.0", requires=["quick; extra == 'fast'"]))
    index.upload(wheel("quick", "1.0"))
    conf = tmp_path / "mirror.conf"
    with Server(index) as upstream:
        conf.write_text(
            f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
            "allow-non-https = true\n[plugins]\nenabled = allowlist_project\n"
            f"[allowlist]\npackages = root\n[closure]\nclosure = {closure}\n"
        )
        mirrored = frumious("-c", str(conf), "mirror")
        assert mirrored.returncode == 0, mirrored.stderr
    with serving(conf) as mirror:
        done = {
            name: install(installer, mirror, tmp_path / name, "root")
            for name, installer in (("pip", PIP), ("uv", UV))
        }
    releases = ("root-1.0", "lib-2.0", "leaf-3.0", "tool-1.0", "quick-1.0")
    for name, result in done.items():
        assert result.returncode == 0, result.stderr
        installed = {path.name for path in (tmp_path / name).glob("*.dist-info")}
        assert installed == {f"{each}.dist-info" for each in releases}
