"""From a change upstream to the mirror's status: plan, jobs, finalizer."""

from __future__ import annotations

import asyncio
import json
import re
import time
from typing import TYPE_CHECKING

import pytest

from frumious.finalizing.finalize import finalize
from frumious.messaging.job_queue import JobQueue, QueueUnavailable
from frumious.model.jobs import Report
from frumious.planning.dispatch import start_runs
from frumious.planning.named import InvalidProject
from frumious.planning.plan import plan_projects
from tests.upstream import Fault, Status, WrongBytes, wheel

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n  one\n  two\n"


def root(world: World) -> dict[str, int]:
    page = json.loads(world.read("web/simple/index.v1_json"))
    return {project["name"]: project["_last-serial"] for project in page["projects"]}


def test_the_first_run_takes_all_projects_of_the_root_index(world: World) -> None:
    for name in ("one", "two", "three"):
        world.index.upload(wheel(name, "1.0"))

    finalized = world.mirror_run()

    assert root(world).keys() == {"one", "two", "three"}
    assert finalized.open == 0
    assert world.read("status") == str(world.index.serial).encode()
    assert world.read("generation") == b"5"
    assert time.strptime(world.read("web/last-modified").decode(), "%Y%m%dT%H:%M:%S\n")


def test_the_first_run_of_an_allowlist_asks_only_for_the_root_index_s_serial(world: World) -> None:
    world.configure(sections=ALLOWLIST)
    for name in ("one", "two", "three"):
        world.index.upload(wheel(name, "1.0"))

    world.mirror_run()

    assert root(world).keys() == {"one", "two"}
    roots = [request for request in world.upstream.requests if request.path == "/simple/"]
    assert len(roots) == 1, "for its header"
    world.upstream.clear()
    world.mirror_run()
    assert not [request for request in world.upstream.requests if request.path == "/simple/"]


def test_the_next_run_takes_only_what_changed(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.index.upload(wheel("two", "2.0"))
    world.index.journal("one", "add Owner someone")
    world.upstream.clear()

    finalized = world.mirror_run()

    assert [result.project for result in finalized.results] == ["two"]
    assert not world.upstream.requests_for("/simple/one/")
    assert world.read("status") == str(world.index.serial).encode()
    assert root(world)["two"] == world.index.serial - 1


def test_the_serial_advances_even_if_no_selected_project_changed(world: World) -> None:
    world.configure(sections=ALLOWLIST)
    world.index.upload(wheel("one", "1.0"))
    world.mirror_run()
    world.index.upload(wheel("three", "1.0"))

    assert world.plan() == []
    world.clock.advance(300)  # what alone changes is published each five minutes
    assert not world.finalize().closed
    assert world.read("status") == str(world.index.serial).encode()


def test_syncing_named_projects_requests_nothing_else_upstream(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))

    world.mirror_run(["One"])

    paths = {request.path for request in world.upstream.requests}
    paths -= {"/simple/one/", "/pypi"}  # whose serial confirms the page's
    assert paths == {path for path in paths if path.startswith("/packages/")}
    assert world.cursor().serial is None, "named projects say nothing of the mirror's serial"
    assert root(world).keys() == {"one"}


@pytest.mark.parametrize("name", ["", "..", "a/b", "-a", "a\n", "ä"])
def test_an_invalid_project_name_is_refused(world: World, name: str) -> None:
    with pytest.raises(InvalidProject):
        world.plan([name])


