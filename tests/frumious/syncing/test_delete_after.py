"""Removed files are deleted days after the page stopped naming them, so that they can come back."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.finalizing.finalize import finalize
from frumious.local import run_here
from frumious.mirror import open_mirror
from frumious.model.jobs import AllowedRemoval, Job, Outcome
from frumious.model.types import RunId
from frumious.planning.plan import plan_changes
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from tests.clock import MovableClock
from tests.upstream import Fault, Status, wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.mirror import Mirror
    from tests.upstream import Server
    from tests.world import World

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of a project with two releases, which deletes files after three days."""
    world.configure("delete-after = 3")
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version), provenance={"version": 1})
    world.mirror_run()
    return world


def files(world: World) -> set[str]:
    """Return the versions whose files are stored, with all that belongs to them."""
    found: dict[str, int] = {}
    for key in world.stored():
        if key.startswith(("web/packages/", "web/integrity/")):
            version = key.partition("demo-")[2].partition("-")[0]
            found[version] = found.get(version, 0) + 1
    assert set(found.values()) <= {3}, "file, core metadata and provenance go together"
    return set(found)


def named(world: World) -> set[str]:
    return {file["filename"].split("-")[1] for file in world.page("demo")["files"]}


def later(world: World, seconds: float) -> None:
    world.clock.advance(seconds)
    world.mirror_run()


def test_a_removed_file_leaves_the_page_at_once_and_the_storage_three_days_later(
    mirror: World,
) -> None:
    mirror.index.remove_release("demo", "1.0")

    removed = mirror.mirror_run().results[0].removed
    assert named(mirror) == {"2.0"}
    assert files(mirror) == {"1.0", "2.0"}
    assert len(removed) == 3, "readers of the diff-file learn it when readers of the page do"
    later(mirror, 3 * DAY - HOUR)
    assert files(mirror) == {"1.0", "2.0"}
    later(mirror, 3 * HOUR)
    assert files(mirror) == {"2.0"}
    assert not mirror.stored("state/deletions/")


def test_a_file_that_comes_back_in_time_is_not_downloaded_again_and_stays(mirror: World) -> None:
    stored = mirror.files()
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    mirror.clock.advance(DAY)
    downloads = len(mirror.upstream.requests_for("/packages/"))

    mirror.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    mirror.mirror_run()

    assert named(mirror) == {"1.0", "2.0"}
    assert len(mirror.upstream.requests_for("/packages/")) == downloads
    later(mirror, 4 * DAY)
    assert mirror.files() == stored
    assert not mirror.stored("state/deletions/")


def test_a_file_that_is_removed_once_more_stays_for_three_days_from_then(mirror: World) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    mirror.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    later(mirror, DAY)
    mirror.index.remove_release("demo", "1.0")
    later(mirror, DAY)

    later(mirror, 2 * DAY)  # four days after the first removal, two after the second
    assert files(mirror) == {"1.0", "2.0"}
    later(mirror, DAY + 2 * HOUR)
    assert files(mirror) == {"2.0"}


def test_a_removed_project_can_come_back(mirror: World) -> None:
    stored = mirror.files()
    mirror.index.remove_project("demo")
    mirror.mirror_run()
    assert not mirror.stored("web/simple/demo/")
    assert mirror.files() == stored

    downloads = len(mirror.upstream.requests_for("/packages/"))
    for version in ("1.0", "2.0"):
        mirror.index.upload(wheel("demo", version), provenance={"version": 1})
    later(mirror, DAY)
    assert len(mirror.upstream.requests_for("/packages/")) == downloads
    later(mirror, 5 * DAY)
    assert mirror.files() == stored


def test_a_removed_project_is_deleted_in_the_end(mirror: World) -> None:
    mirror.index.remove_project("demo")
    mirror.mirror_run()

    later(mirror, 3 * DAY + 2 * HOUR)

    assert not files(mirror)
    assert not mirror.stored("state/deletions/")


def test_a_project_that_is_no_longer_selected_is_deleted_in_the_end(mirror: World) -> None:
    mirror.configure(
        "delete-after = 3", "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = demo\n"
    )
    mirror.mirror_run(confirmed_removals=1)
    assert files(mirror) == {"1.0", "2.0"}

    later(mirror, 3 * DAY + 2 * HOUR)
    assert not files(mirror)


