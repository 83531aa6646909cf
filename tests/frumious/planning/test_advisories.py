"""Advisories: what they block leaves the mirror within a run, and what they release returns."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.messaging.job_queue import JobQueue
from frumious.model import layout
from frumious.model.advisories import FeedProblem
from frumious.model.jobs import Job
from frumious.model.plans import Reason
from frumious.model.types import RunId
from frumious.planning.advisories import plan_advisories, start_advisories
from frumious.planning.dispatch import start_runs
from frumious.planning.plan import plan_changes
from frumious.state.objects import LedgerCorrupt
from tests.upstream import Fault, Status, wheel
from tests.upstream.osv import ARCHIVE

if TYPE_CHECKING:
    from frumious.finalizing.finalize import Finalized
    from frumious.mirror import Mirror
    from tests.world import World

HOUR = 3600
DAY = 24 * HOUR


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of three projects that follows a feed with an old entry."""
    for name in ("demo", "good", "other"):
        world.index.upload(wheel(name, "1.0"))
        world.index.upload(wheel(name, "2.0"))
    world.index.osv.add("MAL-2020-1", "gone-long-ago")
    configure(world)
    run(world)
    return world


def configure(world: World, *lines: str, options: str = "delete-after = 3") -> None:
    feed = f"feed = {world.upstream.url}{ARCHIVE}"
    world.configure(options, sections="\n".join(["[advisories]", feed, *lines]))


def run(world: World, *, confirmed: int = 0) -> Finalized:
    """Do a tick of planner, workers and finalizer an hour later."""
    world.clock.advance(HOUR)
    world.follow_advisories(confirmed=confirmed)
    world.plan(confirmed_removals=confirmed)
    world.work(last=True)
    return world.finalize()


def versions(world: World, project: str = "demo") -> list[str]:
    found: list[str] = world.page(project)["versions"]
    return found


def listed(world: World) -> list[str]:
    payload = json.loads(world.read("web/simple/index.v1_json"))
    return [each["name"] for each in payload["projects"]]


def files(world: World, project: str = "demo") -> list[str]:
    return sorted(key.rpartition("/")[2] for key in world.files() if f"/{project}-" in key)


def test_malware_leaves_pages_files_and_index_within_one_run(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "Demo")

    run(mirror)

    assert not mirror.stored("web/simple/demo/")
    assert not files(mirror), "at once, whatever delete-after says"
    assert listed(mirror) == ["good", "other"]
    assert mirror.cursor().advisories.malware == 2


def test_a_damaged_etag_of_the_feed_is_not_sent(mirror: World) -> None:
    key = layout.advisories(mirror.cursor().advisories.digest)
    kept = json.loads(mirror.read(key))
    assert kept["etag"]
    kept["etag"] = '"a"\r\nX-Other: b'
    mirror.s3.put_object(Bucket=mirror.bucket, Key=key, Body=json.dumps(kept).encode())
    mirror.close()
    mirror.index.osv.add("MAL-2026-1", "Demo")

    run(mirror)

    assert listed(mirror) == ["good", "other"]


