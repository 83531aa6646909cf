"""Ticks without work: how little they ask of the storage, and what they never miss."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

import pytest

from frumious.finalizing.finalize import finalize
from frumious.local import run_here
from frumious.planning.plan import plan_changes
from tests.upstream import Fault, Status, wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = mirrored\n"


@pytest.fixture
def idle(world: World) -> World:
    """Return a mirror of one project on which nothing is left to do."""
    world.configure(sections=ALLOWLIST)
    world.index.upload(wheel("mirrored", "1.0"))
    world.mirror_run()
    for _ in range(3):
        tick(world)
    return world


def requests(world: World) -> int:
    return world.run(_requests)


async def _requests(mirror: Mirror) -> int:
    return mirror.storage.pop_request_count()


def tick(world: World) -> tuple[int, int]:
    """Do a tick of each function a minute later; return the requests of planner and finalizer."""
    world.clock.advance(60)
    requests(world)
    world.plan()
    planned = requests(world)
    world.finalize()
    return planned, requests(world)


def command(world: World) -> int:
    """Mirror as the command does, in a process of its own; return the number of its requests."""

    async def mirror_here(mirror: Mirror) -> int:
        await run_here(await plan_changes(mirror), mirror, lambda _sent, _result: None)
        return mirror.storage.pop_request_count()

    world.close()
    world.clock.advance(60)
    return world.run(mirror_here)


def status(world: World) -> Any:
    return json.loads(world.read("web/status.json"))


def test_an_idle_tick_makes_two_requests(idle: World) -> None:
    counts = [tick(idle) for _ in range(20)]

    assert {planner for planner, _ in counts} == {2}, "the cursor is read and written"
    refreshed = [finalizer for _, finalizer in counts if finalizer > 2]
    assert [finalizer for _, finalizer in counts if finalizer <= 2] == [2] * 16
    assert refreshed == [4] * 4, "status.json and status each five minutes"


def test_a_command_without_work_makes_three_requests(idle: World) -> None:
    counts = [command(idle) for _ in range(10)]

    assert sorted(counts)[:8] == [3] * 8, "the cursor is read and written, status.json is read"
    assert sorted(counts)[8:] == [5] * 2, "status.json and status each five minutes"


def test_a_command_with_two_changed_projects_makes_few_requests(world: World) -> None:
    projects = ("one", "two")
    own_requests = 2 * (1 + 2 + 4)  # each project's manifest, file and core metadata, and pages
    counts = []
    for version in ("1.0", "2.0", "3.0"):
        for project in projects:
            world.index.upload(wheel(project, version))
        counts.append(command(world))

    assert counts[-1] <= own_requests + 20  # one of these asks which snapshots there are
    assert all("3.0" in world.page(project)["versions"] for project in projects)


def test_changes_of_projects_that_are_not_mirrored_cost_nothing_more(idle: World) -> None:
    serial = status(idle)["serial"]
    counts = []
    for number in range(10):
        idle.index.upload(wheel("other", f"{number}.0"))
        counts.append(tick(idle))

    assert {planner for planner, _ in counts} == {2}
    assert sorted(finalizer for _, finalizer in counts)[:8] == [2] * 8
    assert status(idle)["serial"] > serial
    assert idle.read("status") == str(status(idle)["serial"]).encode()
    for _ in range(5):
        tick(idle)
    assert idle.read("status") == str(idle.index.serial).encode()


def test_a_project_that_begins_to_lag_is_retried(idle: World) -> None:
    assert not idle.cursor().lagging
    idle.upstream.faults.add(Fault(Status(404), "/packages/", project="mirrored"))
    idle.index.upload(wheel("mirrored", "2.0"))
    idle.mirror_run()
    assert idle.cursor().lagging
    idle.upstream.faults.clear()

    idle.clock.advance(3600)
    idle.mirror_run()
    assert set(idle.page("mirrored")["versions"]) == {"1.0", "2.0"}
    tick(idle)
    assert not idle.cursor().lagging


def test_a_project_that_begins_to_lag_while_an_idle_tick_finds_none_is_not_forgotten(
    idle: World,
) -> None:
    idle.change_cursor(lagging=True)
    entry = {"serial": 7, "reason": "no", "attempts": 1, "due": 0.0, "run": "run"}
    lagging = json.dumps({"version": 1, "projects": {"mirrored": entry}}).encode()
    cursor = json.loads(idle.read("state/cursor.json"))
    cursor["failures"] += 1
    overtaken: list[str] = []

    def overtake(request: Any, **_: object) -> None:
        """Let another finalizer close a run, after this one has read the lagging projects."""
        key = request.url.rpartition(f"{idle.bucket}/")[2]
        if key == "state/cursor.json" and request.method == "PUT" and not overtaken:
            overtaken.append(key)
            for name, body in ("lagging", lagging), ("cursor", json.dumps(cursor).encode()):
                idle.s3.put_object(Bucket=idle.bucket, Key=f"state/{name}.json", Body=body)

    async def finalize_overtaken(mirror: Mirror) -> None:
        with before_requests_to_s3(mirror, overtake):
            await finalize(mirror)

    idle.run(finalize_overtaken)

    assert overtaken
    assert idle.cursor().lagging
    assert idle.finalize().lagging == 1


def test_each_change_of_the_configuration_is_planned(idle: World) -> None:
    idle.configure("digest_name = sha512", sections=ALLOWLIST)
    assert [run.jobs.keys() for run in idle.plan()] == [{"mirrored"}]
    idle.work()
    idle.finalize()
    tick(idle)
    assert tick(idle)[0] == 2

    idle.configure(sections=ALLOWLIST)
    assert [run.jobs.keys() for run in idle.plan()] == [{"mirrored"}]


def test_a_planner_that_died_before_it_stored_the_configuration_plans_it_again(
    idle: World,
) -> None:
    selection = idle.read("state/selection.json")
    idle.configure("digest_name = sha512", sections=ALLOWLIST)
    idle.plan()
    idle.s3.put_object(Bucket=idle.bucket, Key="state/selection.json", Body=selection)
    idle.work()
    idle.finalize()

    assert [run.jobs.keys() for run in idle.plan()] == [{"mirrored"}]


def test_files_that_wait_cost_an_idle_tick_nothing(world: World) -> None:
    world.configure(sections=f"{ALLOWLIST}[cooldown]\ndays = 7\n")
    uploaded = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel("mirrored", "1.0"), upload_time=uploaded)
    world.mirror_run()
    for _ in range(3):
        tick(world)

    assert {planner for planner, _ in (tick(world) for _ in range(10))} == {2}
    world.clock.advance(7 * 24 * 3600)
    finalized = world.mirror_run()

    assert [result.files for result in finalized.results] == [1]
    world.clock.advance(60)
    world.mirror_run()
    assert {planner for planner, _ in (tick(world) for _ in range(5))} == {2}
