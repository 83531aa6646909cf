"""Requests for upstream's changes, and the interpretation of its responses."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from xmlrpc.client import Fault as RpcFault
from xmlrpc.client import dumps

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import AllowedRemoval
from frumious.simple.values import InvalidPage, ParsedPage
from frumious.upstream.changelog import NoChangelog
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.upstream import PageCheck
from tests.upstream import (
    BANDERSNATCH,
    DEVPI,
    HTML_ONLY,
    NO_CHANGELOG,
    Edit,
    Fault,
    RateLimited,
    Raw,
    Status,
    sdist,
)

if TYPE_CHECKING:
    from frumious.model.pages import RootIndex
    from frumious.upstream.changelog import Changes
    from tests.upstream import Action
    from tests.world import World

DEMO = canonicalize_name("demo")
OTHER = canonicalize_name("other")


def changes(world: World, since: int) -> Changes:
    return world.run(lambda mirror: mirror.upstream.changes_since(since))


def root(world: World, etag: str = "") -> RootIndex | None:
    return world.run(lambda mirror: mirror.upstream.root_index(etag=etag))


def check_page(world: World, etag: str = "") -> PageCheck:
    return world.run(lambda mirror: mirror.upstream.check_page(DEMO, etag=etag))


def page(world: World) -> ParsedPage:
    parsed = world.run(lambda mirror: mirror.upstream.project_page(DEMO, at_least=0))
    assert parsed is not None
    return parsed


def fault(code: int, text: str) -> Raw:
    return Raw(headers={"Content-Type": "text/xml"}, body=dumps(RpcFault(code, text)).encode())


def response(payload: Any) -> Raw:
    body = dumps((payload,), methodresponse=True, allow_none=True).encode()
    return Raw(headers={"Content-Type": "text/xml"}, body=body)


# The changelog


def test_changes_say_what_was_removed_last_and_when_the_first_of_them_happened(
    world: World,
) -> None:
    world.index.upload(sdist("demo", "1.0"))
    before = world.index.serial
    for name in ("other", "back", "held", "cleared"):
        world.index.upload(sdist(name, "1.0"))
    first = world.index.changes_since(before)[0]
    world.index.remove_file("demo", "demo-1.0.tar.gz")
    world.index.remove_project("other")
    world.index.remove_project("back")
    world.index.add_project("back")
    world.index.quarantine_project("held")
    world.index.quarantine_project("cleared")
    world.index.clear_project_quarantine("cleared")

    found = changes(world, before)

    assert set(found.projects) == {"demo", "other", "back", "held", "cleared"}
    assert found.allowed_removals == {
        "demo": AllowedRemoval.FILES,
        "other": AllowedRemoval.PROJECT,
        "back": AllowedRemoval.FILES,
        "held": AllowedRemoval.PROJECT,
        "cleared": AllowedRemoval.FILES,
    }
    assert found.serial == world.index.serial
    assert found.earliest == first.timestamp


def test_the_end_of_a_quarantine_is_no_removal(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    world.index.upload(sdist("other", "1.0"))
    world.index.quarantine_release("demo", "1.0")
    world.index.quarantine_project("other")
    before = world.index.serial
    world.index.clear_release_quarantine("demo", "1.0")
    world.index.clear_project_quarantine("other")

    found = changes(world, before)

    assert set(found.projects) == {DEMO, OTHER}
    assert found.allowed_removals == {}


def test_owners_and_invitations_move_nothing_but_the_serial(world: World) -> None:
    world.index.add_project("demo")
    before = world.index.serial
    world.index.journal("demo", "add Owner someone")
    world.index.journal("demo", "invite Maintainer someone")

    found = changes(world, before)

    assert (found.projects, found.earliest, found.serial) == ({}, None, before + 2)


def test_an_owner_s_change_behind_a_removal_does_not_bring_the_project_back(world: World) -> None:
    world.index.add_project("demo")
    before = world.index.serial
    world.index.quarantine_project("demo")
    world.index.journal("demo", "remove Owner someone")

    assert changes(world, before).allowed_removals == {"demo": AllowedRemoval.PROJECT}


def test_a_full_call_is_followed_by_another(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frumious.upstream.changelog.MAX_ROWS", 10)
    world.upstream.row_limit = 10
    world.index.add_many(f"p{number}" for number in range(25))

    found = changes(world, 0)

    assert len(found.projects) == 25
    assert found.serial == world.index.serial
    assert len(world.upstream.requests_for("/pypi")) == 3


def test_full_calls_that_lead_nowhere_end(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frumious.upstream.changelog.MAX_ROWS", 2)
    rows = [["demo", None, 1, "create", 5], ["other", None, 1, "create", 5]]
    world.upstream.faults.add(Fault(response(rows), "/pypi"))

    with pytest.raises(UpstreamUnavailable, match="none with a serial above"):
        changes(world, 5)


def test_rows_that_lack_a_name_or_a_time_are_no_trouble(world: World) -> None:
    rows = [[None, None, None, None, 6], ["demo", None, None, "create", 7]]
    world.upstream.faults.add(Fault(response(rows), "/pypi"))

    found = changes(world, 5)

    assert (found.projects, found.serial, found.earliest) == ({DEMO: 7}, 7, None)


@pytest.mark.parametrize(
    "payload", [7, ["demo"], [["demo", None, 1, "create"]], [[1, 2, 3, 4, "5"]]]
)
def test_what_is_no_changelog_is_refused(world: World, payload: object) -> None:
    world.upstream.faults.add(Fault(response(payload), "/pypi"))

    with pytest.raises(UpstreamUnavailable, match="changelog"):
        changes(world, 5)


@pytest.mark.parametrize(
    "action",
    [
        *(Status(status) for status in (403, 404, 405, 410, 501)),
        fault(-32601, "server error; requested method not found"),
        fault(1, "method 'changelog_since_serial' is not supported"),
        fault(-32500, "RuntimeError: this API is currently disabled due to unmanageable load"),
    ],
)
def test_an_upstream_that_does_not_speak_xml_rpc_is_told_from_one_that_is_down(
    world: World, action: Action
) -> None:
    world.upstream.faults.add(Fault(action, "/pypi"))

    with pytest.raises(NoChangelog):
        changes(world, 0)
    with pytest.raises(NoChangelog):
        world.run(lambda mirror: mirror.upstream.last_serial())
    assert len(world.upstream.requests) == 2  # nothing is retried


def test_a_fake_without_xml_rpc_has_no_changelog(world: World) -> None:
    for kind in (NO_CHANGELOG, BANDERSNATCH, DEVPI, HTML_ONLY):
        world.upstream.personality = kind
        with pytest.raises(NoChangelog):
            changes(world, 0)


@pytest.mark.parametrize("action", [Status(503), Raw(body=b"<html>"), fault(-32500, "Boom")])
def test_an_upstream_that_is_down_has_a_changelog_all_the_same(
    world: World, action: Action
) -> None:
    world.upstream.faults.add(Fault(action, "/pypi"))

    with pytest.raises(UpstreamUnavailable):
        changes(world, 0)


def test_a_short_limit_of_calls_is_waited_out(world: World) -> None:
    world.upstream.faults.add(Fault(RateLimited(reset=0), "/pypi", times=2))
    world.index.add_project("demo")

    assert set(changes(world, 0).projects) == {"demo"}
    assert len(world.upstream.requests) == 3


def test_a_long_limit_of_calls_is_left_to_the_next_tick(world: World) -> None:
    world.upstream.faults.add(Fault(RateLimited(reset=1200), "/pypi"))

    with pytest.raises(UpstreamUnavailable, match="TooManyRequests") as raised:
        changes(world, 0)
    assert raised.value.retry_after == 1200
    assert len(world.upstream.requests) == 1


# The root index


def test_a_root_index_that_is_the_same_is_not_sent_again(world: World) -> None:
    world.index.add_project("Demo")
    index = root(world)
    assert index is not None
    assert index.projects == {"demo": world.index.serial}
    assert index.serial == world.index.serial

    assert root(world, etag=index.etag) is None

    world.index.add_project("other")
    changed = root(world, etag=index.etag)
    assert changed is not None
    assert set(changed.projects) == {"demo", "other"}


def test_a_root_index_without_serials_is_one_of_names(world: World) -> None:
    world.index.add_project("demo")
    for kind in (BANDERSNATCH, DEVPI, HTML_ONLY):
        world.upstream.personality = kind
        index = root(world)
        assert index is not None
        assert index.projects == {"demo": None}
        assert index.serial == (world.index.serial if kind is BANDERSNATCH else None)
        assert index.etag or kind is BANDERSNATCH


@pytest.mark.parametrize(
    "change",
    [
        {"projects": None},
        {"projects": {"item": {"name": "demo"}}},
        {"projects": ["demo"]},
        {"projects": [{}]},
        {"projects": [{"name": 7}]},
        {"meta": None},
        {"meta": {}},
        {"meta": {"api-version": "2.0"}},
    ],
)
def test_what_is_no_root_index_is_an_error(world: World, change: dict[str, Any]) -> None:
    world.index.add_project("demo")
    world.upstream.faults.add(Fault(Edit(lambda page: page.update(change)), "/simple/"))

    with pytest.raises(InvalidPage, match=r"/simple/ is not a root index"):
        root(world)


@pytest.mark.parametrize("serial", [1.5, -1, "many", True, [7], 10**30])
def test_an_invalid_serial_in_the_root_index_is_none(world: World, serial: object) -> None:
    world.index.add_project("demo")

    def change(page: dict[str, Any]) -> None:
        page["meta"]["_last-serial"] = page["projects"][0]["_last-serial"] = serial

    world.upstream.faults.add(Fault(Edit(change), "/simple/"))

    index = root(world)

    assert index is not None
    assert index.projects == {"demo": None}
    assert index.serial == world.index.serial, "from the header"


# Project pages


def test_a_page_is_asked_for_without_being_read(world: World) -> None:
    assert check_page(world) == PageCheck(None, changed=True, missing=True)
    world.index.upload(sdist("demo", "1.0"))
    parsed = page(world)
    serial = world.index.serial

    assert check_page(world) == PageCheck(serial, changed=True, missing=False)
    assert check_page(world, parsed.etag) == PageCheck(serial, changed=False, missing=False)
    world.index.archive("demo")
    assert check_page(world, parsed.etag) == PageCheck(serial, changed=True, missing=False)
    world.index.remove_project("demo")
    assert check_page(world, parsed.etag).missing


def test_a_large_page_that_changed_is_not_read_either(world: World) -> None:
    for number in range(2000):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=1)
    page(world)
    world.upstream.clear()

    assert check_page(world, '"other"').changed
    assert check_page(world, '"other"').changed


def test_an_upstream_that_ignores_the_condition_is_believed_its_etag(world: World) -> None:
    world.index.add_project("demo")
    headers = {"ETag": 'W/"x"', "Content-Type": "application/json"}
    world.upstream.faults.add(Fault(Raw(headers=headers, body=b"{}"), "/simple/"))

    assert not check_page(world, '"x"').changed
    assert check_page(world, '"y"').changed
    assert check_page(world).changed


def test_an_upstream_that_does_not_answer_is_not_gone(world: World) -> None:
    world.upstream.faults.add(Fault(Status(503), "/simple/"))

    with pytest.raises(UpstreamUnavailable):
        check_page(world)
    assert len(world.upstream.requests) == 4


def test_a_page_comes_with_its_etag(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    before = page(world).etag
    assert before

    world.index.yank("demo", "1.0")

    assert page(world).etag != before


def test_an_upstream_without_etags_sends_everything(world: World) -> None:
    world.upstream.personality = BANDERSNATCH
    world.index.upload(sdist("demo", "1.0"))

    assert page(world).etag == ""


def test_nothing_is_not_modified_that_was_not_asked_for(world: World) -> None:
    world.upstream.faults.add(Fault(Raw(304), "/simple/"))

    with pytest.raises(UpstreamUnavailable, match="304"):
        page(world)
    with pytest.raises(UpstreamUnavailable, match="304"):
        root(world)
    with pytest.raises(UpstreamUnavailable, match="304"):
        check_page(world)


@pytest.mark.parametrize("nested", [b"[" * 500_000, b"[[],{}," * 100_000, b'{"a":' * 100_000])
def test_a_deeply_nested_root_index_is_refused_at_once(world: World, nested: bytes) -> None:
    headers = {"Content-Type": "application/vnd.pypi.simple.v1+json"}
    world.upstream.faults.add(Fault(Raw(headers=headers, body=b'{"meta":' + nested), "/simple/"))

    with pytest.raises(InvalidPage, match="nested more than"):
        root(world)
