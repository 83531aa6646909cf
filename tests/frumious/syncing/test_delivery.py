"""A delivery has a result, or is retried later; a project's messages keep their order."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from frumious.model.jobs import Job, Outcome, Result
from frumious.model.types import RunId
from frumious.syncing.delivery import Batch, Continuation, Delivery, Disposition, RetryLater, work
from tests.upstream import Fault, Raw, Slow, Status, wheel

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World


def delivery(
    project: str = "demo", *, number: int = 1, last: bool = False, seconds: float = 60
) -> Delivery:
    job = Job(RunId("run-1"), canonicalize_name(project), 0)
    return Delivery(job, number, last=last, deadline=time.monotonic() + seconds)


def test_a_transient_fault_delays_the_retry_longer_each_time(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Status(503), "/simple/"))
    pauses = []
    for number in (1, 2, 3, 4):
        later = world.run(lambda mirror: work(delivery(number=number), mirror))  # noqa: B023
        assert isinstance(later, RetryLater)
        pauses.append(later.pause)

    assert pauses == [40, 80, 160, 320]


def test_the_last_delivery_records_the_reason(world: World) -> None:
    world.upstream.faults.add(Fault(Status(503), "/simple/"))

    result = world.run(lambda mirror: work(delivery(last=True), mirror))

    assert isinstance(result, Result)
    assert result.outcome is Outcome.FAILED
    assert "503" in str(result.error)


def test_a_permanent_fault_is_not_retried(world: World) -> None:
    world.upstream.faults.add(Fault(Raw(200, {}, b"no page"), "/simple/"))

    result = world.run(lambda mirror: work(delivery(), mirror))

    assert isinstance(result, Result)
    assert result.outcome is Outcome.FAILED
    assert "neither JSON nor HTML" in str(result.error)


def test_a_job_that_runs_out_of_time_publishes_nothing(world: World) -> None:
    world.index.add_file("demo", "demo-1.0.tar.gz", size=10_000_000)
    world.upstream.faults.add(Fault(Slow(rate=1_000_000), "/packages/"))

    later = world.run(lambda mirror: work(delivery(seconds=1), mirror))

    assert isinstance(later, RetryLater)

    assert not world.contents()


def test_a_job_that_made_progress_before_its_deadline_gets_a_continuation(
    world: World,
) -> None:
    world.configure("downloads = 4")
    for number in range(8):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=120_000)
    world.upstream.faults.add(Fault(Slow(rate=100_000), "/packages/"))
    job = delivery().job

    def until_it_is_done() -> Result:
        nonlocal job
        turn = Delivery(job, 1, last=False, deadline=time.monotonic() + 2)
        disposition = world.run(lambda mirror: work(turn, mirror))
        if isinstance(disposition, Result):
            return disposition
        assert isinstance(disposition, Continuation)
        assert not [key for key in world.contents() if "/simple/" in key]
        job = disposition.job
        return until_it_is_done()

    result = until_it_is_done()

    assert 1 <= job.continuation <= 8
    assert len(result.added) == 8
    fetched = [request.path for request in world.upstream.requests_for("/packages/")]
    assert len(fetched) <= 8 + 4 * job.continuation, "only interrupted files are downloaded again"


def test_a_job_without_progress_is_not_continued_forever(world: World) -> None:
    world.index.add_file("demo", "demo-1.0.tar.gz", size=10_000_000)
    world.upstream.faults.add(Fault(Slow(rate=1_000_000), "/packages/"))

    result = world.run(lambda mirror: work(delivery(last=True, seconds=1), mirror))

    assert isinstance(result, Result)
    assert "no file of 'demo' was stored" in str(result.error)


def test_projects_are_synced_concurrently_and_one_project_s_jobs_in_order(
    world: World,
) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.upstream.faults.add(Fault(Slow(delay=0.3), "/simple/"))

    async def work_on_all(mirror: Mirror) -> list[Disposition]:
        batch = Batch(mirror, frozenset({RunId("run-1")}), ())
        deliveries = [delivery("one"), delivery("two"), delivery("one")]
        return await asyncio.gather(*map(batch.work, deliveries))

    world.run(work_on_all)

    pages = sorted(world.upstream.requests_for("/simple/"), key=lambda request: request.started)
    first, second, third = (
        (request.path, request.started, request.ended or 0) for request in pages
    )
    assert {first[0], second[0]} == {"/simple/one/", "/simple/two/"}
    assert second[1] < first[2], "two projects at the same time"
    assert third[0] == "/simple/one/"
    assert third[1] >= next(ended for path, _, ended in (first, second) if path == third[0])


def test_a_job_to_retry_later_delays_its_project_s_other_jobs(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.upstream.faults.add(Fault(Status(503, retry_after=100), "/simple/one/", times=1))

    async def work_on_both(mirror: Mirror) -> list[Disposition]:
        batch = Batch(mirror, frozenset({RunId("run-1")}), ())
        deliveries = [delivery("one"), delivery("one")]
        return await asyncio.gather(*map(batch.work, deliveries))

    outcomes = world.run(work_on_both)

    assert [outcome.pause for outcome in outcomes if isinstance(outcome, RetryLater)] == [100, 100]
    assert len(world.upstream.requests) == 1


def test_a_late_job_of_a_closed_run_reports_what_nobody_has_reported_yet(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    added = world.sync("demo", run="run-2").added  # its worker is killed before it reports that

    async def deliver_again(mirror: Mirror) -> Disposition:
        batch = Batch(mirror, frozenset(), ())  # a reset has dropped both runs
        return await batch.work(delivery(number=2))

    result = world.run(deliver_again)

    assert isinstance(result, Result)
    assert result.added == added