def test_malware_in_one_version_leaves_the_others(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")

    run(mirror)

    assert versions(mirror) == ["1.0"]
    assert files(mirror) == [
        "demo-1.0-py3-none-any.whl",
        "demo-1.0-py3-none-any.whl.metadata",
    ]
    assert listed(mirror) == ["demo", "good", "other"]


def test_malware_in_all_versions_that_are_listed_removes_the_project(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "1.0", "2.0")
    run(mirror)
    assert not mirror.stored("web/simple/demo/")
    assert not files(mirror)

    mirror.upstream.clear()
    mirror.clock.advance(2 * DAY)
    run(mirror)
    assert not mirror.upstream.requests_for("/simple/demo/"), "nobody asks for it each day"

    mirror.index.upload(wheel("demo", "3.0"))
    run(mirror)
    assert versions(mirror) == ["3.0"]


def test_a_blocked_project_is_not_asked_for(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo")
    run(mirror)
    mirror.upstream.clear()

    mirror.index.upload(wheel("demo", "3.0"))
    run(mirror)
    mirror.clock.advance(2 * DAY)
    run(mirror)

    assert not mirror.upstream.requests_for("/simple/demo/")
    assert listed(mirror) == ["good", "other"]


@pytest.mark.parametrize("blocked", [(), ("2.0",), ("1.0", "2.0")])
def test_what_a_withdrawn_advisory_blocked_returns(mirror: World, blocked: tuple[str, ...]) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", *blocked)
    run(mirror)

    mirror.index.osv.withdraw("MAL-2026-1")
    run(mirror)

    assert versions(mirror) == ["1.0", "2.0"]
    assert len(files(mirror)) == 4
    assert listed(mirror) == ["demo", "good", "other"]


def test_a_new_file_of_blocked_malware_is_never_published(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", ranges=[{"introduced": "3.0"}])
    mirror.index.upload(wheel("demo", "3.0"))

    run(mirror)
    mirror.index.upload(wheel("demo", "3.1"))
    run(mirror)

    assert versions(mirror) == ["1.0", "2.0"]
    assert len(files(mirror)) == 4


def test_jobs_that_were_planned_before_the_feed_changed_know_it(mirror: World) -> None:
    mirror.index.upload(wheel("demo", "3.0"))
    mirror.index.upload(wheel("fresh", "1.0"))
    mirror.plan()
    mirror.index.osv.add("MAL-2026-1", "demo", "3.0")
    mirror.index.osv.add("MAL-2026-2", "fresh")
    mirror.clock.advance(HOUR)
    mirror.follow_advisories()

    mirror.work(last=True)
    mirror.finalize()

    assert versions(mirror) == ["1.0", "2.0"]
    assert "fresh" not in listed(mirror)


def test_a_run_that_opens_meanwhile_makes_the_planner_look_again(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "fresh")
    mirror.index.upload(wheel("fresh", "1.0"))
    mirror.clock.advance(HOUR)

    async def overtake(each: Mirror) -> None:
        update = await plan_advisories(each)
        assert update is not None
        queue = JobQueue(mirror.queue_url)
        await start_runs(await plan_changes(each), each, queue)
        await start_advisories(update, each, queue)

    mirror.run(overtake)
    mirror.work(last=True)
    mirror.finalize()
    run(mirror)

    assert "fresh" not in listed(mirror)
    assert not files(mirror, "fresh")


def test_named_projects_are_blocked_as_well(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo")
    run(mirror)

    mirror.mirror_run(["demo"])

    assert not mirror.stored("web/simple/demo/")
    assert not files(mirror)


def test_bytes_that_wait_for_their_deletion_go_at_once(mirror: World) -> None:
    mirror.index.remove_project("demo")
    run(mirror)
    assert len(files(mirror)) == 4, "delete-after"

    mirror.index.osv.add("MAL-2026-1", "demo")
    run(mirror)

    assert not files(mirror)
    assert not mirror.stored(layout.DELETIONS)


def test_vulnerabilities_are_blocked_by_the_policy(mirror: World) -> None:
    osv = mirror.index.osv
    osv.add("GHSA-aaaa", "demo", "1.0", database_specific={"severity": "CRITICAL"})
    osv.add("GHSA-bbbb", "other", "1.0", database_specific={"severity": "HIGH"})
    run(mirror)
    assert versions(mirror) == ["1.0", "2.0"], "without a policy, malware alone"

    configure(mirror, "policy =", "    severity >= critical", "    severity >= high report")
    run(mirror)

    assert versions(mirror) == ["2.0"]
    assert versions(mirror, "other") == ["1.0", "2.0"]
    assert len(files(mirror)) == 4, "their bytes wait, as those of any file"
    feed = mirror.cursor().advisories
    assert (feed.malware, feed.blocking, feed.reporting) == (1, 1, 1)

    configure(mirror)
    run(mirror)
    assert versions(mirror) == ["1.0", "2.0"]


def test_an_exception_expires_by_itself(mirror: World) -> None:
    now = mirror.clock.now()
    mirror.clock.advance(-(now % DAY))  # midnight
    until = time.strftime("%Y-%m-%d", time.gmtime(mirror.clock.now() + DAY))
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    configure(mirror, f"exceptions = MAL-2026-1 demo == 2.0 until {until}")
    run(mirror)
    assert versions(mirror) == ["1.0", "2.0"]

    mirror.clock.advance(DAY)
    run(mirror)
    assert versions(mirror) == ["1.0", "2.0"]

    mirror.clock.advance(2 * DAY)
    run(mirror)
    assert versions(mirror) == ["1.0"]


BROKEN = {
    "missing": (None, FeedProblem.UNAVAILABLE),
    "empty": (b"", FeedProblem.INVALID),
    "truncated": (b"PK\x03\x04", FeedProblem.INVALID),
    "an error page": (b"<html>", FeedProblem.INVALID),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_feed_keeps_the_last_good_one(mirror: World, name: str) -> None:
    body, problem = BROKEN[name]
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirror)
    mirror.index.osv.raw = body
    fault = Fault(Status(404), ARCHIVE)
    if body is None:
        mirror.upstream.faults.add(fault)

    mirror.index.upload(wheel("demo", "2.0.post1"))
    run(mirror)

    assert mirror.cursor().advisories.problem is problem
    assert versions(mirror) == ["1.0", "2.0.post1"]
    status = json.loads(mirror.read("web/status.json"))
    assert status["advisories"]["problem"] == problem

    mirror.index.osv.raw = None
    mirror.upstream.faults.clear()
    run(mirror)
    assert mirror.cursor().advisories.problem is None


def test_a_feed_that_shrinks_keeps_the_last_good_one(mirror: World) -> None:
    osv = mirror.index.osv
    osv.add("MAL-2026-1", "demo")
    for number in range(20):
        osv.add(f"MAL-2025-{number}", f"gone-{number}")
    run(mirror)

    kept = {name: osv.entries[name] for name in ("MAL-2025-1", "MAL-2025-2")}
    osv.entries = kept
    run(mirror)
    assert mirror.cursor().advisories.problem is FeedProblem.SHRUNK
    assert "demo" not in listed(mirror)

    configure(mirror, "max-shrinking = 100%")
    run(mirror)
    assert mirror.cursor().advisories.problem is None
    assert "demo" in listed(mirror)


def test_a_feed_that_blocks_half_of_the_mirror_is_an_outage(mirror: World) -> None:
    osv = mirror.index.osv
    for number, name in enumerate(("demo", "good", "other")):
        osv.add(f"MAL-2026-{number}", name)

    run(mirror)
    assert mirror.cursor().advisories.problem is FeedProblem.EXCESSIVE
    assert listed(mirror) == ["demo", "good", "other"]

    run(mirror, confirmed=3)
    assert mirror.cursor().advisories.problem is None
    assert listed(mirror) == []


def test_malware_waits_for_no_other_confirmation(mirror: World) -> None:
    for name in ("good", "other"):
        mirror.index.remove_project(name)
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    configure(mirror, options="max-removals = 0% 0\nmax-losses = 0% 0 0GiB\ndelete-after = 3")

    run(mirror)

    assert versions(mirror) == ["1.0"]
    assert listed(mirror) == ["demo", "good", "other"]


@pytest.mark.parametrize("blocked", [(), ("1.0", "2.0")])
def test_a_blocked_project_leaves_while_upstream_is_down(
    mirror: World, blocked: tuple[str, ...]
) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", *blocked)
    mirror.upstream.faults.add(Fault(Status(404), "/simple/"))
    mirror.upstream.faults.add(Fault(Status(404), "/pypi"))
    mirror.clock.advance(HOUR)

    mirror.follow_advisories()
    mirror.work(last=True)
    mirror.finalize()

    assert not mirror.stored("web/simple/demo/")
    assert not files(mirror)


def test_without_the_section_everything_returns(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo")
    mirror.index.osv.add("MAL-2026-2", "other", "1.0")
    run(mirror)

    mirror.configure()
    run(mirror)

    assert listed(mirror) == ["demo", "good", "other"]
    assert versions(mirror, "other") == ["1.0", "2.0"]
    assert not mirror.cursor().advisories.digest


def test_lost_advisories_are_read_anew(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirror)
    for key in mirror.stored(layout.ADVISORIES):
        mirror.s3.delete_object(Bucket=mirror.bucket, Key=key)
    mirror.close()

    mirror.clock.advance(60)
    mirror.follow_advisories()
    mirror.work(last=True)
    mirror.finalize()

    assert mirror.stored(layout.ADVISORIES)
    assert versions(mirror) == ["1.0"]


def test_lost_advisories_stop_the_mirror_while_the_feed_is_broken(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "3.0")
    until = time.strftime("%Y-%m-%d", time.gmtime(mirror.clock.now() + DAY))
    configure(mirror, f"exceptions = MAL-2026-9 until {until}")
    run(mirror)
    for key in mirror.stored(layout.ADVISORIES):
        mirror.s3.delete_object(Bucket=mirror.bucket, Key=key)
    mirror.close()
    mirror.index.osv.raw = b""
    mirror.index.upload(wheel("demo", "3.0"))

    mirror.follow_advisories()
    with pytest.raises(LedgerCorrupt):
        mirror.plan()
    with pytest.raises(LedgerCorrupt):
        mirror.work()

    mirror.index.osv.raw = None
    run(mirror)
    assert versions(mirror) == ["1.0", "2.0"]


def test_a_planner_that_was_overtaken_changes_nothing(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    mirror.clock.advance(HOUR)

    async def overtake(each: Mirror) -> None:
        queue = JobQueue(mirror.queue_url)
        slow = await plan_advisories(each)
        mirror.index.osv.withdraw("MAL-2026-1")
        mirror.index.osv.add("MAL-2026-2", "demo", "1.0")
        fast = await plan_advisories(each)
        assert slow is not None
        assert fast is not None
        await start_advisories(fast, each, queue)
        assert await start_advisories(slow, each, queue) == []

    mirror.run(overtake)
    mirror.work(last=True)
    mirror.finalize()

    assert versions(mirror) == ["2.0"]


def test_an_idle_tick_makes_as_few_requests_as_without(mirror: World) -> None:
    run(mirror)
    counts = []
    for _ in range(120):
        mirror.clock.advance(60)
        mirror.run(pop_requests)
        mirror.follow_advisories()
        mirror.plan()
        counts.append(mirror.run(pop_requests))

    assert sorted(counts)[:116] == [2] * 116, "the cursor is read and written"


async def pop_requests(mirror: Mirror) -> int:
    return mirror.storage.pop_request_count()


def test_the_feed_is_read_once_in_an_interval_and_only_if_it_changed(mirror: World) -> None:
    mirror.upstream.clear()
    for _ in range(120):
        mirror.clock.advance(60)
        mirror.follow_advisories()

    requests = mirror.upstream.requests_for(ARCHIVE)
    assert len(requests) == 2
    assert {request.status for request in requests} == {304}


def test_a_file_is_a_feed(mirror: World, tmp_path: Any) -> None:
    path = tmp_path / "all.zip"
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    path.write_bytes(mirror.index.osv.archive)
    mirror.configure("delete-after = 3", sections=f"[advisories]\nfeed = {path}")

    run(mirror)

    assert versions(mirror) == ["1.0"]


def test_an_object_is_a_feed(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    mirror.s3.put_object(Bucket=mirror.bucket, Key="feeds/all.zip", Body=mirror.index.osv.archive)
    feed = f"s3://{mirror.bucket}/feeds/all.zip"
    mirror.configure("delete-after = 3", sections=f"[advisories]\nfeed = {feed}")

    run(mirror)
    assert versions(mirror) == ["1.0"]
    run(mirror)
    assert mirror.cursor().advisories.problem is None
    mirror.s3.delete_object(Bucket=mirror.bucket, Key="feeds/all.zip")
    run(mirror)
    assert mirror.cursor().advisories.problem is FeedProblem.UNAVAILABLE


def test_a_plan_shows_why(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo")
    mirror.index.osv.add("MAL-2026-2", "other", "2.0")
    mirror.clock.advance(HOUR)

    update = mirror.follow_advisories()

    assert update is not None
    assert update.plan.reasons == {"demo": Reason.BLOCKED, "other": Reason.ADVISORIES}
    assert {project: [each.id for each in ids] for project, ids in update.blocked.items()} == {
        "demo": ["MAL-2026-1"],
        "other": ["MAL-2026-2"],
    }


def test_results_name_the_advisories(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo")
    mirror.index.osv.add("MAL-2026-2", "other", "2.0")

    results = {result.project: result.blocked_by for result in run(mirror).results}

    assert results == {"demo": ("MAL-2026-1",), "other": ("MAL-2026-2",)}


def test_an_old_job_does_not_bring_malware_back(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirror)

    job = Job(RunId("20200101T000000.000000-aaaaaa-000"), canonicalize_name("demo"), 0)
    JobQueue(mirror.queue_url).send([job])
    mirror.work(last=True)

    assert versions(mirror) == ["1.0"]
