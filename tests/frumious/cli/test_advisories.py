"""Advisories on one machine: plan, mirror, status and explain."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server


@pytest.fixture
def folder(upstream: Server, index: Index, tmp_path: Path) -> Path:
    """Return a folder with a mirror.conf, whose feed is a file next to it."""
    (tmp_path / "mirror.conf").write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        f"allow-non-https = true\n\n[advisories]\nfeed = {tmp_path}/all.zip\nevery = 1m\n"
        "medium = report\n"
    )
    for name in ("demo", "evil", "other"):
        index.upload(wheel(name, "1.0"))
        index.upload(wheel(name, "2.0"))
    index.osv.add("MAL-2020-1", "gone")
    return tmp_path


def write_feed(folder: Path, index: Index) -> None:
    """Bring a new file, and let the last look at the feed be an hour ago."""
    (folder / "all.zip").write_bytes(index.osv.archive)
    cursor = folder / "mirror/state/cursor.json"
    if cursor.exists():
        payload = json.loads(cursor.read_text())
        payload["advisories"]["asked"] = 0.0
        cursor.write_text(json.dumps(payload))


def test_what_advisories_block_is_planned_removed_and_explained(folder: Path, index: Index) -> None:
    conf = str(folder / "mirror.conf")
    write_feed(folder, index)
    assert frumious("-c", conf, "mirror").returncode == 0
    index.osv.add("MAL-2026-1", "evil")
    index.osv.add("MAL-2026-2", "demo", "2.0")
    index.osv.add("GHSA-x", "demo", "1.0", database_specific={"severity": "MODERATE"})
    write_feed(folder, index)

    planned = frumious("-c", conf, "plan")
    assert "evil: remove, 1 file removed" in planned.stdout.replace("2 files", "1 file")
    assert "(an advisory blocks it)" in planned.stdout
    assert "demo: update, 1 file removed (advisories block other files" in planned.stdout

    done = frumious("-c", conf, "mirror")
    assert done.returncode == 0, done.stderr
    assert "Nothing to do" in frumious("-c", conf, "plan").stdout
    assert not (folder / "mirror/web/simple/evil").exists()
    assert not [*(folder / "mirror/web/packages").rglob("evil-*")]

    explained = frumious("-c", conf, "explain", "evil")
    assert (explained.returncode, explained.stdout) == (
        1,
        "evil: kept out by advisory MAL-2026-1\n",
    )
    explained = frumious("-c", conf, "explain", "demo")
    assert "demo-2.0-py3-none-any.whl: kept out by advisory MAL-2026-2" in explained.stdout
    assert "demo-1.0-py3-none-any.whl: selected, though affected by GHSA-x" in explained.stdout

    status = frumious("-c", conf, "status")
    assert "3 of malware and 0 others block 3 projects" in status.stdout
    public = json.loads((folder / "mirror/web/status.json").read_text())["advisories"]
    assert (public["malware"], public["reporting"], public["problem"]) == (3, 1, None)


def test_a_missing_feed_is_an_error_that_changes_nothing(folder: Path, index: Index) -> None:
    conf = str(folder / "mirror.conf")
    index.osv.add("MAL-2026-1", "evil")
    write_feed(folder, index)
    assert frumious("-c", conf, "mirror").returncode == 0
    (folder / "all.zip").unlink()
    cursor = folder / "mirror/state/cursor.json"
    payload = json.loads(cursor.read_text())
    payload["advisories"]["asked"] = 0.0
    cursor.write_text(json.dumps(payload))

    done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert "the feed of advisories cannot be read" in done.stderr
    assert not (folder / "mirror/web/simple/evil").exists()
    status = frumious("-c", conf, "status")
    assert status.returncode == 1
    assert "cannot be read; the last good one counts" in status.stdout