def test_a_project_that_was_requested_by_name_stays_when_its_removed_files_are_due(
    mirror: World,
) -> None:
    selection = "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = demo\n"
    mirror.configure("delete-after = 3", selection)
    mirror.mirror_run(confirmed_removals=1)
    mirror.mirror_run(["demo"])
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run(["demo"])

    later(mirror, 3 * DAY + 2 * HOUR)

    assert named(mirror) == files(mirror) == {"2.0"}


def test_files_of_a_quarantined_project_are_deleted_at_once_with_those_that_waited(
    mirror: World,
) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    assert files(mirror) == {"1.0", "2.0"}

    mirror.index.quarantine_project("demo")
    (result,) = mirror.mirror_run().results

    assert not files(mirror)
    assert result.outcome is Outcome.QUARANTINED
    assert len(result.removed) == 6


def test_so_are_those_of_a_quarantine_that_no_event_reports(mirror: World) -> None:
    mirror.index.quarantine_project("demo")

    mirror.sync("demo", run="run-early")

    assert not files(mirror)


def test_files_of_a_quarantined_release_are_deleted_at_once(mirror: World) -> None:
    mirror.index.quarantine_release("demo", "1.0")
    mirror.mirror_run()

    assert named(mirror) == files(mirror) == {"2.0"}


def test_all_releases_can_be_quarantined(mirror: World) -> None:
    for version in ("1.0", "2.0"):
        mirror.index.quarantine_release("demo", version)
    mirror.mirror_run()

    assert not named(mirror)
    assert not files(mirror)


def test_files_wait_although_a_quarantine_ends_at_the_same_time(mirror: World) -> None:
    mirror.index.quarantine_release("demo", "2.0")
    mirror.mirror_run()
    mirror.index.remove_release("demo", "1.0")
    mirror.index.clear_release_quarantine("demo", "2.0")
    mirror.mirror_run()

    assert named(mirror) == {"2.0"}
    assert files(mirror) == {"1.0", "2.0"}


@pytest.mark.parametrize("at_once", [True, False])
def test_a_file_that_came_back_stays_when_another_release_is_quarantined(
    mirror: World, *, at_once: bool
) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    mirror.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    if not at_once:
        later(mirror, HOUR)

    mirror.index.quarantine_release("demo", "2.0")
    mirror.mirror_run()

    assert named(mirror) == files(mirror) == {"1.0"}


def test_so_are_those_that_the_page_lacked_before_the_event_was_seen(mirror: World) -> None:
    mirror.index.quarantine_release("demo", "1.0")
    mirror.sync("demo", run="run-early")
    assert named(mirror) == {"2.0"}
    assert files(mirror) == {"1.0", "2.0"}

    mirror.mirror_run()
    assert files(mirror) == {"2.0"}


def test_so_are_those_of_a_project_that_lagged_meanwhile(mirror: World) -> None:
    fault = mirror.upstream.faults.add(Fault(Status(404), "/simple/demo/"))
    mirror.index.quarantine_release("demo", "1.0")
    mirror.mirror_run()
    mirror.upstream.faults.remove(fault)

    later(mirror, HOUR)

    assert named(mirror) == files(mirror) == {"2.0"}


@pytest.mark.parametrize("number", range(12))
def test_a_job_that_is_killed_at_any_write_leaves_nothing_for_ever(
    mirror: World, number: int
) -> None:
    mirror.index.remove_release("demo", "1.0")
    job = Job(RunId("run-2"), canonicalize_name("demo"), mirror.index.serial)

    killed_at_write(mirror, job, number)
    mirror.attempt(job, resuming=True)
    assert named(mirror) == {"2.0"}
    assert files(mirror) == {"1.0", "2.0"}

    later(mirror, 3 * DAY + 2 * HOUR)
    assert files(mirror) == {"2.0"}
    assert not mirror.stored("state/deletions/")


@pytest.mark.parametrize("number", range(4))
def test_a_deletion_that_is_killed_at_any_write_is_finished(mirror: World, number: int) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    mirror.clock.advance(3 * DAY + 2 * HOUR)
    (run,) = mirror.plan()
    job = run.job(canonicalize_name("demo"))
    assert job.due

    killed_at_write(mirror, job, number)
    mirror.attempt(job, resuming=True)

    assert named(mirror) == files(mirror) == {"2.0"}
    assert not mirror.stored("state/deletions/")


