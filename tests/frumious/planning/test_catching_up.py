"""A mirror that is far behind reads the changelog in parts, tick after tick, and loses nothing."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.upstream import wheel

if TYPE_CHECKING:
    from tests.world import World

DAY = 24 * 3600
ROWS = 5  # in one response
CALLS = 3  # of one tick
REMOVED = [f"removed-{number}" for number in range(8)]


@pytest.fixture(params=["calls", "time"])
def behind(world: World, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> World:
    """Return a mirror that is 40 events behind, of which the last remove most of its projects."""
    monkeypatch.setattr("frumious.upstream.changelog.MAX_ROWS", ROWS)
    world.upstream.row_limit = ROWS
    if request.param == "calls":
        monkeypatch.setattr("frumious.upstream.changelog._MAX_CALLS", CALLS)
    else:
        monkeypatch.setattr("frumious.upstream.changelog._MAX_SECONDS", 0)
    world.configure("max-removals = 10% 8")
    for name in ("demo", *(f"kept-{number}" for number in range(8)), *REMOVED):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.clock.advance(30 * DAY)
    for number in range(16):
        world.index.upload(wheel("demo", f"2.{number}"))
    for name in REMOVED:
        world.index.remove_project(name)
    world.upstream.clear()
    return world


def calls(world: World) -> int:
    return sum("changelog_since_serial" in str(each.rpc) for each in world.upstream.requests)


def test_a_tick_reads_a_part_and_the_next_ones_the_rest(behind: World) -> None:
    serials: list[int] = []
    while (behind.cursor().serial or 0) < behind.index.serial:
        before = behind.cursor().serial or 0
        behind.upstream.clear()
        plan = behind.dry_run()
        behind.start(plan)
        behind.work(last=True)
        behind.finalize()

        serial = behind.cursor().serial or 0
        assert before < serial
        assert calls(behind) <= CALLS
        assert plan.stopped is None
        assert not plan.withheld, "no comparison finds removals before their events are known"
        status = json.loads(behind.read("web/status.json"))
        assert status["serial"] == serial, "the mirror does not claim what it has not read"
        assert status["lagging"] == {}
        serials.append(serial)

    assert len(serials) > 2
    listed = json.loads(behind.read("web/simple/index.v1_json"))["projects"]
    assert {each["name"] for each in listed} == {"demo", *(f"kept-{n}" for n in range(8))}
    assert len(behind.page("demo")["versions"]) == 17
    assert behind.cursor().reconciled > behind.clock.now() - DAY, "now all projects are compared"
