"""The legacy JSON that a mirror copies: its damage is found, and repaired."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from frumious.auditing.listing import all_projects
from tests.frumious.auditing.mirrors import AuditedMirror
from tests.upstream import Edit, Fault, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

NAMES = ("demo", "demo-more", "demo-more-and-more", "demo0", "d")
COPIES = ("web/json/demo", "web/pypi/demo/json")


@pytest.fixture
def audited(upstream: Server, storage: Callable[[], str]) -> Iterator[AuditedMirror]:
    for name in NAMES:
        upstream.index.upload(wheel(name, "1.0"))
    with AuditedMirror(upstream, storage(), "json = true") as mirror:
        mirror.sync()
        yield mirror


@pytest.mark.parametrize("key", COPIES)
def test_each_copy_is_compared_with_what_was_stored(audited: AuditedMirror, key: str) -> None:
    body = audited.read(key)
    foreign = audited.read("web/json/demo0")
    flipped = bytearray(body)
    flipped[len(body) // 2] ^= 4
    assert audited.found() == set()

    for damaged in (body[:-1], bytes(flipped), foreign, b""):
        audited.write(key, damaged)
        assert audited.found() == {("wrong-legacy-json", key)}
    audited.delete(key)
    assert audited.found() == {("missing-legacy-json", key)}

    assert audited.repair() == {key: "repaired"}
    assert audited.read(key) == body
    assert audited.found() == set()


def test_copies_of_pages_by_earlier_versions_are_checked_by_their_content(
    upstream: Server, storage: Callable[[], str]
) -> None:
    for name in ("demo", "other"):
        upstream.index.upload(wheel(name, "1.0"))
    with AuditedMirror(upstream, storage(), "json = true\ncompress-pages = false") as audited:
        audited.index.add_project("empty")
        audited.sync()
        right = {key: audited.read(key) for key in COPIES}
        for name in ("demo", "empty", "other"):
            page = json.loads(audited.read(f"web/simple/{name}/index.v1_json"))
            del page["meta"]["_frumious"]["legacy"]  # as earlier versions wrote it
            body = json.dumps(page, separators=(",", ":")).encode()
            audited.write(f"web/simple/{name}/index.v1_json", body)
        assert audited.found() == set()

        key, other = COPIES
        for damaged in (right[key][:-1], audited.read("web/json/other"), b"[]", b"", b"{}"):
            audited.write(key, damaged)
            assert audited.found() == {("wrong-legacy-json", key)}
        flipped = right[key].replace(b'"1.0"', b'"1.9"')
        assert flipped != right[key]
        audited.write(key, flipped)
        assert audited.found() == {("wrong-legacy-json", each) for each in COPIES}
        audited.delete(other)
        assert audited.found() == {("missing-legacy-json", other)}

        assert audited.repair() == {other: "repaired"}
        assert {each: audited.read(each) for each in COPIES} == right
        audited.write(key, flipped)
        assert audited.found() == {("wrong-legacy-json", key)}, "now its MD5 is known"


def test_older_copies_are_found_and_repaired(audited: AuditedMirror) -> None:
    before = {key: audited.read(key) for key in COPIES}
    audited.index.upload(wheel("demo", "2.0"))
    audited.sync()
    after = {key: audited.read(key) for key in COPIES}
    for key, body in before.items():
        audited.write(key, body)

    assert audited.repair() == dict.fromkeys(COPIES, "repaired")
    assert {key: audited.read(key) for key in COPIES} == after


def test_copies_that_upstream_served_too_old_are_found(
    audited: AuditedMirror, upstream: Server
) -> None:
    serial = json.loads(audited.read("web/json/demo"))["last_serial"]
    audited.index.upload(wheel("demo", "2.0"))
    stale = upstream.faults.add(
        Fault(Edit(lambda page: page.update(last_serial=serial)), match="/pypi/demo/json")
    )
    audited.sync()

    assert audited.found() == {("wrong-legacy-json", key) for key in COPIES}

    upstream.faults.remove(stale)
    assert set(audited.repair().values()) == {"repaired"}
    assert audited.found() == set()


def test_projects_without_legacy_json_lack_nothing(audited: AuditedMirror) -> None:
    audited.index.add_project("empty")
    audited.sync()
    assert audited.found() == set()

    audited.write("web/json/empty", b"{}")

    assert audited.found() == {("wrong-legacy-json", "web/json/empty")}
    assert audited.repair() == {"web/json/empty": "repaired"}
    assert "web/json/empty" not in audited.keys("web/json/")


def test_copies_without_a_project_are_leftovers(audited: AuditedMirror) -> None:
    for key in ("web/json/nobody", "web/pypi/nobody/json"):
        audited.write(key, b"{}")
    audited.clock.advance(10 * 24 * 3600)

    assert audited.found() == {
        ("leftover", "web/json/nobody"),
        ("leftover", "web/pypi/nobody/json"),
    }


def test_a_listing_that_goes_on_has_all_copies(audited: AuditedMirror) -> None:
    async def read(after: str) -> dict[str, set[str]]:
        return {
            found.project: {
                key for key in found.entries if key.startswith(("web/json", "web/pypi"))
            }
            async for found in all_projects(audited.mirror, after=after)
        }

    names = sorted(NAMES, key=lambda name: f"{name}/")
    for count in range(len(names) + 1):
        found: dict[str, set[str]] = audited.run(read(["", *names][count]))
        assert [*found.items()] == [
            (name, {f"web/json/{name}", f"web/pypi/{name}/json"}) for name in names[count:]
        ]


def test_the_json_of_releases_is_compared_with_what_was_stored(
    upstream: Server, storage: Callable[[], str]
) -> None:
    for version in ("1.0", "2.0", "3.0"):
        upstream.index.upload(wheel("demo", version))
    key = "web/pypi/demo/1.0/json"
    with AuditedMirror(upstream, storage(), "json = true\nrelease-json = true") as audited:
        audited.sync()
        assert audited.found() == set()
        body = audited.read(key)
        upstream.clear()

        for damaged in (body[:-1], audited.read("web/pypi/demo/2.0/json"), b""):
            audited.write(key, damaged)
            assert audited.found() == {("wrong-legacy-json", key)}
            assert audited.found(deep=True) == {("wrong-legacy-json", key)}
        audited.delete(key)
        assert audited.found() == {("missing-legacy-json", key)}

        assert audited.repair() == {key: "repaired"}
        assert audited.read(key) == body
        assert audited.found() == set()
        asked = [each.path for each in upstream.requests_for("/pypi/demo/1")]
        asked += [each.path for each in upstream.requests_for("/pypi/demo/2")]
        assert asked == ["/pypi/demo/1.0/json"], "the others are what was stored"

        audited.write("web/pypi/demo/9.0/json", body)
        audited.clock.advance(10 * 24 * 3600)
        assert audited.found() == {("leftover", "web/pypi/demo/9.0/json")}
