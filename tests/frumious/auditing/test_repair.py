"""Repairs: what upstream still has comes back, and the rest is on no page."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.auditing.audit import AuditSettings
from frumious.auditing.repair import delete_orphans
from frumious.cli.findings import verify_mirror
from frumious.model.types import Key
from frumious.selection.names import BlockedProjects
from frumious.selection.selection import Selection
from frumious.state.objects import LedgerCorrupt
from tests.frumious.auditing.conftest import with_json_variants
from tests.upstream import Fault, Stale, Status, wheel

if TYPE_CHECKING:
    from tests.frumious.auditing.mirrors import AuditedMirror
    from tests.upstream import Server

WHEEL = "demo-1.0-py3-none-any.whl"
OTHER = "demo-2.0-py3-none-any.whl"


def names(audited: AuditedMirror, project: str = "demo") -> set[str]:
    page = json.loads(audited.read(f"web/simple/{project}/index.v1_json"))
    return {file["filename"] for file in page["files"]}


def test_what_is_missing_or_wrong_is_fetched_again(audited: AuditedMirror) -> None:
    missing, wrong = audited.file(WHEEL), audited.file(OTHER)
    metadata = f"{wrong}.metadata"
    before = {key: audited.read(key) for key in (missing, wrong, metadata)}
    audited.delete(missing)
    audited.write(wrong, before[wrong][::-1])
    audited.write(metadata, b"x")

    outcomes = audited.repair(deep=True)

    assert outcomes == dict.fromkeys(before, "repaired")
    assert {key: audited.read(key) for key in before} == before
    assert audited.found(deep=True) == set()


def test_pages_are_published_again(audited: AuditedMirror) -> None:
    keys = audited.keys("web/simple/")
    before = {key: audited.read(key) for key in keys if "demo" in key}
    audited.write("web/simple/demo/index.v1_json", b"{")
    audited.delete("web/simple/demo0/index.v1_json", "web/simple/demo-more/index.html")
    audited.write("web/simple/demo-more/index.v1_html", b"<!--SERIAL 99999999999-->")

    assert set(audited.repair().values()) == {"repaired"}

    assert audited.found() == set()
    for key, page in before.items():
        if key.endswith("html"):
            assert audited.read(key) == page


def test_a_project_without_pages_is_published_again(audited: AuditedMirror) -> None:
    audited.delete(*audited.keys("web/simple/demo/"), *audited.keys("web/gzip/simple/demo/"))

    assert set(audited.repair().values()) == {"repaired"}

    assert names(audited) == {WHEEL, OTHER, "demo-1.0.tar.gz"}
    assert audited.found() == set()


def test_an_older_page_that_was_put_back_is_brought_up_to_date(
    audited: AuditedMirror, upstream: Server
) -> None:
    keys = [*audited.keys("web/simple/demo/"), *audited.keys("web/gzip/simple/demo/")]
    old = {key: audited.read(key) for key in keys}
    upstream.index.remove_release("demo", "1.0")
    audited.sync()
    for key, page in old.items():
        audited.write(key, page)

    audited.repair()

    assert names(audited) == {OTHER}
    assert audited.found() == set()


def test_a_repair_from_a_stale_cache_does_not_end_what_a_project_lags_behind(
    audited: AuditedMirror, upstream: Server
) -> None:
    stale = upstream.faults.add(Fault(Stale(upstream.index.serial), "/simple/demo/"))
    upstream.index.upload(wheel("demo", "3.0"))
    audited.sync()
    audited.delete("web/simple/demo/index.html")

    audited.repair()

    assert json.loads(audited.read("web/status.json"))["lagging"].keys() == {"demo"}
    upstream.faults.remove(stale)
    audited.sync()
    assert "demo-3.0-py3-none-any.whl" in names(audited)
    assert json.loads(audited.read("web/status.json"))["lagging"] == {}


@pytest.mark.parametrize("lost", ["page", "file"])
def test_a_repair_from_a_stale_cache_takes_no_page_back_that_is_newer_than_the_cursor(
    audited: AuditedMirror, upstream: Server, lost: str
) -> None:
    before = upstream.index.serial
    upstream.index.upload(wheel("demo", "3.0"))
    audited.delete("web/simple/demo/index.html")
    audited.repair()
    page = audited.read("web/simple/demo/index.html")
    assert b"demo-3.0" in page
    upstream.faults.add(Fault(Stale(before), "/simple/demo/"))
    audited.delete("web/simple/demo/index.html" if lost == "page" else audited.file(WHEEL))

    audited.repair()

    assert b"demo-3.0" in audited.read("web/simple/demo/index.html")
    upstream.faults.clear()
    audited.sync()
    assert audited.read("web/simple/demo/index.html") == page


def test_pages_that_a_killed_job_has_left_newer_do_not_go_back(
    audited: AuditedMirror, upstream: Server
) -> None:
    json_page = audited.read("web/simple/demo/index.v1_json")
    upstream.index.yank("demo", "2.0", "broken")
    audited.sync()
    page = audited.read("web/simple/demo/index.html")
    audited.write("web/simple/demo/index.v1_json", json_page)
    upstream.faults.add(Fault(Status(503), "/simple/demo/"))

    audited.repair()

    assert audited.read("web/simple/demo/index.html") == page


def test_damage_leaves_the_newer_pages_of_a_killed_job_without_going_back(
    audited: AuditedMirror, upstream: Server
) -> None:
    json_key, html_key = (f"web/simple/demo/index.{form}" for form in ("v1_json", "html"))
    json_page = audited.read(json_key)
    upstream.index.upload(wheel("demo", "3.0"))
    audited.sync()
    serial = str(upstream.index.serial).encode()
    assert serial in audited.read(html_key)
    audited.write(json_key, json_page)
    audited.delete(audited.file("demo-2.0-py3-none-any.whl"))
    upstream.faults.add(Fault(Status(503), "/simple/demo/"))

    audited.repair()

    page = audited.read(html_key)
    assert serial in page
    assert b"demo-3.0-py3-none-any.whl" in page
    assert b"demo-2.0-py3-none-any.whl" not in page
    upstream.faults.clear()
    audited.sync()
    assert b"demo-2.0-py3-none-any.whl" in audited.read(html_key)


@with_json_variants
@pytest.mark.parametrize(
    ("old", "new"), [(b'"selection":"', b'"selection":"k'), (b"_frum", b"_Frum")]
)
def test_damage_of_what_the_mirror_notes_on_its_page_is_repaired(
    audited: AuditedMirror, old: bytes, new: bytes
) -> None:
    key = "web/simple/demo/index.v1_json"
    page = audited.read(key)
    audited.write(key, page.replace(old, new))

    assert {(each.kind.value, each.project) for each in audited.findings()} == {
        ("wrong-page", "demo")
    }
    assert "damaged" not in audited.repair().values()

    assert audited.found() == set()
    assert json.loads(audited.read(key))["files"] == json.loads(page)["files"]


@pytest.mark.parametrize("url", ["../../packages/%5C", "https://a.example/integrity/demo/../x/p"])
def test_a_page_with_unsafe_names_is_published_again(audited: AuditedMirror, url: str) -> None:
    page = json.loads(audited.read("web/simple/demo/index.v1_json"))
    page["files"][0] |= {"url": url} if "packages" in url else {"provenance": url}
    audited.write("web/simple/demo/index.v1_json", json.dumps(page).encode())

    assert audited.found(deep=True) != set()
    assert "damaged" not in audited.repair().values()

    assert names(audited) == {WHEEL, OTHER, "demo-1.0.tar.gz"}
    assert audited.found(deep=True) == set()


def test_the_root_index_is_repaired(audited: AuditedMirror) -> None:
    before = json.loads(audited.read("web/simple/index.v1_json"))["projects"]
    html = audited.read("web/simple/index.html")
    root = {"meta": {"api-version": "1.4"}, "projects": [{"name": "demo"}, {"name": "gone"}]}
    for body in (json.dumps(root).encode(), b"{"):
        audited.write("web/simple/index.v1_json", body)
        audited.write("web/simple/index.html", b"")

        assert "damaged" not in audited.repair().values()

        assert audited.found() == set()
        assert json.loads(audited.read("web/simple/index.v1_json"))["projects"] == before
        assert audited.read("web/simple/index.html") == html
    audited.delete("web/simple/index.v1_json")

    audited.repair()

    assert audited.found() == set()


@with_json_variants
def test_a_repair_that_ends_early_leaves_no_root_index_without_html(
    audited: AuditedMirror,
) -> None:
    html, cursor = (audited.read(key) for key in ("web/simple/index.html", "state/cursor.json"))
    audited.delete("web/simple/index.v1_json", "web/simple/index.html")
    audited.write("state/cursor.json", cursor[:20])

    with pytest.raises(LedgerCorrupt):
        audited.repair()

    assert audited.keys("web/simple/index.v1_json") != []
    assert audited.read("web/simple/index.html") == html


def test_what_upstream_no_longer_has_is_taken_from_the_page(
    audited: AuditedMirror, upstream: Server
) -> None:
    wrong, kept = audited.file(WHEEL), audited.file(OTHER)
    audited.write(wrong, b"x" * len(audited.read(wrong)))
    upstream.faults.add(Fault(Status(404), match=re.compile(WHEEL)))

    outcomes = audited.repair(deep=True)

    assert outcomes == {wrong: "lost"}
    assert names(audited) == {OTHER, "demo-1.0.tar.gz"}
    assert wrong not in audited.keys("web/packages/")
    assert kept in audited.keys("web/packages/")
    assert audited.found(deep=True) == set()


def test_files_of_a_damaged_page_are_looked_at_as_well(audited: AuditedMirror) -> None:
    missing, wrong = audited.file(WHEEL), audited.file(OTHER)
    before = {key: audited.read(key) for key in (missing, wrong)}
    audited.delete(missing)
    audited.write(wrong, before[wrong][:-1])
    audited.write("web/simple/demo/index.v1_json", b"{")

    audited.repair()

    assert {key: audited.read(key) for key in before} == before
    assert audited.found(deep=True) == set()


def test_metadata_of_a_damaged_page_is_read_as_well(audited: AuditedMirror) -> None:
    """Its size is nowhere. HTML does not name it, as of a page that a killed repair has left."""
    metadata = f"{audited.file(WHEEL)}.metadata"
    before = audited.read(metadata)
    audited.write(metadata, before[:-1])
    html = audited.read("web/simple/demo/index.html")
    audited.write(
        "web/simple/demo/index.html", re.sub(rb' data-(core|dist-info)-metadata="[^"]*"', b"", html)
    )
    audited.write("web/simple/demo/index.v1_json", b"{")

    audited.repair(deep=True)

    assert audited.read(metadata) == before
    assert audited.found(deep=True) == set()


def test_what_belongs_to_a_damaged_file_does_not_outlive_it(
    audited: AuditedMirror, upstream: Server
) -> None:
    """Its provenance is gone upstream before the file is: the page of the repair lacks it."""
    audited.index.upload(wheel("demo", "3.0"), provenance={"version": 1})
    audited.sync()
    audited.delete(audited.file("demo-3.0-py3-none-any.whl"))
    upstream.faults.add(Fault(Status(404), match="/integrity/"))
    audited.repair()
    upstream.faults.clear()
    assert {key.rpartition("/")[2] for key in audited.keys("web/integrity/")} == {"provenance"}

    audited.index.remove_release("demo", "3.0")
    audited.sync()
    audited.sync()  # what is due is deleted

    assert audited.keys("web/integrity/") == []
    assert not [key for key in audited.keys("web/packages/") if "demo-3.0" in key]
    assert audited.found() == set()


def test_what_upstream_does_not_deliver_now_comes_back_later(
    audited: AuditedMirror, upstream: Server
) -> None:
    missing = audited.file(WHEEL)
    audited.delete(missing)
    upstream.faults.add(Fault(Status(503), match="/simple/demo/"))

    assert audited.repair() == {missing: "lost"}
    assert names(audited) == {OTHER, "demo-1.0.tar.gz"}, "no page names what is missing"
    upstream.faults.clear()
    audited.sync()

    assert names(audited) == {WHEEL, OTHER, "demo-1.0.tar.gz"}
    assert audited.found() == set()


def test_other_bytes_under_the_name_of_a_damaged_file_are_refused(
    audited: AuditedMirror, upstream: Server
) -> None:
    missing = audited.file(WHEEL)
    audited.delete(missing)
    upstream.index.remove_file("demo", WHEEL)
    upstream.index.add_file("demo", WHEEL, content=b"other")

    assert audited.repair() == {missing: "lost"}

    assert WHEEL not in names(audited)


def test_orphans_are_deleted_unless_a_page_names_them_again(audited: AuditedMirror) -> None:
    named = audited.file(WHEEL)
    orphan = Key(named.replace(WHEEL, "demo-9.9-py3-none-any.whl"))
    audited.write(orphan, b"")

    deleted = audited.run(delete_orphans([orphan, named], audited.mirror))

    assert deleted == [orphan]
    assert named in audited.keys("web/packages/")
    assert audited.found() == set()


def test_the_status_says_what_the_last_audit_left(audited: AuditedMirror) -> None:
    audited.delete(audited.file(WHEEL))
    for repair in (False, True):
        audited.run(
            verify_mirror(
                audited.mirror,
                AuditSettings(),
                repair=repair,
                delete_orphans=False,
                shows_progress=False,
            )
        )
        status = json.loads(audited.read("web/status.json"))["audit"]
        assert status["found"] == {"missing-file": 1}
        assert status["left"] == ({} if repair else {"missing-file": 1})
        assert status["repaired"] == repair
    audited.sync()

    assert json.loads(audited.read("web/status.json"))["audit"]["repaired"] == 1


def test_a_project_that_has_left_by_the_configuration_does_not_come_back(
    audited: AuditedMirror,
) -> None:
    audited.delete(*audited.keys("web/simple/demo/"), *audited.keys("web/gzip/simple/demo/"))
    blocked = BlockedProjects(frozenset({canonicalize_name("demo")}))
    audited.mirror = replace(audited.mirror, selection=Selection(names=(blocked,)))

    assert set(audited.repair().values()) == {"repaired"}

    assert not audited.keys("web/simple/demo/")
    root = json.loads(audited.read("web/simple/index.v1_json"))
    assert "demo" not in {each["name"] for each in root["projects"]}


def test_pages_that_a_killed_first_run_left_of_a_project_that_is_gone_are_deleted(
    audited: AuditedMirror,
) -> None:
    for form in ("index.html", "index.v1_html"):
        audited.write(f"web/simple/gone/{form}", audited.read(f"web/simple/demo/{form}"))
    assert audited.found() == {("missing-page", "web/simple/gone/index.v1_json")}

    audited.repair()

    assert audited.keys("web/simple/gone/") == []
    assert audited.found() == set()
