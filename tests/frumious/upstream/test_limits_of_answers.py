"""Each kind of answer has a limit of its bytes, the changelog one of its elements."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.model.changes import MAX_BUNDLE_BYTES, Position
from frumious.model.checkpoint import Checkpoint, render
from frumious.model.merkle import Tree
from frumious.upstream.failures import TooLarge, UpstreamUnavailable
from frumious.upstream.upstream import MAX_ROOT_INDEX_BYTES
from tests.upstream import Fault, Raw, Redirect, sdist

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from frumious.upstream.upstream import Upstream
    from tests.world import World

DEMO = canonicalize_name("demo")
CALLS: dict[str, Callable[[Upstream, str], Awaitable[object]]] = {
    "changelog_last_serial": lambda upstream, _: upstream.last_serial(),
    "changelog_since_serial": lambda upstream, _: upstream.changes_since(1),
    "root index": lambda upstream, _: upstream.root_index(),
    "project page": lambda upstream, _: upstream.project_page(DEMO, at_least=0),
    "legacy JSON": lambda upstream, _: upstream.legacy_json(DEMO),
    "legacy JSON of a release": lambda upstream, _: upstream.release_json(DEMO, "1.0"),
    "checkpoint of a change feed": lambda upstream, _: upstream.follow_feed(Position(), 0.0),
    "provenance": lambda upstream, url: upstream.provenance(f"{url}/integrity/demo/1.0/demo"),
}


@pytest.mark.parametrize("call", CALLS)
def test_an_answer_that_is_too_long_is_refused(world: World, call: str) -> None:
    world.upstream.faults.add(Fault(Raw(200, {}, bytes(MAX_ROOT_INDEX_BYTES + 1))))

    with pytest.raises(TooLarge, match=r"sent more than [0-9]+ bytes"):
        world.run(lambda mirror: CALLS[call](mirror.upstream, world.upstream.url))


@pytest.mark.parametrize(
    "position",
    [Position(), Position.of("feed", Tree().append([bytes(32)]))],
    ids=["tile", "bundle"],
)
def test_a_part_of_a_change_feed_that_is_too_long_is_refused(
    world: World, position: Position
) -> None:
    note = render(Checkpoint("feed", 2, bytes(32)))
    world.upstream.faults.add(Fault(Raw(200, {}, note), "/changes/checkpoint"))
    world.upstream.faults.add(Fault(Raw(200, {}, bytes(MAX_BUNDLE_BYTES + 1)), "/changes/"))

    with pytest.raises(TooLarge, match=r"sent more than [0-9]+ bytes"):
        world.run(lambda mirror: mirror.upstream.follow_feed(position, 0.0))


def test_a_changelog_of_too_many_elements_is_refused(world: World) -> None:
    values = "<value/>" * 2_000_000
    body = f"<methodResponse><params><param><value><array><data>{values}".encode()
    world.upstream.faults.add(Fault(Raw(200, {"Content-Type": "text/xml"}, body)))

    with pytest.raises(UpstreamUnavailable, match="elements"):
        world.run(lambda mirror: mirror.upstream.changes_since(1))


def test_five_redirects_are_followed_and_no_more(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    redirect = Redirect("/simple/demo/")
    world.upstream.faults.add(Fault(redirect, "/simple/demo/", times=5))
    assert world.sync("demo").error is None
    world.upstream.faults.add(Fault(redirect, "/simple/demo/"))
    world.upstream.clear()

    with pytest.raises(UpstreamUnavailable, match="more than 5 redirects"):
        world.sync("demo")

    assert len(world.upstream.requests) == 4 * 6, "each of four attempts"
