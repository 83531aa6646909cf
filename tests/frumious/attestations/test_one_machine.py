"""`frumious mirror` verifies attestations in its own process."""

from __future__ import annotations

import asyncio
import json
import sys
from typing import TYPE_CHECKING

import pytest

from frumious.attestations.verifier import CannotVerify
from frumious.config.loading import parse
from frumious.mirror import open_mirror
from tests.frumious.cli.test_cli import frumious
from tests.sigstore import Sigstore
from tests.upstream import sdist

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server


@pytest.fixture
def conf(upstream: Server, tmp_path: Path) -> Path:
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\ndelete-after = 0\n"
        f"[attestations]\ntrust-root = {tmp_path}/trusted_root.json\nrequire = *\n"
    )
    return path


def upload(index: Index, version: str, sigstore: Sigstore) -> None:
    dist = sdist("demo", version)
    provenance = json.loads(sigstore.provenance(dist.filename, dist.content))
    index.upload(dist, provenance=provenance)


def test_a_folder_gets_what_is_attested(index: Index, conf: Path, tmp_path: Path) -> None:
    sigstore = Sigstore()
    (tmp_path / "trusted_root.json").write_bytes(sigstore.trust_root)
    upload(index, "1.0", sigstore)
    upload(index, "2.0", Sigstore())

    done = frumious("-c", str(conf), "mirror")

    assert done.returncode == 1, "a project lags"
    assert "a file's attestations are not verified: 'demo-2.0.tar.gz'" in done.stdout + done.stderr
    page = json.loads((tmp_path / "mirror/web/simple/demo/index.v1_json").read_text())
    assert page["versions"] == ["1.0"]
    stored = (tmp_path / "mirror/web/packages").rglob("*.tar.gz")
    assert [path.name for path in stored] == ["demo-1.0.tar.gz"]


def test_a_missing_trust_root_is_an_error_at_the_start(conf: Path, tmp_path: Path) -> None:
    done = frumious("-c", str(conf), "mirror")
    assert done.returncode == 1
    assert "trusted_root.json' cannot be read: No such file or directory" in done.stderr

    (tmp_path / "trusted_root.json").write_text('{"tlogs": []}')
    done = frumious("-c", str(conf), "mirror")
    assert "is no trust root of Sigstore" in done.stderr


def test_a_missing_extra_is_an_error_at_the_start(
    conf: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "pypi_attestations", None)
    config = parse(conf.read_text(), {})

    async def start() -> None:
        async with open_mirror(config):
            pass

    with pytest.raises(CannotVerify, match=r"pip install 'frumious\[attestations\]'"):
        asyncio.run(start())