@pytest.mark.parametrize("number", range(8))
def test_a_removal_of_a_project_that_is_killed_at_any_write_is_finished(
    mirror: World, number: int
) -> None:
    mirror.index.remove_project("demo")
    job = Job(
        RunId("run-2"),
        canonicalize_name("demo"),
        mirror.index.serial,
        allowed_removal=AllowedRemoval.PROJECT,
    )

    killed_at_write(mirror, job, number)
    result = mirror.attempt(job, resuming=True)

    assert result.outcome is Outcome.REMOVED
    assert len(result.removed) == 6
    assert not mirror.stored("web/simple/demo/")
    assert files(mirror) == {"1.0", "2.0"}
    later(mirror, 0)  # the tick that sees the event
    later(mirror, 3 * DAY + 2 * HOUR)
    assert not files(mirror)


def killed_at_write(world: World, job: Job, number: int) -> None:
    """Let a job die before the nth write or deletion of its own."""
    writes: list[str] = []

    class Killed(BaseException):
        pass

    def kill(request: Any, **_: object) -> None:
        if request.method in {"PUT", "POST"}:
            writes.append(request.url)
            if len(writes) > number:
                raise Killed

    async def work(mirror: Mirror) -> None:
        with before_requests_to_s3(mirror, kill), suppress(Killed):
            await sync_project(attempt, mirror, Transfer.of(attempt, mirror))

    attempt = Attempt(job)
    world.run(work)


def test_a_job_that_is_done_twice_does_not_put_the_deletion_off(mirror: World) -> None:
    mirror.index.remove_release("demo", "1.0")
    job = Job(RunId("run-2"), canonicalize_name("demo"), mirror.index.serial)
    mirror.attempt(job)
    marks = mirror.stored("state/deletions/")

    mirror.clock.advance(DAY)
    mirror.attempt(job, resuming=True)
    mirror.attempt(Job(RunId("run-3"), job.project, 0, recovering=True), resuming=True)

    assert mirror.stored("state/deletions/") == marks


def recovering(world: World) -> None:
    """Do a job of the project whose last one may have left no report."""
    job = Job(RunId("run-3"), canonicalize_name("demo"), world.index.serial, recovering=True)
    attempt = Attempt(job, resuming=True, unreported=True)
    world.run(lambda mirror: sync_project(attempt, mirror, Transfer.of(attempt, mirror)))


def test_nor_does_a_job_that_recovers_one_without_a_report(mirror: World) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.sync("demo", run="run-2", serial=mirror.index.serial)
    marks = mirror.stored("state/deletions/")

    mirror.clock.advance(DAY)
    mirror.index.upload(wheel("demo", "3.0"), provenance={"version": 1})
    recovering(mirror)

    assert named(mirror) == {"2.0", "3.0"}
    assert mirror.stored("state/deletions/") == marks


def test_nor_does_the_removal_of_the_project(mirror: World) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    mirror.index.remove_project("demo")
    later(mirror, DAY)

    later(mirror, 2 * DAY + 2 * HOUR)
    assert files(mirror) == {"2.0"}
    later(mirror, DAY)
    assert not files(mirror)


def test_what_came_back_with_its_project_waits_as_long_when_it_is_removed_again(
    mirror: World,
) -> None:
    mirror.index.remove_project("demo")
    mirror.mirror_run()
    for version in ("1.0", "2.0"):
        mirror.index.upload(wheel("demo", version), provenance={"version": 1})
    later(mirror, DAY)
    mirror.clock.advance(DAY)
    mirror.index.remove_release("demo", "1.0")
    recovering(mirror)
    assert named(mirror) == {"2.0"}

    later(mirror, DAY + 2 * HOUR)  # three days after the first removal, one after the second
    assert files(mirror) == {"1.0", "2.0"}
    later(mirror, 2 * DAY)
    assert files(mirror) == {"2.0"}


