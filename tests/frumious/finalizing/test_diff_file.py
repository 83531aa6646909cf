"""What the diff-file names while a run takes several ticks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from frumious.model.jobs import Report
from tests.upstream import wheel

if TYPE_CHECKING:
    from frumious.model.jobs import Job
    from tests.world import World

TOO_LARGE = 64 * 1024 * 1024 + 1  # bytes


@pytest.fixture
def jobs(world: World) -> list[Job]:
    """Plan a run of two projects."""
    world.configure("diff-file = {{mirror_directory}}/mirrored-files")
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.plan()
    return [*world.jobs()]


def publish(world: World, job: Job) -> None:
    world.record(Report(job, world.attempt(job)))
    world.finalize()


def lines(world: World) -> list[str]:
    return world.read("mirrored-files").decode().splitlines()


def test_a_closed_run_is_named_whole(world: World, jobs: list[Job]) -> None:
    publish(world, jobs[0])
    first = lines(world)
    publish(world, jobs[1])

    assert not world.cursor().runs
    assert {*first} < {*lines(world)}
    assert lines(world) == sorted({*lines(world)})
    named = {line.partition("/web/")[2] for line in lines(world)}
    assert {key.removeprefix("web/") for key in world.files()} <= named


def test_the_diff_file_does_not_grow_for_ever(world: World, jobs: list[Job]) -> None:
    publish(world, jobs[0])
    world.s3.put_object(
        Bucket=world.bucket, Key="mirrored-files", Body=b"/a\n" * (TOO_LARGE // 3 + 1)
    )
    publish(world, jobs[1])

    assert "/a" not in lines(world)
    assert "/web/simple/" in lines(world)[-1]