def test_a_removed_project_leaves_the_root_index(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.index.remove_project("two")

    world.mirror_run()

    assert root(world).keys() == {"one"}
    assert "two" not in world.read("web/simple/index.html").decode()


def test_a_failed_project_lags_and_the_others_advance(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.upstream.faults.add(Fault(WrongBytes(), "/packages/", project="two"))

    world.mirror_run()

    status = json.loads(world.read("web/status.json"))
    assert status["serial"] == world.index.serial
    assert status["lagging"]["two"]["reason"] == (
        "a file differs from what upstream's page promises"
    )
    assert status["lagging"]["two"]["attempts"] == 1


def test_a_lagging_project_is_retried_when_it_is_due(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/packages/"))
    world.mirror_run()
    world.upstream.faults.clear()
    assert world.plan() == [], "its pause is not over"

    assert world.retry() == ["one"]
    (run,) = world.plan()
    assert run.recovering == {"one"}
    assert world.plan() == [], "an open run has taken it up"
    world.work(last=True)
    world.finalize()

    assert json.loads(world.read("web/status.json"))["lagging"] == {}
    assert len(world.page("one")["files"]) == 1


def test_a_run_waits_for_its_last_result(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.upstream.faults.add(Fault(Status(503), "/simple/two/"))
    world.plan()
    world.work()

    finalized = world.finalize()

    assert finalized.open == 1
    assert not finalized.closed
    assert "status" not in world.contents()


def test_a_run_past_its_deadline_is_closed_with_what_is_missing_as_lagging(world: World) -> None:
    world.configure("run-deadline = 0.001")
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.upstream.faults.add(Fault(Status(503), "/simple/two/"))
    world.plan()
    world.work()

    finalized = world.finalize()

    assert finalized.open == 0
    assert root(world).keys() == {"one"}
    assert json.loads(world.read("web/status.json"))["lagging"].keys() == {"two"}


def test_an_open_run_delays_the_status_and_a_later_run_may_close_first(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.mirror_run()
    serial = world.index.serial
    world.index.upload(wheel("one", "2.0"))
    world.plan()
    slow = list(world.jobs())  # no worker receives them
    world.index.upload(wheel("two", "1.0"))
    world.plan()
    world.work()

    assert world.finalize().open == 1
    assert world.read("status") == str(serial).encode()
    assert root(world).keys() == {"one", "two"}
    assert len(slow) == 1


def test_a_run_that_was_not_sent_is_sent_at_the_next_tick(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))

    async def plan_only(mirror: Mirror) -> None:
        await start_runs(plan_projects(["one"]), mirror, JobQueue(f"{world.queue_url}-missing"))

    with pytest.raises(QueueUnavailable):
        world.run(plan_only)
    assert [run.sent for run in world.cursor().runs] == [None]

    world.plan()

    assert "one" in {job.project for job in world.jobs()}
    assert all(run.sent for run in world.cursor().runs)


def test_duplicate_results_count_once(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.plan()
    jobs = list(world.jobs())
    for _ in range(2):
        for job in jobs:
            result = world.sync(job.project, serial=job.serial, run=job.run)
            world.record(Report(job, result))
    assert [len(result.added) for result in world.finalize().results] == [2]


def test_finalizing_twice_changes_nothing_more(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.mirror_run()
    world.finalize()  # the cursor learns that no project lags
    before = world.contents()

    world.finalize()

    assert world.contents() == before


def test_a_finalizer_that_died_before_it_closed_the_run_is_followed_by_the_next(
    world: World,
) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/packages/"))
    world.plan()
    world.work()
    before = {key: world.read(key) for key in ["state/cursor.json", *world.stored("state/inbox/")]}
    world.finalize()
    closed = world.contents()
    for key, body in before.items():
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)
    world.change_cursor(failures=1)  # the first to be written, before any project lags

    world.finalize()

    now = world.contents()
    assert now["state/cursor.json"] == closed["state/cursor.json"]  # type: ignore[index]
    lagging = json.loads(now["state/lagging.json"])  # type: ignore[index]
    assert lagging["projects"]["one"]["attempts"] == 1, "the same run is not counted twice"
    assert len(json.loads(now["web/status.json"])["runs"]) == 1  # type: ignore[index]


def test_two_concurrent_finalizers_do_no_harm(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.plan()
    world.work()

    async def both(mirror: Mirror) -> None:
        await asyncio.gather(finalize(mirror), finalize(mirror), return_exceptions=True)

    world.run(both)
    world.finalize()

    assert root(world).keys() == {"one", "two"}
    assert world.cursor().runs == ()


def test_the_diff_file_names_what_was_written_and_removed(world: World) -> None:
    world.configure("diff-file = {{mirror_directory}}/diff/")
    world.index.upload(wheel("one", "1.0"))
    world.mirror_run()
    written = world.read("diff/mirrored-files").decode().splitlines()
    pages = [f"/{world.bucket}/web/simple/one/index.{form}" for form in ("html", "v1_html")]
    files = [f"/{world.bucket}/{key}" for key in world.files()]
    assert set(pages + files) < set(written)
    assert world.read("diff/mirrored-files.removed") == b""

    world.index.remove_project("one")
    world.mirror_run()

    assert world.read("diff/mirrored-files") == b""
    removed = world.read("diff/mirrored-files.removed").decode().splitlines()
    assert set(pages + files) < set(removed)


def test_the_diff_file_can_be_kept_for_each_run(world: World) -> None:
    world.configure("diff-file = {{mirror_directory}}/mirrored-files\ndiff-append-epoch = true")
    world.index.upload(wheel("one", "1.0"))

    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    world.mirror_run()

    kept = world.stored("mirrored-files-")
    assert len(kept) == 4, "two, each with its .removed"
    assert re.fullmatch(r"mirrored-files-\d{10}", kept[0])
