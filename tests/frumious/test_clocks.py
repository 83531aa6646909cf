"""A clock that was wrong for a while: years ahead and then right, or back and then right."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from frumious.messaging.job_queue import JobQueue
from frumious.model.changes import Position
from frumious.planning import everything
from frumious.snapshots.create import begin
from frumious_lambda.planner import Planner
from frumious_lambda.planner_event import PlannerEvent
from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from tests.world import World

HOUR = 3600
YEARS = 50 * 365 * 24 * HOUR


def status(world: World) -> Any:
    return json.loads(world.read("web/status.json"))


def root(world: World) -> set[str]:
    page = json.loads(world.read("web/simple/index.v1_json"))
    return {project["name"] for project in page["projects"]}


@pytest.fixture(params=[YEARS, -YEARS], ids=["ahead", "back"])
def wrong(request: pytest.FixtureRequest) -> int:
    """Return by how many seconds the clock is wrong."""
    return int(request.param)


def test_the_daily_comparison_goes_on(world: World, wrong: int) -> None:
    world.clock.advance(wrong)
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.clock.advance(-wrong)
    world.upstream.clear()

    world.plan()

    assert world.upstream.requests_for("/simple/")
    world.clock.advance(2 * HOUR)
    world.upstream.clear()
    world.plan()
    assert not world.upstream.requests_for("/simple/"), "once a day is enough"


def test_the_sweep_goes_on(world: World, wrong: int) -> None:
    world.configure("sweep-days = 1")
    world.index.upload(wheel("demo", "1.0"))
    world.clock.advance(wrong)
    world.mirror_run()
    world.mirror_run()
    world.clock.advance(-wrong)
    world.mirror_run()
    world.index.archive("demo")
    for _ in range(3):
        world.clock.advance(13 * HOUR)
        world.mirror_run()

    assert world.page("demo")["project-status"]["status"] == "archived"


def test_the_status_is_refreshed(world: World, wrong: int) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.clock.advance(wrong)
    world.mirror_run()
    before = status(world)
    world.clock.advance(-wrong)

    world.finalize()
    assert status(world)["updated"] != before["updated"]
    world.plan()
    world.clock.advance(HOUR)
    world.finalize()
    assert status(world)["lag_seconds"] == pytest.approx(HOUR, abs=60)


def test_a_mirror_that_nobody_plans_is_not_fresh_by_a_time_in_the_future(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.clock.advance(YEARS)
    world.mirror_run()
    world.clock.advance(-YEARS)

    assert not world.finalize().freshness.checked, "LagAlarm takes this for a breach"


def test_names_that_upstream_lacks_are_looked_for_each_hour(world: World) -> None:
    names = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n demo\n dmeo\n"
    world.configure(sections=names)
    world.index.upload(wheel("demo", "1.0"))
    planner = Planner(JobQueue(world.queue_url))  # of a function that stays

    def found() -> list[object]:
        """Return what three ticks find; while jobs are planned, they do not look."""
        absent: list[object] = []
        for _ in range(3):
            planned = world.run(lambda mirror: planner.plan_and_send(PlannerEvent(), mirror))
            world.work(last=True)
            world.finalize()
            absent += [] if planned.absent is None else [planned.absent]
        return absent

    world.clock.advance(YEARS)
    assert found() == [{"dmeo": "demo"}]
    world.clock.advance(-YEARS)
    assert found() == [{"dmeo": "demo"}]

    world.clock.advance(2 * HOUR)
    assert found() == [{"dmeo": "demo"}], "once an hour"


def test_a_mirror_that_nobody_has_confirmed_asks_upstream_again_after_an_hour(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(everything, "_MANY", 1)
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    planner = Planner(JobQueue(world.queue_url))

    def unconfirmed() -> int:
        planned = world.run(lambda mirror: planner.plan_and_send(PlannerEvent(), mirror))
        return planned.plan.unconfirmed

    world.clock.advance(YEARS)
    assert unconfirmed() == 2
    world.index.upload(wheel("three", "1.0"))
    assert unconfirmed() == 2, "without a request"
    world.clock.advance(-YEARS)
    assert unconfirmed() == 3

    world.index.upload(wheel("four", "1.0"))
    assert unconfirmed() == 3, "without a request"
    world.clock.advance(2 * HOUR)
    assert unconfirmed() == 4


def test_a_lagging_project_is_retried(world: World, wrong: int) -> None:
    world.index.upload(wheel("demo", "1.0"))
    fault = world.upstream.faults.add(Fault(Status(404), "/packages/"))
    world.clock.advance(wrong)
    world.mirror_run()
    world.clock.advance(-wrong)
    world.upstream.faults.remove(fault)

    world.clock.advance(HOUR)
    world.mirror_run()

    assert status(world)["lagging"] == {}
    assert len(world.page("demo")["files"]) == 1


def test_the_pauses_of_a_lagging_project_still_grow(world: World, wrong: int) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/packages/"))
    world.clock.advance(wrong)
    world.mirror_run()
    world.clock.advance(-wrong)

    for attempts in 2, 3, 4:
        world.retry()
        world.mirror_run()
        assert status(world)["lagging"]["demo"]["attempts"] == attempts
        assert world.plan() == [], "its pause is not over"


def test_a_retry_by_name_does_not_end_the_pauses(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/packages/"))
    world.mirror_run()

    for attempts in 2, 3, 4:
        world.mirror_run(["demo"])
        assert status(world)["lagging"]["demo"]["attempts"] == attempts
        assert world.plan() == [], "its pause is not over"
    world.clock.advance(HOUR)
    assert len(world.plan()) == 1


def test_a_run_of_lost_jobs_is_closed_at_its_deadline(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.clock.advance(YEARS)
    world.plan()
    assert len(list(world.jobs())) == 1, "and its message is lost"
    world.clock.advance(-YEARS)

    assert world.finalize().open == 1, "its age counts from now"
    world.clock.advance(7 * HOUR)
    world.finalize()
    world.clock.advance(HOUR)
    world.mirror_run()

    assert root(world) == {"demo"}
    assert world.cursor().runs == ()


def test_a_removed_project_stays_away_and_a_new_one_is_listed(world: World, wrong: int) -> None:
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.clock.advance(wrong)
    world.index.remove_project("demo")
    world.mirror_run(confirmed_removals=1)
    assert root(world) == {"other"}
    world.clock.advance(-wrong)
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    assert root(world) == {"demo", "other"}

    world.index.remove_project("demo")
    world.mirror_run(confirmed_removals=1)

    assert root(world) == {"other"}
    world.clock.advance(3 * HOUR)
    world.index.upload(wheel("other", "2.0"))
    world.mirror_run()
    assert world.cursor().departures == {}


def test_the_plan_of_an_open_run_is_not_pruned(world: World, wrong: int) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.plan(["one"])
    jobs = list(world.jobs())
    world.clock.advance(wrong)
    world.mirror_run(["two"])

    assert [run for run in world.stored("state/runs/") if jobs[0].run in run]


def test_files_that_were_removed_while_the_clock_was_ahead_are_deleted_after_the_delay(
    world: World,
) -> None:
    world.configure("delete-after = 3")
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.mirror_run()
    world.clock.advance(YEARS)
    world.index.remove_release("demo", "1.0")
    world.mirror_run()
    stored = len(world.files())
    world.clock.advance(-YEARS)

    for _ in range(3):
        world.clock.advance(24 * HOUR)
        world.mirror_run()
        assert len(world.files()) == stored, "it can be taken back"
    for _ in range(2):
        world.clock.advance(24 * HOUR)
        world.mirror_run()

    assert len(world.files()) == stored // 2
    assert not world.stored("state/deletions/")


def test_a_snapshot_that_was_begun_while_the_clock_was_ahead_is_fixed_in_time(
    world: World,
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    for alone in False, True:
        name = f"alone-{alone}".lower()
        world.clock.advance(YEARS)
        world.run(lambda mirror: begin(name, mirror, alone=alone))  # noqa: B023
        world.clock.advance(-YEARS)  # the command is killed, and another one goes on
        begun = world.run(lambda mirror: begin(name, mirror, alone=alone))  # noqa: B023
        now = world.clock.now()
        assert begun.fixed <= now + HOUR
        assert begun.is_fixed(now) is alone
        assert begun.is_fixed(now + HOUR)
        assert msgspec.structs.replace(begun, fixed=now + YEARS).is_fixed(now), "what was finished"


def test_a_change_feed_that_was_shorter_while_the_clock_was_ahead_is_noticed(
    world: World,
) -> None:
    now = world.clock.now()
    world.change_cursor(feed=Position(regressed=now + YEARS))

    assert world.cursor().at(now).feed.regressed == now
    assert world.cursor().at(now - YEARS).feed.regressed == now - YEARS
