"""Closing runs: effects of one project's failure on others, and of crashes."""

from __future__ import annotations

import asyncio
import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from frumious.finalizing.finalize import finalize
from frumious.model.jobs import Job, Report, Result
from frumious.model.types import RunId
from frumious.state import inbox
from frumious.storage.protocol import Conflict
from frumious.syncing.delivery import Batch, Delivery
from tests.upstream import Fault, Stale, Status, wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Run
    from tests.world import World

DAY = 24 * 3600


def upload(world: World, *names: str) -> None:
    for name in names:
        world.index.upload(wheel(name, "1.0"))


def status(world: World) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(world.read("web/status.json"))
    return payload


def root(world: World) -> set[str]:
    page = json.loads(world.read("web/simple/index.v1_json"))
    return {project["name"] for project in page["projects"]}


def unreported(world: World) -> set[str]:
    """Return the files that no diff-file names."""
    diff_files = [key for key in world.stored("mirrored-files") if not key.endswith(".removed")]
    written = "".join(world.read(key).decode() for key in diff_files)
    return {key for key in world.files() if f"/{key}\n" not in written}


def first_of(run: Run) -> NormalizedName:
    return next(iter(run.jobs))


async def deliver(job: Job, mirror: Mirror, batch: Batch | None = None) -> None:
    """Run the job as a worker does."""
    batch = batch or await Batch.begin(mirror)
    disposition = await batch.work(Delivery(job, 1, last=False, deadline=time.monotonic() + 60))
    if isinstance(disposition, Result):
        await inbox.record(mirror.storage, [Report(job, disposition)])


# One broken project is its own problem


def test_a_project_that_always_fails_blocks_nothing_and_is_retried(world: World) -> None:
    upload(world, "good", "broken")
    fault = world.upstream.faults.add(Fault(Status(503), "/simple/broken/"))
    world.plan()
    world.work()
    assert world.finalize().open == 1, "it may still get through"
    world.clock.advance(121)

    world.finalize()

    assert world.read("status") == str(world.index.serial).encode()
    lagging = status(world)["lagging"]["broken"]
    assert lagging["reason"] == "upstream did not respond"
    assert lagging["attempts"] == 1
    for attempts in (2, 3):
        upload(world, f"new{attempts}")
        world.retry()
        world.plan()
        world.work()
        world.finalize()
        assert world.read("status") == str(world.index.serial).encode()
        world.clock.advance(121)
        world.finalize()
        assert status(world)["lagging"]["broken"]["attempts"] == attempts

    world.upstream.faults.remove(fault)
    world.retry()
    world.mirror_run()

    assert status(world)["lagging"] == {}
    assert root(world) == {"good", "broken", "new2", "new3"}


def test_a_job_queued_behind_a_lagging_project_s_job_blocks_nothing(world: World) -> None:
    upload(world, "good", "broken")
    world.upstream.faults.add(Fault(Status(404), "/packages/", project="broken"))
    world.mirror_run()
    world.index.upload(wheel("broken", "2.0"))
    world.plan()
    list(world.jobs())  # the queue keeps them, behind a message that is put off

    assert world.finalize().open == 1
    world.clock.advance(121)

    assert world.finalize().open == 0
    assert world.read("status") == str(world.index.serial).encode()
    assert status(world)["lagging"]["broken"]["serial"] == world.index.serial


def test_a_job_without_a_result_is_waited_for(world: World) -> None:
    upload(world, "one")
    world.plan()
    world.clock.advance(121)

    assert world.finalize().open == 1


def late_job(world: World) -> Job:
    """Close a run whose job nobody has done, so that its project lags; return the job."""
    world.configure("diff-file = {{mirror_directory}}/mirrored-files\nrun-deadline = 1000")
    upload(world, "late")
    world.plan()
    (job,) = world.jobs()
    world.clock.advance(1001)
    world.finalize()
    assert status(world)["lagging"].keys() == {"late"}
    return job


