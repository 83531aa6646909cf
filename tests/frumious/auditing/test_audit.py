"""What an audit finds, on every storage."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from frumious.model.audits import Phase
from tests.frumious.auditing.mirrors import AuditedMirror
from tests.upstream import Server, wheel

if TYPE_CHECKING:
    from collections.abc import Callable


WHEEL = "demo-1.0-py3-none-any.whl"


def test_a_whole_mirror_is_clean(audited: AuditedMirror) -> None:
    assert audited.found(deep=True) == set()

    progress = audited.audit(restart=True)

    assert (progress.projects, progress.damaged, progress.phase) == (3, 0, Phase.DONE)
    assert audited.keys("state/audit/") == []


def test_missing_and_truncated_files_are_found(audited: AuditedMirror) -> None:
    missing, short = audited.file(WHEEL), audited.file("demo0-1.0.tar.gz")
    metadata = audited.file("demo-more-1.0-py3-none-any.whl.metadata".replace("-more", "_more"))
    audited.delete(missing, metadata)
    audited.write(short, audited.read(short)[:-1])

    assert audited.found() == {
        ("missing-file", missing),
        ("missing-metadata", metadata),
        ("wrong-size", short),
    }


def test_flipped_bits_are_found_by_reading_all_files(audited: AuditedMirror) -> None:
    key = audited.file(WHEEL)
    body = bytearray(audited.read(key))
    body[100] ^= 4
    audited.write(key, bytes(body))
    audited.write(f"{key}.metadata", b"x" * len(audited.read(f"{key}.metadata")))

    assert audited.found() == set()
    assert audited.found(deep=True) == {
        ("wrong-hash", key),
        ("wrong-metadata", f"{key}.metadata"),
    }


def test_pages_that_differ_from_the_json_page_are_found(audited: AuditedMirror) -> None:
    audited.write("web/simple/demo/index.html", b"<p>")
    html = audited.read("web/simple/demo-more/index.v1_html")
    audited.write("web/simple/demo-more/index.v1_html", html.replace(b"2.0", b"3.0"))
    audited.delete("web/simple/demo0/index.html")

    assert audited.found() == {
        ("wrong-page", "web/simple/demo/index.html"),
        ("wrong-page", "web/simple/demo-more/index.v1_html"),
        ("missing-page", "web/simple/demo0/index.html"),
    }


def test_json_pages_that_are_missing_or_damaged_are_found(audited: AuditedMirror) -> None:
    audited.delete("web/simple/demo/index.v1_json")
    audited.write("web/simple/demo-more/index.v1_json", b"{")
    page = json.loads(audited.read("web/simple/demo0/index.v1_json"))
    page["files"] = page["files"][1:]
    audited.write("web/simple/demo0/index.v1_json", json.dumps(page).encode())

    found = audited.found()

    assert {
        ("missing-page", "web/simple/demo/index.v1_json"),
        ("unreadable-page", "web/simple/demo-more/index.v1_json"),
        ("wrong-page", "web/simple/demo0/index.v1_json"),
        ("wrong-page", "web/simple/demo0/index.html"),
    } <= found


def test_a_project_without_any_page_is_found_by_the_root_index(audited: AuditedMirror) -> None:
    audited.delete(*audited.keys("web/simple/demo0/"))
    audited.delete(*audited.keys("web/gzip/simple/demo0/"))

    found = audited.found()

    assert ("missing-page", "web/simple/demo0/index.v1_json") in found


def test_a_root_index_with_other_projects_or_serials_is_found(audited: AuditedMirror) -> None:
    root = json.loads(audited.read("web/simple/index.v1_json"))
    entries = {entry["name"]: entry for entry in root["projects"]}
    entries["demo0"]["_last-serial"] += 1
    root["projects"] = [entries["demo"], entries["demo0"], {"name": "other"}]
    audited.write("web/simple/index.v1_json", json.dumps(root).encode())

    found = {(each.kind.value, each.project) for each in audited.findings()}

    assert {
        ("unlisted-project", "demo-more"),
        ("wrong-root-entry", "demo0"),
        ("missing-page", "other"),
        ("wrong-root-index", ""),  # the HTML page
    } <= found


@pytest.mark.parametrize("form", ["index.html", "index.v1_html"])
def test_root_pages_that_differ_are_found(audited: AuditedMirror, form: str) -> None:
    audited.write(f"web/simple/{form}", b"")

    assert audited.found() == {("wrong-root-index", f"web/simple/{form}")}


def test_files_that_no_page_names_are_orphans_once_they_are_old(audited: AuditedMirror) -> None:
    key = audited.file(WHEEL)
    orphan = key.replace(WHEEL, "demo-9.9-py3-none-any.whl")
    audited.write(orphan, b"")
    audited.write("todo", b"123")
    audited.write("web/robots.txt", b"")
    audited.clock.advance(-2 * 24 * 3600.0)
    young = audited.found()
    audited.clock.advance(2 * 24 * 3600.0)

    assert young == {("leftover", "todo")}
    assert audited.found() == {
        ("orphan", orphan),
        ("leftover", "todo"),
        ("leftover", "web/robots.txt"),
    }
    assert audited.audit(restart=True).damaged == 0


def test_provenance_of_a_project_without_pages_is_an_orphan(audited: AuditedMirror) -> None:
    key = "web/integrity/gone/1.0/gone-1.0-py3-none-any.whl/provenance"
    audited.write(key, b"{}")
    audited.sync()  # two days pass

    assert audited.found() == {("orphan", key)}


def test_files_that_wait_for_their_deletion_are_no_orphans(
    upstream: Server, storage: Callable[[], str]
) -> None:
    upstream.index.upload(wheel("demo", "1.0"))
    upstream.index.upload(wheel("demo", "2.0"))
    with AuditedMirror(upstream, storage(), "delete-after = 30") as mirror:
        mirror.sync()
        upstream.index.remove_release("demo", "1.0")
        mirror.sync()

        assert [key for key in mirror.keys("web/packages/") if "demo-1.0" in key]
        assert mirror.found() == set()


def test_an_audit_that_was_stopped_goes_on_where_it_was(audited: AuditedMirror) -> None:
    missing = audited.file(WHEEL)
    audited.delete(missing)
    steps = 0
    progress = audited.audit(restart=True, deadline=0)
    while progress.phase is not Phase.DONE:
        progress = audited.audit(deadline=0)
        steps += 1

    assert steps > 2
    assert (progress.projects, progress.counts) == (3, {"missing-file": 1})


@pytest.mark.parametrize("part", ["pages", "000"])
@pytest.mark.parametrize("body", [None, b"", b"[]", b'[{"project": 7}]', b"\xff" * 28, b"\xff"])
def test_an_audit_whose_progress_is_damaged_begins_anew(
    audited: AuditedMirror, part: str, body: bytes | None
) -> None:
    missing = audited.file(WHEEL)
    audited.delete(missing)
    progress = audited.audit(restart=True, deadline=0)
    while progress.phase is not Phase.FILES:
        progress = audited.audit(deadline=0)
    (key, *_) = (key for key in audited.keys("state/audit/named/") if key.endswith(f"-{part}"))
    if body is None:
        audited.delete(key)
    else:
        audited.write(key, body)

    for _ in range(10):
        progress = audited.audit()

    assert progress.phase is Phase.DONE
    assert (progress.projects, progress.counts) == (3, {"missing-file": 1})


@pytest.mark.parametrize("field", ["batches", "shards", "shard", "reported", "after"])
@pytest.mark.parametrize("value", [-1, 7, 2**62, "zzz"])
def test_an_audit_with_foreign_progress_ends_all_the_same(
    audited: AuditedMirror, field: str, value: int | str
) -> None:
    audited.audit(restart=True, deadline=0)
    progress = json.loads(audited.read("state/audit.json"))
    audited.write("state/audit.json", json.dumps({**progress, field: value}).encode())

    assert audited.audit().phase is Phase.DONE


def test_a_mirror_without_content_is_clean(upstream: Server, storage: Callable[[], str]) -> None:
    with AuditedMirror(upstream, storage()) as mirror:
        assert mirror.found() == set()


def test_damaged_state_is_found(audited: AuditedMirror) -> None:
    audited.write("state/cursor.json", b"{")
    audited.write("state/lagging.json", b"[]")

    assert audited.found() == {
        ("damaged-state", "state/cursor.json"),
        ("damaged-state", "state/lagging.json"),
    }


def test_an_index_is_checked_without_files(upstream: Server, storage: Callable[[], str]) -> None:
    upstream.index.upload(wheel("demo", "1.0"))
    with AuditedMirror(upstream, storage(), "release-files = false") as mirror:
        mirror.sync()

        assert mirror.found(deep=True) == set()


@pytest.mark.parametrize(
    "options",
    [
        "hash-index = true",
        "simple-format = HTML",
        "simple-format = JSON",
        "compress-pages = no",
        "root_uri = https://files.example.com",
        "keep_index_versions = 2",
        "json = true",
    ],
)
def test_every_layout_is_checked(
    upstream: Server, storage: Callable[[], str], options: str
) -> None:
    for name in ("a", "a-b", "ab", "b"):
        upstream.index.upload(wheel(name, "1.0"), provenance={"version": 1})
    with AuditedMirror(upstream, storage(), options) as mirror:
        mirror.sync()

        assert mirror.found(deep=True) == set()
        mirror.delete(*mirror.keys("web/integrity/a-b/"))
        assert {kind for kind, _ in mirror.found()} == {"missing-provenance"}
