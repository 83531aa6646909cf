"""Large project pages wait for each other's memory; usual pages do not wait."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import Job, Result
from frumious.model.types import RunId
from frumious.syncing.delivery import Delivery, work
from frumious.upstream.large_pages import LARGE
from tests.upstream import Edit, Fault, Raw, wheel

if TYPE_CHECKING:
    from collections.abc import Coroutine
    from typing import Any

    from frumious.mirror import Mirror
    from frumious.upstream.large_pages import PageRoom
    from tests.world import World

JSON = {"Content-Type": "application/vnd.pypi.simple.v1+json"}


@pytest.fixture
def large(world: World) -> World:
    """Return an upstream with a usual page, a large one, and a large one that is invalid."""
    for name in ("usual", "large", "invalid"):
        world.index.upload(wheel(name, "1.0"))
    text = "a" * (LARGE + 200_000)
    world.upstream.faults.add(
        Fault(Edit(lambda page: page.update(x=text)), "/simple/", project="large")
    )
    world.upstream.faults.add(
        Fault(Raw(200, JSON, b"[" * len(text)), "/simple/", project="invalid")
    )
    return world


async def read(mirror: Mirror, project: str, room: PageRoom) -> None:
    page = await mirror.upstream.project_page(canonicalize_name(project), at_least=0, room=room)
    assert page is not None


async def waits(coroutine: Coroutine[Any, Any, None]) -> bool:
    """Return whether a coroutine waits; then it is cancelled."""
    try:
        await asyncio.wait_for(coroutine, 0.5)
    except TimeoutError:
        return True
    return False


def test_a_large_page_waits_while_two_are_read_and_a_usual_one_does_not(large: World) -> None:
    async def check(mirror: Mirror) -> None:
        pages = mirror.upstream.large_pages
        with pages.room() as room, pages.room() as usual:
            with pages.room() as first, pages.room() as second:
                await first.begin()
                await second.begin()
                await read(mirror, "usual", usual)
                assert await waits(read(mirror, "large", room))
            await read(mirror, "large", room)

    large.run(check)


def test_a_large_page_waits_until_the_job_of_a_larger_one_has_ended(large: World) -> None:
    async def check(mirror: Mirror) -> None:
        pages = mirror.upstream.large_pages
        with pages.room() as room:
            with pages.room() as other:
                await other.begin()
                other.keep(b"," * 3_000_000)  # 3,000,000 values
                assert await waits(read(mirror, "large", room))
            await read(mirror, "large", room)
            await read(mirror, "large", room)  # once more, in place of the first one

    large.run(check)


def test_jobs_that_wait_are_done_in_the_end(large: World) -> None:
    async def check(mirror: Mirror) -> None:
        with mirror.upstream.large_pages.room() as room:
            await room.begin()
            room.keep(b"," * 3_000_000)
            job = asyncio.create_task(deliver(mirror, "large"))
            assert isinstance(await deliver(mirror, "usual"), Result)
            await asyncio.wait([job], timeout=0.5)
            assert not job.done()
        result = await job
        assert isinstance(result, Result)
        assert result.error is None

    large.run(check)


def test_jobs_that_fail_or_are_cancelled_leave_their_room(large: World) -> None:
    async def check(mirror: Mirror) -> None:
        for _ in range(3):
            assert isinstance(await deliver(mirror, "invalid"), Result)
        pages = mirror.upstream.large_pages
        with pages.room() as first, pages.room() as second:
            await first.begin()
            await second.begin()
            jobs = [asyncio.create_task(deliver(mirror, "large")) for _ in range(3)]
            await asyncio.sleep(0.3)
            waiting = [asyncio.create_task(pages.begin()) for _ in range(3)]
            for job in jobs:
                job.cancel()
            await asyncio.gather(*jobs, return_exceptions=True)
        for each in waiting:  # of which some have their turn now, and did not notice yet
            each.cancel()
        await asyncio.gather(*waiting, return_exceptions=True)
        with pages.room() as first, pages.room() as second:
            assert not await waits(first.begin())
            assert not await waits(second.begin())

    large.run(check)


async def deliver(mirror: Mirror, project: str) -> object:
    job = Job(RunId("run-1"), canonicalize_name(project), 0)
    return await work(Delivery(job, 1, last=True, deadline=time.monotonic() + 60), mirror)