def test_changes_of_a_late_job_are_reported_by_the_next(world: World) -> None:
    job = late_job(world)
    world.sync(job.project, serial=job.serial, run=job.run)  # its run is closed

    world.retry()
    world.mirror_run()

    assert root(world) == {"late"}
    assert not unreported(world)


def test_a_late_result_does_not_let_the_status_pass_a_new_event_of_its_project(
    world: World,
) -> None:
    """The project lags, has a new event, and is in step with the one before."""
    late = late_job(world)
    world.retry()
    before = world.index.serial
    world.index.upload(wheel("late", "2.0"))
    world.plan()
    world.upstream.faults.add(Fault(Stale(before), "/simple/"))

    world.record(Report(late, world.attempt(late)))
    world.finalize()

    assert status(world)["lagging"] == {}
    assert status(world)["serial"] <= before


def test_changes_of_an_old_duplicate_are_reported_although_the_next_run_is_empty(
    world: World,
) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files")
    upload(world, "one")
    (first,) = world.plan()
    world.work()
    world.finalize()
    world.index.upload(wheel("one", "2.0"))
    world.plan()
    duplicate = first.job(first_of(first))
    world.run(lambda mirror: deliver(duplicate, mirror))
    world.work()
    world.finalize()

    assert "2.0" in world.read("mirrored-files").decode()
    world.mirror_run()
    assert status(world)["lagging"] == {}


def test_changes_of_a_lost_result_are_reported_although_the_next_job_changes_nothing(
    world: World,
) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files\nrun-deadline = 1000")
    upload(world, "one")
    world.plan()
    (job,) = world.jobs()
    world.sync("one", serial=job.serial, run=job.run)  # its worker died before it recorded that
    world.plan(["one"])  # by a user who does not know that it lags
    world.work()
    world.clock.advance(1001)

    world.finalize()

    assert not unreported(world)
    assert status(world)["lagging"] == {}


def test_changes_of_a_duplicate_while_its_run_closes_are_reported(world: World) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files")
    upload(world, "one")
    (run,) = world.plan()
    world.work()
    world.index.upload(wheel("one", "2.0"))

    async def close(mirror: Mirror) -> None:
        async def deliver_again(_events: object) -> None:
            await deliver(run.job(first_of(run)), mirror)

        await finalize(mirror, publish_events=deliver_again)

    world.run(close)
    world.mirror_run()
    world.mirror_run()

    assert not unreported(world)
    assert status(world)["lagging"] == {}


def test_changes_of_an_old_duplicate_after_its_project_s_retry_are_reported(world: World) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files\ndiff-append-epoch = true")
    upload(world, "one")
    fault = world.upstream.faults.add(Fault(Status(404), "/packages/"))
    (first,) = world.plan()
    world.work()
    world.finalize()
    fault.times = 0
    world.retry()
    world.plan()
    world.work()
    world.index.upload(wheel("one", "2.0"))
    world.run(lambda mirror: deliver(first.job(first_of(first)), mirror))
    world.finalize()
    world.mirror_run()
    world.mirror_run()

    assert not unreported(world)
    assert status(world)["lagging"] == {}


@pytest.mark.parametrize("batches", [1, 2])
def test_changes_of_an_old_duplicate_are_reported_despite_a_second_duplicate(
    world: World, batches: int
) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files\ndiff-append-epoch = true")
    duplicates: list[Job] = []
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("one", version))
        (run,) = world.plan()
        world.work()
        world.finalize()
        duplicates.append(run.job(first_of(run)))

    async def deliver_again(mirror: Mirror) -> None:
        batch = await Batch.begin(mirror)
        for version, duplicate in zip(("3.0", "4.0"), duplicates, strict=True):
            world.index.upload(wheel("one", version))
            batch = batch if batches == 1 else await Batch.begin(mirror)
            await deliver(duplicate, mirror, batch)

    world.run(deliver_again)
    world.mirror_run()
    world.mirror_run()

    assert not unreported(world)
    assert status(world)["lagging"] == {}


