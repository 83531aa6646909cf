"""The breaker for files: upstream cannot take away much of the mirror within a day."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import AllowedRemoval, Job, Outcome
from frumious.model.losses import Loss, Losses
from frumious.model.types import RunId
from frumious.planning.retry import confirm_losses
from frumious.syncing.comparison import MassLoss
from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from frumious.finalizing.finalize import Finalized
    from frumious.mirror import Mirror
    from tests.world import World

HOUR = 3600
DAY = 24 * HOUR
PROJECTS = [f"demo-{letter}" for letter in "abcdefgh"]
STOPPED = "upstream removed more files of all projects than max-losses permits"


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of eight projects with four files each, of which ten may be lost."""
    world.configure("max-losses = 10% 10 10GiB\nmax-removals = 100% 10")
    for project in PROJECTS:
        for version in range(4):
            world.index.upload(wheel(project, f"{version}.0"))
    world.mirror_run()
    return world


def halve(world: World, *projects: str, announced: bool = False) -> None:
    """Take away the older half of the files of projects, upstream."""
    for project in projects:
        files = [file["filename"] for file in world.page(project)["files"]]
        for filename in files[: len(files) // 2]:
            if announced:
                world.index.remove_file(project, filename)
            else:
                with_event(world, project, filename)


def with_event(world: World, project: str, filename: str) -> None:
    """Take away a file, though the changelog names another reason."""
    removed = world.index._get(project)
    world.index._drop(removed, filename)
    world.index.journal(project, "new release")


def files(world: World) -> int:
    return sum(len(world.page(project)["files"]) for project in PROJECTS)


def lagging(world: World) -> dict[str, str]:
    status: Any = json.loads(world.read("web/status.json"))
    return {project: entry["reason"] for project, entry in status["lagging"].items()}


def later(world: World, seconds: float) -> Finalized:
    world.clock.advance(seconds)
    return world.mirror_run()


def confirm(world: World, number: int) -> None:
    async def confirmed(mirror: Mirror) -> None:
        await confirm_losses(mirror, number)

    world.run(confirmed)


@pytest.mark.parametrize("announced", [False, True])
def test_all_projects_cannot_lose_half_of_their_files(mirror: World, *, announced: bool) -> None:
    halve(mirror, *PROJECTS, announced=announced)

    mirror.mirror_run()

    assert files(mirror) == 32 - 10
    assert set(lagging(mirror).values()) == {STOPPED}
    assert len(lagging(mirror)) == 3


def test_a_faulty_upstream_cannot_take_away_a_share_each_day(mirror: World) -> None:
    halve(mirror, *PROJECTS)
    mirror.mirror_run()
    for _ in range(5 * 24):
        later(mirror, HOUR)

    assert files(mirror) == 22


def test_what_was_lost_a_day_ago_no_longer_counts_where_nothing_is_refused(mirror: World) -> None:
    halve(mirror, *PROJECTS[:5])
    mirror.mirror_run()
    assert files(mirror) == 22

    mirror.clock.advance(25 * HOUR)
    halve(mirror, *PROJECTS[5:])
    mirror.mirror_run()
    assert files(mirror) == 16
    assert not lagging(mirror)


def test_projects_whose_files_come_back_do_not_lag(mirror: World) -> None:
    halve(mirror, *PROJECTS)
    mirror.mirror_run()
    for project in lagging(mirror):
        for version in range(2):
            mirror.index.upload(wheel(project, f"{version}.0"))

    later(mirror, HOUR)

    assert not lagging(mirror)
    assert files(mirror) == 22


def test_projects_that_are_removed_count_by_their_files(mirror: World) -> None:
    for project in PROJECTS:
        mirror.index.remove_project(project)

    mirror.mirror_run()

    assert len(mirror.stored("web/simple/demo-")) == 6 * 3
    assert len(lagging(mirror)) == 6


def test_quarantines_count_as_well(mirror: World) -> None:
    for project in PROJECTS:
        mirror.index.quarantine_project(project)

    mirror.mirror_run()

    assert files(mirror) == 24


def test_bytes_count_as_well(mirror: World) -> None:
    mirror.configure("max-losses = 0% 1000 0.0000001GiB")  # a hundred bytes
    halve(mirror, *PROJECTS)

    mirror.mirror_run()

    assert files(mirror) == 32
    assert len(lagging(mirror)) == 8


def test_a_share_of_the_mirror_counts_if_it_is_more(mirror: World) -> None:
    mirror.configure("max-losses = 50% 0 10GiB")
    halve(mirror, *PROJECTS)

    mirror.mirror_run()

    assert files(mirror) == 16


def test_an_operator_confirms_a_number_of_files(mirror: World) -> None:
    halve(mirror, *PROJECTS)
    mirror.mirror_run()

    confirm(mirror, 4)
    later(mirror, 60)
    assert files(mirror) == 22 - 4
    assert len(lagging(mirror)) == 1
    confirm(mirror, 1000)
    later(mirror, 60)
    assert files(mirror) == 16
    assert not lagging(mirror)


def test_a_confirmation_ends_after_a_day(mirror: World) -> None:
    confirm(mirror, 1000)
    mirror.clock.advance(25 * HOUR)
    halve(mirror, *PROJECTS)

    mirror.mirror_run()

    assert files(mirror) == 22


def test_what_was_lost_refused_or_confirmed_while_the_clock_was_ahead_does_not_count() -> None:
    now, ahead, limit = 1_700_000_000.0, 1_800_000_000.0, Loss(10, 10**9)
    lost, _ = Losses().booking(Loss(8), limit, ahead)
    refused, permitted = Losses().booking(Loss(11), limit, ahead)
    assert not permitted

    assert lost.booking(Loss(8), limit, now)[1]
    after, _ = refused.booking(Loss(8), limit, now)
    assert after.booking(Loss(8), limit, now + 2 * DAY)[1]
    assert not Losses().allowing(100, ahead).booking(Loss(11), limit, now)[1]


def test_the_planner_lets_operators_know(mirror: World) -> None:
    assert mirror.dry_run().refused_losses == 0
    halve(mirror, *PROJECTS)
    mirror.mirror_run()

    assert mirror.dry_run().refused_losses == 3


def test_removals_that_an_operator_confirmed_are_not_stopped(mirror: World) -> None:
    mirror.configure("max-losses = 0% 0 0GiB\nmax-removals = 0% 0")
    for project in PROJECTS:
        mirror.index.remove_project(project)
    mirror.mirror_run()
    assert len(mirror.stored("web/simple/demo-")) == 8 * 3

    mirror.mirror_run(confirmed_removals=8)
    assert not mirror.stored("web/simple/demo-")


def test_a_change_of_the_configuration_is_not_stopped(mirror: World) -> None:
    options = "max-losses = 0% 0 0GiB\nmax-removals = 100% 0"
    blocked = "\n  ".join(["", *(f"{project}<2" for project in PROJECTS[1:])])
    mirror.configure(
        options,
        "[plugins]\nenabled = blocklist_project\n  blocklist_release\n"
        f"[blocklist]\npackages = demo-a{blocked}",
    )
    mirror.mirror_run()

    assert not lagging(mirror)
    assert not mirror.stored("web/simple/demo-a/")


def test_a_redelivered_job_counts_once(mirror: World) -> None:
    halve(mirror, "demo-a")
    for number in range(8):  # each dies after it booked its loss, before it published
        pages = mirror.read("web/simple/demo-a/index.v1_json")
        mirror.sync("demo-a", run="run-2", resuming=number > 0)
        mirror.s3.put_object(
            Bucket=mirror.bucket, Key="web/simple/demo-a/index.v1_json", Body=pages
        )

    booked: Any = json.loads(mirror.read("state/losses.json"))["hours"]
    assert [lost[0] for lost in booked.values()] == [2]


def test_one_project_cannot_be_halved_again_and_again(world: World) -> None:
    for version in range(8):
        world.index.upload(wheel("demo", f"{version}.0"))
    world.sync("demo")
    halve(world, "demo")
    world.sync("demo", run="run-2")
    assert len(world.page("demo")["files"]) == 4

    halve(world, "demo")
    for day in range(3):
        world.clock.advance(DAY)
        with pytest.raises(MassLoss, match="after 4 others"):
            world.sync("demo", run=f"run-{3 + day}")
    assert len(world.page("demo")["files"]) == 4
    result = world.sync("demo", run="run-9", allowed_removal=AllowedRemoval.FILES)
    assert result.outcome is Outcome.UPDATED


def test_an_event_that_the_planner_does_not_know_allows_a_loss(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    (file,) = world.page("demo")["files"]
    world.index.remove_file("demo", file["filename"])

    assert world.sync("demo", run="run-2").outcome is Outcome.UPDATED

    world.index.remove_project("demo")
    assert world.sync("demo", run="run-3").outcome is Outcome.REMOVED


def test_a_project_that_an_operator_names_may_lose_its_files(mirror: World) -> None:
    mirror.configure("max-losses = 0% 0 0GiB")
    mirror.index.remove_project("demo-a")

    assert mirror.attempt(named("demo-a")).outcome is Outcome.REMOVED


def test_an_index_that_serves_nothing_takes_no_project_away(mirror: World) -> None:
    mirror.upstream.faults.add(Fault(Status(404), "/"))

    with pytest.raises(MassLoss, match="no root index either, so nothing is removed"):
        mirror.attempt(named("demo-a"))
    assert files(mirror) == 4 * len(PROJECTS)


def named(project: str) -> Job:
    """Return the job of `frumious sync PROJECT --may-lose`."""
    return Job(
        RunId("run-2"),
        canonicalize_name(project),
        0,
        allowed_removal=AllowedRemoval.PROJECT,
        named=True,
        confirmed=True,
    )


def test_jobs_that_lose_nothing_do_not_read_what_was_lost(mirror: World) -> None:
    mirror.s3.put_object(Bucket=mirror.bucket, Key="state/losses.json", Body=b"nonsense")
    for project in PROJECTS:
        mirror.index.upload(wheel(project, "5.0"))

    mirror.mirror_run()

    assert not lagging(mirror)
