"""Audits of mirrors with snapshots, on every storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from frumious.auditing.doctor import diagnose
from frumious.auditing.repair import delete_orphans
from frumious.model.types import Key
from frumious.state.snapshots import read_snapshots
from tests.snapshots import create
from tests.upstream import wheel

if TYPE_CHECKING:
    from tests.frumious.auditing.mirrors import AuditedMirror

GONE = "demo-1.0-py3-none-any.whl"
KEPT = "state/snapshots/monday/demo.json"
SHOWN = "web/snapshot/monday/simple/demo/index.v1_json"


@pytest.fixture
def kept(audited: AuditedMirror) -> AuditedMirror:
    """A mirror with a snapshot that alone names a release."""
    audited.run(create("monday", audited.mirror))
    audited.index.remove_release("demo", "1.0")
    audited.index.upload(wheel("young", "1.0"))
    audited.sync()
    return audited


def shown(audited: AuditedMirror) -> set[str]:
    return {file["filename"] for file in json.loads(audited.read(SHOWN))["files"]}


def test_what_a_snapshot_keeps_is_in_order(kept: AuditedMirror) -> None:
    assert GONE in shown(kept)
    assert kept.found() == set()
    assert kept.found(deep=True) == set()
    files = kept.keys("web/packages/")
    assert kept.run(delete_orphans(files, kept.mirror)) == []
    assert kept.keys("web/packages/") == files


def test_pages_that_readers_miss_are_written_again(kept: AuditedMirror) -> None:
    form = SHOWN.replace("v1_json", "html")
    before = {key: kept.read(key) for key in (SHOWN, form)}
    kept.delete(SHOWN)
    kept.write(form, b"<html></html>")

    assert kept.found() == {("damaged-snapshot", KEPT)}
    assert kept.repair() == {KEPT: "repaired"}

    assert {key: kept.read(key) for key in before} == before
    assert kept.found() == set()


@pytest.mark.parametrize("damage", ["lost", "other bytes"])
def test_a_file_that_is_not_whole_is_shown_no_longer(kept: AuditedMirror, damage: str) -> None:
    key = kept.file(GONE)
    if damage == "lost":
        kept.delete(key)
    else:
        kept.write(key, kept.read(key)[::-1])

    assert ("damaged-snapshot", KEPT) in kept.found(deep=True)
    assert kept.repair(deep=True)[KEPT] == "repaired"

    assert GONE not in shown(kept)
    assert shown(kept)
    assert not [each for each in kept.findings(deep=True) if each.kind.is_damage]


def test_a_damaged_kept_page_is_made_again_from_what_readers_get(kept: AuditedMirror) -> None:
    before = shown(kept)
    for damaged in (b"", b"{}", b'{"version": 1, "page": {"files": 7}}'):
        kept.write(KEPT, damaged)
        assert kept.run(delete_orphans([kept.file(GONE)], kept.mirror)) == []
        assert kept.repair() == {KEPT: "repaired"}
        assert kept.found() == set()
    assert shown(kept) == before


def test_files_of_damaged_kept_pages_stay(kept: AuditedMirror) -> None:
    """Jobs go on, and leave what readers of the snapshot get as it is."""
    before = shown(kept)
    kept.write(KEPT, b"{")
    kept.index.remove_release("demo", "2.0")
    kept.index.upload(wheel("demo", "3.0"))
    kept.sync()

    assert "demo-3.0-py3-none-any.whl" in kept.read("web/simple/demo/index.html").decode()
    assert shown(kept) == before
    assert kept.file(GONE)


def test_a_damaged_list_of_snapshots_is_made_again(kept: AuditedMirror) -> None:
    before = kept.run(read_snapshots(kept.mirror.storage)).snapshots["monday"]
    kept.write("state/snapshots.json", b"{")
    assert ("damaged-state", "state/snapshots.json") in kept.found()
    assert kept.run(delete_orphans([kept.file(GONE)], kept.mirror)) == []

    (finding,) = [
        each for each in kept.run(diagnose(kept.mirror)) if each.subject == "state/snapshots.json"
    ]
    assert callable(finding.repair)
    kept.run(finding.repair(kept.mirror))

    rebuilt = kept.run(read_snapshots(kept.mirror.storage)).snapshots
    assert rebuilt.keys() == {"monday"}
    assert rebuilt["monday"].created <= before.created
    assert 0 < rebuilt["monday"].serial < kept.index.serial
    assert kept.found() == set()


def test_what_belongs_to_no_snapshot_is_a_leftover(kept: AuditedMirror) -> None:
    left = Key("state/snapshots/friday/demo.json"), Key("web/snapshot/friday/simple/index.html")
    for key in left:
        kept.write(key, b"{}")

    assert kept.found() == {("leftover", key) for key in left}