def test_a_file_that_came_back_while_its_deletion_was_under_way_stays(mirror: World) -> None:
    """The job that deletes reads the page after it has brought it up to date."""
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    mirror.clock.advance(3 * DAY + 2 * HOUR)
    (run,) = mirror.plan()
    mirror.index.upload(wheel("demo", "1.0"), provenance={"version": 1})

    mirror.attempt(run.job(canonicalize_name("demo")))

    assert named(mirror) == files(mirror) == {"1.0", "2.0"}
    assert not mirror.stored("state/deletions/")


def test_what_waits_is_deleted_soon_after_the_option_was_set_to_0(mirror: World) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()

    mirror.configure("delete-after = 0")
    later(mirror, 2 * HOUR)
    assert files(mirror) == {"2.0"}

    mirror.configure("delete-after = 3")
    mirror.index.remove_release("demo", "2.0")
    later(mirror, 2 * HOUR)
    assert not named(mirror)
    assert files(mirror) == {"2.0"}


def test_files_that_a_job_without_delay_did_not_come_to_delete_are_deleted_by_the_next(
    mirror: World,
) -> None:
    mirror.configure("delete-after = 0")
    before = mirror.files()
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    for key, body in before.items():
        mirror.s3.put_object(Bucket=mirror.bucket, Key=key, Body=body)

    mirror.configure("delete-after = 3")
    mirror.index.upload(wheel("demo", "3.0"), provenance={"version": 1})
    mirror.mirror_run()

    assert {key.partition("demo-")[2][:3] for key in mirror.files()} == {"2.0", "3.0"}


def test_other_bytes_under_the_same_name_let_the_old_ones_wait_as_well(world: World) -> None:
    world.configure("delete-after = 3\nallow-changed-files = true")
    world.index.add_file("demo", "demo-1.0.tar.gz", size=10)
    world.mirror_run()
    before = world.files()
    world.index.remove_file("demo", "demo-1.0.tar.gz")
    world.index.add_file("demo", "demo-1.0.tar.gz", size=20)
    world.mirror_run()
    assert before.items() < world.files().items()

    later(world, 3 * DAY + 2 * HOUR)
    assert len(world.files()) == 1
    assert not before.items() & world.files().items()


def test_a_lagging_project_s_files_wait_until_it_is_in_step(mirror: World) -> None:
    mirror.index.remove_release("demo", "1.0")
    mirror.mirror_run()
    fault = mirror.upstream.faults.add(Fault(Status(404), "/simple/demo/"))
    mirror.index.upload(wheel("demo", "3.0"), provenance={"version": 1})
    mirror.mirror_run()
    assert "demo" in mirror.run(lambda opened: opened.ledger.lagging())

    later(mirror, 3 * DAY + 2 * HOUR)
    assert "1.0" in files(mirror)
    mirror.upstream.faults.remove(fault)
    later(mirror, 12 * HOUR)
    later(mirror, 2 * HOUR)
    assert files(mirror) == {"2.0", "3.0"}


def test_a_mark_of_nothing_is_taken_away(mirror: World) -> None:
    mirror.s3.put_object(
        Bucket=mirror.bucket, Key="state/deletions/20200101T00/demo.json", Body=b'{"version":1}'
    )
    mirror.s3.put_object(Bucket=mirror.bucket, Key="state/deletions/nonsense", Body=b"")

    later(mirror, 2 * HOUR)

    assert mirror.stored("state/deletions/") == ["state/deletions/nonsense"]
    assert files(mirror) == {"1.0", "2.0"}


def test_a_folder_deletes_files_later_too(upstream: Server, tmp_path: Path) -> None:
    text = f"[mirror]\ndirectory = {tmp_path}\nmaster = {upstream.url}\nallow-non-https = true\n"
    config, clock = loading.parse(text, {}), MovableClock()

    def run() -> None:
        async def opened() -> None:
            async with open_mirror(config, clock) as mirror:
                await run_here(await plan_changes(mirror), mirror, lambda *_: None)
                await finalize(mirror)

        asyncio.run(opened())

    def stored() -> set[str]:
        return {path.name[5:8] for path in (tmp_path / "web/packages").rglob("demo-*.whl")}

    for version in ("1.0", "2.0"):
        upstream.index.upload(wheel("demo", version))
    run()
    upstream.index.remove_release("demo", "1.0")
    run()
    assert stored() == {"1.0", "2.0"}
    clock.advance(3 * DAY + 2 * HOUR)
    run()
    assert stored() == {"2.0"}