# Dead letters


def test_a_project_of_a_dead_job_lags_with_a_reason(world: World) -> None:
    upload(world, "good", "deadly")
    world.plan()
    jobs = {job.project: job for job in world.jobs()}
    good = world.sync("good", serial=jobs["good"].serial, run=jobs["good"].run)  # type: ignore[index]
    world.record(Report(jobs["good"], good))  # type: ignore[index]
    dead = jobs["deadly"]  # type: ignore[index]

    finalized = world.finalize(dead=[dead])

    assert finalized.open == 0
    assert finalized.obsolete == [], "it can still be brought back from there"
    assert "crashed" in status(world)["lagging"]["deadly"]["reason"]
    assert world.read("status") == str(world.index.serial).encode()

    world.retry()
    world.mirror_run()
    assert status(world)["lagging"] == {}
    assert world.finalize(dead=[dead]).obsolete == [dead]


def test_a_dead_job_of_an_unknown_run_is_dropped(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    stray = Job(RunId("20200101T000000.000000-0-000"), world.plan(["one"])[0].job("one").project, 0)  # type: ignore[arg-type]

    assert world.finalize(dead=[stray]).obsolete == [stray]


# Runs that overtake each other


def test_an_older_run_that_closes_later_does_not_bring_a_removed_project_back(
    world: World,
) -> None:
    upload(world, "kept", "removed")
    world.mirror_run()
    world.index.upload(wheel("removed", "2.0"))
    world.index.upload(wheel("kept", "2.0"))
    world.plan()
    older = list(world.jobs())
    results = [
        Report(job, world.sync(job.project, serial=job.serial, run=job.run))
        for job in older
        if job.project == "removed"
    ]
    world.index.remove_project("removed")
    world.plan()
    world.work(last=True)
    world.finalize()
    assert root(world) == {"kept"}

    results += [
        Report(job, world.sync(job.project, serial=job.serial, run=job.run))
        for job in older
        if job.project == "kept"
    ]
    world.record(*results)
    assert world.finalize().open == 0

    assert root(world) == {"kept"}


# Reports


def test_status_json_shows_the_mirror_s_freshness_and_size(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    report = status(world)
    sizes = [file["size"] for name in ("one", "two") for file in world.page(name)["files"]]
    assert {key: report[key] for key in ("projects", "files", "bytes", "lag_serials")} == {
        "projects": 2,
        "files": 2,
        "bytes": sum(sizes),
        "lag_serials": 0,
    }
    assert report["serial"] == report["upstream_serial"] == world.index.serial
    assert [run["projects"] for run in report["runs"]] == [2]

    world.index.upload(wheel("one", "2.0"))
    world.index.remove_project("two")
    world.plan()
    world.finalize()
    behind = status(world)
    assert behind["lag_serials"] == world.index.serial - report["serial"]
    assert behind["lag_seconds"] > DAY, "since the first of the changes, by upstream's clock"

    world.work(last=True)
    world.finalize()
    report = status(world)
    assert (report["projects"], report["files"], report["lag_serials"]) == (1, 2, 0)
    assert report["lag_seconds"] < 60


def test_a_mirror_that_never_had_all_changes_has_no_lag(world: World) -> None:
    upload(world, "one", "two")
    world.plan()
    first, second = world.jobs()
    world.run(lambda mirror: deliver(first, mirror))
    world.finalize()
    report = status(world)
    assert (report["serial"], report["projects"], report["lag_seconds"]) == (None, 1, None)

    world.run(lambda mirror: deliver(second, mirror))
    world.finalize()
    assert status(world)["lag_seconds"] < 60


def test_root_pages_are_written_only_when_their_content_changed(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    html = world.s3.head_object(Bucket=world.bucket, Key="web/simple/index.html")["LastModified"]
    time.sleep(1.1)

    world.mirror_run()

    now = world.s3.head_object(Bucket=world.bucket, Key="web/simple/index.html")["LastModified"]
    assert now == html


def test_a_run_with_a_lost_plan_blocks_nothing_and_is_replanned(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    upload(world, "two")
    (run,) = world.plan()
    list(world.jobs())
    world.s3.delete_object(Bucket=world.bucket, Key=f"state/runs/{run.run}/plan.json")
    world.clock.advance(121)

    assert world.finalize().open == 0

    world.mirror_run()
    assert root(world) == {"one", "two"}
    assert world.read("status") == str(world.index.serial).encode()


def test_old_runs_are_deleted(world: World) -> None:
    upload(world, "one")
    for key in ("plan.json", "results/abc-1.json"):
        old = f"state/runs/20200101T000000.000000-abc-000/{key}"
        world.s3.put_object(Bucket=world.bucket, Key=old, Body=b"{}")

    world.mirror_run()

    assert len({key.split("/")[2] for key in world.stored("state/runs/")}) == 1


# Crashes


class Crash(BaseException):
    """The process is killed."""


@pytest.mark.parametrize("write", range(11))
def test_a_finalizer_may_die_before_any_of_its_writes(world: World, write: int) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files")
    upload(world, "one", "two", "bad")
    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_project("two")
    upload(world, "three")
    world.upstream.faults.add(Fault(Status(404), "/packages/", project="bad"))
    world.index.upload(wheel("bad", "2.0"))
    world.plan()
    world.work(last=True)
    writes = 0

    def count(request: Any, **_: object) -> None:
        nonlocal writes
        if request.method in {"PUT", "POST", "DELETE"}:
            writes += 1
            if writes > write:
                raise Crash

    async def die(mirror: Mirror) -> None:
        with before_requests_to_s3(mirror, count):
            await finalize(mirror)

    with pytest.raises(Crash):
        world.run(die)
    world.finalize()

    assert world.cursor().runs == ()
    assert world.read("status") == str(world.index.serial).encode()
    assert root(world) == {"one", "three", "bad"}
    links = world.read("web/simple/index.html").decode()
    assert [name in links for name in ("one/", "two/", "three/")] == [True, False, True]
    report = status(world)
    assert report["lagging"]["bad"]["attempts"] == 1
    assert (report["projects"], len(report["runs"])) == (3, 2)
    diff = world.read("mirrored-files").decode()
    assert "/web/simple/three/index.html\n" in diff
    assert "/web/simple/two/index.html\n" in world.read("mirrored-files.removed").decode()


def test_an_overtaken_finalizer_does_not_list_a_removed_project(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    without = json.loads(world.read("web/simple/index.v1_json"))
    without["projects"] = [each for each in without["projects"] if each["name"] != "one"]
    world.index.upload(wheel("one", "2.0"))
    world.plan()
    world.work(last=True)
    seen: list[str] = []

    def overtake(request: Any, **_: object) -> None:
        """Let another finalizer publish a removal of the project, after this one read its inbox."""
        key = request.url.rpartition(f"{world.bucket}/")[2]
        if key == "state/cursor.json":
            seen.append(key)
        if key == "state/cursor.json" and len(seen) == 2:
            body = json.dumps(without).encode()
            world.s3.put_object(Bucket=world.bucket, Key="web/simple/index.v1_json", Body=body)

    async def close(mirror: Mirror) -> None:
        with before_requests_to_s3(mirror, overtake):
            await finalize(mirror)

    with pytest.raises(Conflict):
        world.run(close)
    assert root(world) == {"two"}


def test_an_overtaken_finalizer_writes_no_older_state(world: World) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files")
    upload(world, "one")
    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    world.plan()
    world.work(last=True)

    async def overtaken(mirror: Mirror) -> list[Any]:
        return await asyncio.gather(*(finalize(mirror) for _ in range(4)), return_exceptions=True)

    world.run(overtaken)
    world.finalize()

    assert world.read("status") == str(world.index.serial).encode()
    assert "/web/simple/one/index.html\n" in world.read("mirrored-files").decode()
    assert world.cursor().runs == ()
