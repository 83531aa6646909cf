"""What a tick plans: changes upstream, retries and sweeps, and what stops a plan."""

from __future__ import annotations

import asyncio
import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import pytest

from frumious.messaging.job_queue import JobQueue
from frumious.model.jobs import AllowedRemoval
from frumious.model.plans import Plan, Reason, RemovalLimit
from frumious.planning import dispatch
from frumious.planning.dispatch import start_runs
from frumious.planning.plan import plan_changes, summary
from frumious.upstream.changelog import NoChangelog
from tests.upstream import (
    BANDERSNATCH,
    HTML_ONLY,
    PYPI,
    Fault,
    RateLimited,
    Redirect,
    Stale,
    Status,
    sdist,
    wheel,
)

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

NO_XML_RPC: Final = replace(PYPI, apis=False)
DAY: Final = 24 * 3600


def allowlist(*packages: str) -> str:
    lines = "".join(f"  {package}\n" for package in packages)
    return (
        "[plugins]\nenabled =\n  allowlist_project\n  allowlist_release\n"
        f"[allowlist]\npackages =\n{lines}"
    )


def blocklist(*packages: str) -> str:
    lines = "".join(f"  {package}\n" for package in packages)
    return (
        "[plugins]\nenabled =\n  blocklist_project\n  blocklist_release\n"
        f"[blocklist]\npackages =\n{lines}"
    )


def reasons(plan: Plan) -> dict[str, Reason]:
    return {str(project): reason for project, reason in plan.reasons.items()}


def roots(world: World) -> int:
    """Return the number of requests for upstream's root index."""
    return sum(request.path == "/simple/" for request in world.upstream.requests)


def upload(world: World, *names: str) -> None:
    for name in names:
        world.index.upload(wheel(name, "1.0"))


def open_unsent(world: World) -> None:
    """Open a run in a tick that has no time to send its jobs."""
    plan = world.dry_run()

    async def too_late(mirror: Mirror) -> None:
        await start_runs(plan, mirror, JobQueue(world.queue_url), deadline=time.monotonic() - 1)

    world.run(too_late)


def lose_plan(world: World) -> None:
    """Delete the plan of the only open run."""
    (run,) = world.cursor().runs
    world.s3.delete_object(Bucket=world.bucket, Key=f"state/runs/{run.run}/plan.json")


# By changelog


def test_the_changelog_is_read_page_by_page(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    world.upstream.row_limit = 3
    upload(world, "two", "three", "four")
    world.index.yank("one", "1.0")

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("frumious.upstream.changelog.MAX_ROWS", 3)
        plan = world.dry_run()

    assert reasons(plan) == dict.fromkeys(["two", "three", "four", "one"], Reason.CHANGED)
    assert plan.cursor is not None
    assert plan.cursor.serial == world.index.serial


def test_a_short_rate_limit_is_waited_out(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    upload(world, "two")
    world.upstream.faults.add(Fault(RateLimited(reset=1), "/pypi", times=1))

    assert reasons(world.dry_run()) == {"two": Reason.CHANGED}


def test_owners_and_invitations_are_no_changes(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    world.index.journal("one", "add Owner someone")

    assert not world.dry_run().jobs


def test_a_plan_names_what_upstream_removed(world: World) -> None:
    upload(world, "gone", "quarantined", "reborn", "smaller")
    world.mirror_run()
    world.index.remove_project("gone")
    world.index.quarantine_project("quarantined")
    world.index.remove_project("reborn")
    world.index.add_project("reborn")
    world.index.remove_release("smaller", "1.0")

    plan = world.dry_run()

    assert reasons(plan) == {
        "gone": Reason.REMOVED,
        "quarantined": Reason.REMOVED,
        "reborn": Reason.CHANGED,
        "smaller": Reason.CHANGED,
    }
    assert plan.allowed_removals == {
        "gone": AllowedRemoval.PROJECT,
        "quarantined": AllowedRemoval.PROJECT,
        "reborn": AllowedRemoval.FILES,
        "smaller": AllowedRemoval.FILES,
    }


def test_a_missing_changelog_is_an_error_if_configured(world: World) -> None:
    world.configure("discovery = changelog")
    world.upstream.personality = NO_XML_RPC

    with pytest.raises(NoChangelog):
        world.dry_run()


# By root index


def test_without_a_changelog_the_root_index_reveals_changes(world: World) -> None:
    world.upstream.personality = NO_XML_RPC
    upload(world, "one", "two", "three")
    world.mirror_run()
    assert world.read("status") == str(world.index.serial).encode()
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_project("two")
    upload(world, "four")

    plan = world.dry_run()

    assert reasons(plan) == {"one": Reason.DIFFERS, "two": Reason.UNANNOUNCED, "four": Reason.NEW}
    world.start(plan)
    world.work(last=True)
    world.finalize()
    assert {
        project["name"]
        for project in json.loads(world.read("web/simple/index.v1_json"))["projects"]
    } == {"one", "three", "four"}
    assert world.read("status") == str(world.index.serial).encode()


def test_an_unchanged_root_index_is_not_downloaded(world: World) -> None:
    world.configure("discovery = index")
    upload(world, "one")
    world.mirror_run()
    world.plan()
    world.upstream.clear()

    assert not world.dry_run().jobs
    (request,) = (request for request in world.upstream.requests if request.path == "/simple/")
    assert request.status == 304
    assert not [request for request in world.upstream.requests if request.path == "/pypi"]


def test_an_unchanged_root_index_is_compared_once_a_day(world: World) -> None:
    world.upstream.personality = NO_XML_RPC
    upload(world, "one", "two")
    world.mirror_run()
    cached = world.index.serial
    world.index.remove_project("two")
    stale = world.upstream.faults.add(Fault(Stale(cached), "/simple/two/"))
    world.mirror_run()
    assert world.stored("web/simple/two/")
    world.upstream.faults.remove(stale)

    world.clock.advance(DAY)
    world.mirror_run()

    assert not world.stored("web/simple/two/")


def test_projects_of_open_runs_are_not_planned_from_the_root_index(world: World) -> None:
    world.configure("discovery = index")
    upload(world, "one")
    world.plan()
    upload(world, "two")

    assert reasons(world.dry_run()) == {"two": Reason.NEW}


@pytest.mark.parametrize("personality", [BANDERSNATCH, HTML_ONLY])
def test_projects_of_open_runs_are_not_planned_again_without_serials(
    world: World, personality: object
) -> None:
    world.upstream.personality = personality  # type: ignore[assignment]
    upload(world, "one", "two")
    assert world.plan()

    assert not world.plan()


@pytest.mark.parametrize("personality", [BANDERSNATCH, HTML_ONLY])
def test_an_upstream_without_a_change_feed_is_polled_by_project(
    world: World, personality: object
) -> None:
    world.upstream.personality = personality  # type: ignore[assignment]
    upload(world, "one", "two")
    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_project("two")

    world.mirror_run()
    world.mirror_run()

    assert len(world.page("one")["files"]) == 2
    assert "web/simple/two/index.html" not in world.contents()


# By names


def test_names_are_polled_with_their_etag(world: World) -> None:
    world.configure("discovery = names", allowlist("one", "two", "later"))
    upload(world, "one", "two", "three")
    world.mirror_run()
    world.upstream.clear()

    assert not world.dry_run().jobs
    answers = {request.path: request.status for request in world.upstream.requests}
    assert answers == {"/simple/one/": 304, "/simple/two/": 304, "/simple/later/": 404}

    world.index.upload(wheel("one", "2.0"))
    world.index.archive("two")
    upload(world, "later")
    assert reasons(world.dry_run()) == {
        "one": Reason.DIFFERS,
        "two": Reason.DIFFERS,
        "later": Reason.NEW,
    }
    world.mirror_run()
    assert not world.dry_run().jobs


def test_a_name_that_upstream_removed_is_removed(world: World) -> None:
    world.configure("discovery = names", allowlist("one"))
    upload(world, "one", "other")
    world.mirror_run()
    world.index.remove_project("one")

    world.mirror_run()

    assert world.files() == {}


def test_many_names_are_polled_in_turn(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frumious.planning.sweep._MAX_TURN_WITHOUT_FEED", 2)
    names = ["a", "b", "c", "d", "e"]
    world.configure("discovery = names", allowlist(*names))
    upload(world, *names)
    world.mirror_run()
    asked = []
    for _ in range(3):
        world.upstream.clear()
        world.plan()
        asked.append([request.path for request in world.upstream.requests])

    assert [sorted(paths) for paths in asked] == [
        ["/simple/a/", "/simple/b/"],
        ["/simple/c/", "/simple/d/"],
        ["/simple/e/"],
    ]


def test_one_name_that_fails_upstream_does_not_delay_the_others(world: World) -> None:
    world.configure("discovery = names", allowlist("one", "two"))
    upload(world, "one", "two")
    world.mirror_run()
    world.index.upload(wheel("two", "2.0"))
    world.upstream.faults.add(Fault(Status(500), "/simple/one/"))

    assert reasons(world.dry_run()) == {"two": Reason.DIFFERS}


def test_a_name_that_upstream_redirects_elsewhere_lags_with_a_reason(world: World) -> None:
    world.configure("discovery = names", allowlist("one", "two"))
    upload(world, "one", "two")
    world.mirror_run()
    world.index.upload(wheel("two", "2.0"))
    world.upstream.faults.add(Fault(Redirect("http://192.0.2.1/"), "/simple/one/"))

    world.mirror_run()

    assert len(world.page("two")["files"]) == 2
    lagging = json.loads(world.read("web/status.json"))["lagging"]
    assert lagging["one"]["reason"] == "upstream's address is not allowed"


def test_a_short_allowlist_needs_no_changelog_and_no_root_index(world: World) -> None:
    world.upstream.personality = NO_XML_RPC
    world.configure(sections=allowlist("one"))
    upload(world, "one", "two")

    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    world.mirror_run()

    assert len(world.page("one")["files"]) == 2
    assert roots(world) == 1, "and that for the header, which confirms the page's serial"


# What heals


def test_the_daily_comparison_repairs_missed_changes(world: World) -> None:
    upload(world, "one", "two", "three")
    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_project("two")
    upload(world, "four")
    world.change_cursor(serial=world.index.serial)  # as if those events had been lost
    assert not world.dry_run().jobs

    world.clock.advance(DAY + 1)
    plan = world.dry_run()

    assert reasons(plan) == {"one": Reason.DIFFERS, "two": Reason.UNANNOUNCED, "four": Reason.NEW}
    world.start(plan)
    before = roots(world)
    world.dry_run()
    assert roots(world) == before, "until tomorrow"


@pytest.mark.parametrize("project", ["archived", "late-metadata"])
def test_the_sweep_finds_changes_without_an_event(world: World, project: str) -> None:
    file = world.index.upload(sdist(project, "1.0"))
    upload(world, "other")
    world.mirror_run()
    if project == "archived":
        world.index.archive(project)
    else:
        world.index.backfill_metadata(project, file.filename, b"Name: late-metadata\n")
    assert not world.dry_run().jobs

    world.clock.advance(31 * DAY)

    assert reasons(world.dry_run()) == {project: Reason.DIFFERS}


def test_the_sweep_leaves_removals_to_the_comparison(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    world.upstream.faults.add(Fault(Status(404), "/simple/one/"))

    world.clock.advance(31 * DAY)

    assert not world.dry_run().jobs


def test_the_sweep_finds_that_a_quarantined_project_is_gone(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    world.index.quarantine_project("one")
    world.mirror_run()
    world.index.remove_project("one")
    world.change_cursor(serial=world.index.serial)  # as if that event had been lost

    world.clock.advance(31 * DAY)

    assert reasons(world.dry_run()) == {"one": Reason.UNANNOUNCED}


def test_the_first_comparison_finds_that_a_quarantined_project_is_gone(world: World) -> None:
    """Somebody had named it before, and no event says that it has left."""
    upload(world, "one", "two")
    world.index.quarantine_project("one")
    world.mirror_run(["one"])
    world.index.remove_project("one")

    assert reasons(world.dry_run()) == {"one": Reason.DIFFERS, "two": Reason.NEW}


def test_the_sweep_repairs_the_page_of_the_only_project_although_it_is_quarantined(
    world: World,
) -> None:
    upload(world, "one")
    world.mirror_run()
    world.index.quarantine_project("one")
    world.mirror_run()
    world.clock.advance(2 * 3600)
    world.mirror_run()  # of what is due for deletion nothing is left
    world.s3.put_object(Bucket=world.bucket, Key="web/simple/one/index.v1_json", Body=b"{")

    world.clock.advance(31 * DAY)

    assert reasons(world.dry_run()) == {"one": Reason.DIFFERS}


def test_the_sweep_plans_no_more_than_its_share(world: World) -> None:
    names = [f"p{number}" for number in range(10)]
    upload(world, *names)
    world.mirror_run()
    world.clock.advance(3 * DAY + 60)
    world.upstream.clear()

    world.plan()

    pages = [request for request in world.upstream.requests if request.path.startswith("/simple/p")]
    assert [request.path for request in pages] == ["/simple/p0/"]
    assert world.cursor().swept == "p0"


def test_the_sweep_skips_no_project_of_its_share(world: World) -> None:
    upload(world, *(f"p{number}" for number in range(10)))
    world.mirror_run()
    begun = world.cursor().swept_at
    world.clock.advance(5 * DAY)  # a share is three

    world.plan()

    assert world.cursor().swept == "p0"
    assert world.cursor().swept_at == pytest.approx(begun + 3 * DAY)


def test_the_sweep_can_be_switched_off(world: World) -> None:
    world.configure("sweep-days = 0")
    upload(world, "one")
    world.mirror_run()
    world.index.archive("one")
    world.clock.advance(365 * DAY)

    assert not world.dry_run().jobs


# What the configuration changes


def test_a_narrower_allowlist_removes_projects_and_a_wider_one_adds_them(world: World) -> None:
    upload(world, "one", "two", "three")
    world.configure(sections=allowlist("one", "two"))
    world.mirror_run()
    world.configure(sections=allowlist("one", "three"))

    waiting = world.dry_run()
    assert (reasons(waiting), waiting.withheld) == (
        {"three": Reason.NEW},
        {"two": Reason.UNWANTED},
    )
    plan = world.dry_run(confirmed_removals=1)

    assert reasons(plan) == {"two": Reason.UNWANTED, "three": Reason.NEW}
    world.start(plan)
    world.work(last=True)
    world.finalize()
    root = json.loads(world.read("web/simple/index.v1_json"))["projects"]
    assert {project["name"] for project in root} == {"one", "three"}
    assert not world.stored("web/simple/two/")
    assert not world.upstream.requests_for("/simple/two/")[1:], "upstream is not asked for it"
    assert not world.dry_run().jobs


def test_a_quarantined_project_that_is_no_longer_selected_is_removed(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    world.index.quarantine_project("two")
    world.mirror_run()
    world.configure(sections=blocklist("two"))

    assert world.dry_run().withheld == {"two": Reason.UNWANTED}

    world.mirror_run(confirmed_removals=1)
    assert not world.stored("web/simple/two/")
    assert not world.dry_run().jobs


def test_a_configuration_whose_planner_was_killed_is_followed_by_another(world: World) -> None:
    upload(world, "one")
    world.mirror_run()
    stored = world.read("state/selection.json")
    world.configure("root_uri = https://files.example/")
    world.mirror_run()
    world.s3.put_object(Bucket=world.bucket, Key="state/selection.json", Body=stored)
    world.configure()

    world.mirror_run()

    (file,) = world.page("one")["files"]
    assert file["url"].startswith("../../packages/")
    assert not world.dry_run().jobs


def test_a_changed_release_filter_plans_only_its_project(world: World) -> None:
    for name in ("one", "two"):
        upload(world, name)
        world.index.upload(wheel(name, "2.0"))
    world.mirror_run()
    world.configure(sections=blocklist("one>=2"))

    assert reasons(world.dry_run()) == {"one": Reason.RESELECTED}
    world.mirror_run()
    assert world.page("one")["versions"] == ["1.0"]

    world.configure()
    world.mirror_run()
    assert world.page("one")["versions"] == ["1.0", "2.0"]


def test_changed_page_options_render_all_pages(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    files = world.files()
    world.configure("root_uri = https://files.example/")

    world.mirror_run()

    for name in ("one", "two"):
        urls = [file["url"] for file in world.page(name)["files"]]
        assert all(url.startswith("https://files.example/packages/") for url in urls)
    assert world.files() == files
    assert not world.dry_run().jobs


def test_a_run_of_the_old_selection_downloads_no_more_files(world: World) -> None:
    world.configure(sections=allowlist("one", "two"))
    upload(world, "one", "two")
    world.plan()
    world.configure(sections=allowlist("one"))

    world.work(last=True)
    world.finalize()

    assert not world.stored("web/simple/two/")


def test_a_lagging_project_that_is_no_longer_selected_is_dropped(world: World) -> None:
    world.configure(sections=allowlist("one", "two"))
    upload(world, "one", "two")
    world.upstream.faults.add(Fault(Status(404), "/packages/", project="two"))
    world.mirror_run()
    world.configure(sections=allowlist("one"))

    world.mirror_run(confirmed_removals=1)

    assert json.loads(world.read("web/status.json"))["lagging"] == {}
    assert not world.stored("web/simple/two/")


def test_all_projects_can_be_planned(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    world.s3.delete_object(Bucket=world.bucket, Key="web/simple/one/index.html")

    plan = world.dry_run(force=True)
    assert reasons(plan) == {"one": Reason.FORCED, "two": Reason.FORCED}
    world.start(plan)
    world.work(last=True)
    world.finalize()

    assert world.read("web/simple/one/index.html")


# The breaker


def test_a_plan_that_removes_too_much_is_not_started(world: World) -> None:
    world.configure("max-removals = 40% 2")
    names = [f"p{number}" for number in range(10)]
    upload(world, *names)
    world.mirror_run()
    for name in names[:5]:
        world.index.remove_project(name)
    before = world.contents()

    plan = world.dry_run()
    assert plan.stopped == RemovalLimit(removals=5, projects=10, allowed=4)
    assert "5 of the mirror's 10 projects, and max-removals allows 4" in plan.stopped.message
    assert world.start(plan) == []
    assert world.contents() == before

    assert world.plan(confirmed_removals=4) == []
    world.mirror_run(confirmed_removals=5)
    assert len(world.stored("web/simple/p")) == 15


def test_projects_that_were_never_mirrored_are_not_removed(world: World) -> None:
    world.configure("max-removals = 0% 2")
    upload(world, "one")
    world.mirror_run()
    for number in range(5):
        upload(world, f"spam{number}")
        world.index.remove_project(f"spam{number}")

    assert list(reasons(world.dry_run()).values()) == [Reason.REMOVED] * 5
    world.mirror_run()

    assert world.read("status") == str(world.index.serial).encode()


def test_an_allowlist_truncated_by_mistake_removes_nothing(world: World) -> None:
    names = [f"p{number}" for number in range(12)]
    world.configure(sections=allowlist(*names))
    upload(world, *names)
    world.mirror_run()
    world.configure(sections=allowlist("p0"))

    before = {key: body for key, body in world.contents().items() if "simple/p1" in key}

    plan = world.dry_run()
    assert plan.stopped is not None
    assert (plan.stopped.removals, plan.stopped.unwanted) == (11, 11)
    assert world.start(plan) == []
    world.mirror_run(force=True)

    assert before.items() <= world.contents().items()
    assert len(world.files()) == 24
    world.configure(sections=allowlist(*names))
    assert not world.dry_run().stopped, "the mistake is corrected"


# The plan as a value


def test_a_plan_has_a_summary(world: World) -> None:
    upload(world, "one", "two", "three")
    world.upstream.faults.add(Fault(Status(404), "/packages/", project="three"))
    world.mirror_run()
    since = world.index.serial
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_project("two")
    world.retry()
    before = world.contents()

    shown = summary(world.dry_run())

    assert shown == {
        "since": since,
        "until": world.index.serial,
        "counts": {"updated": 1, "removed": 1, "retried": 1},
        "updated": {"one": "changed upstream"},
        "removed": {"two": "removed upstream"},
        "retried": {"three": "lagging, and due for a retry"},
    }
    assert world.contents() == before


# Large plans, and several planners


def test_a_large_plan_is_dispatched_in_stages(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dispatch, "_MAX_RUN_SIZE", 2)
    monkeypatch.setattr(dispatch, "_CONCURRENT_STAGES", 2)
    names = [f"p{number}" for number in range(9)]
    upload(world, *names)

    runs = world.plan()

    assert [len(run.jobs) for run in runs] == [2, 2, 2, 2, 1]
    assert [run.sent is not None for run in world.cursor().runs] == [
        True,
        True,
        False,
        False,
        False,
    ]
    world.work(last=True)
    world.index.upload(wheel("p0", "2.0"))
    (change,) = world.plan()
    assert list(change.jobs) == ["p0"], "a change does not wait for the stages"
    assert "status" not in world.contents()
    for _ in range(3):
        world.work(last=True)
        world.finalize()
        world.plan()
    assert world.cursor().runs == ()
    assert world.read("status") == str(world.index.serial).encode()
    root = json.loads(world.read("web/simple/index.v1_json"))["projects"]
    assert [project["name"] for project in root] == names


def test_jobs_that_were_not_sent_in_time_are_sent_at_the_next_tick(world: World) -> None:
    upload(world, "one", "two")
    open_unsent(world)
    assert list(world.jobs()) == []

    world.plan()

    assert {job.project for job in world.jobs()} == {"one", "two"}


def test_a_run_with_a_lost_plan_stops_no_other_and_its_projects_are_compared(
    world: World,
) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    world.index.upload(wheel("one", "2.0"))
    open_unsent(world)
    lose_plan(world)
    world.index.upload(wheel("two", "2.0"))

    (run,) = world.plan()

    assert list(run.jobs) == ["two"]
    assert [entry.run for entry in world.cursor().runs] == [run.run]
    assert reasons(world.dry_run())["one"] is Reason.CHANGED
    world.work(last=True)
    world.finalize()
    world.mirror_run()
    assert len(world.page("one")["files"]) == len(world.page("two")["files"]) == 2


def test_a_lost_run_of_polled_names_is_replanned(world: World) -> None:
    world.configure("sweep-days = 0", allowlist("one"))
    upload(world, "one")
    open_unsent(world)
    lose_plan(world)
    world.plan()

    world.mirror_run()

    assert len(world.page("one")["files"]) == 1


def test_projects_of_a_lost_run_are_replanned_from_the_root_index(world: World) -> None:
    world.configure("discovery = index")
    upload(world, "one")
    world.plan()
    lose_plan(world)
    upload(world, "two")

    assert reasons(world.dry_run()) == {"one": Reason.NEW, "two": Reason.NEW}


def test_only_one_of_two_concurrent_planners_opens_a_run(world: World) -> None:
    upload(world, "one")

    async def both(mirror: Mirror) -> list[list[str]]:
        plans = await asyncio.gather(plan_changes(mirror), plan_changes(mirror))
        queue = JobQueue(world.queue_url)
        opened = await asyncio.gather(*(start_runs(plan, mirror, queue) for plan in plans))
        return [[str(run) for run in runs] for runs in opened]

    opened = world.run(both)

    assert sorted(map(len, opened)) == [0, 1]
    assert len(world.cursor().runs) == 1
    world.work(last=True)
    world.finalize()
    assert world.read("status") == str(world.index.serial).encode()


# Fingerprints of the configuration


def test_only_projects_with_changed_rules_are_selected(world: World) -> None:
    upload(world, "one", "two")
    world.configure(sections=allowlist("one", "two<2"))
    world.mirror_run()
    world.configure(sections=allowlist("one", "two<3"))

    assert reasons(world.dry_run()) == {"two": Reason.RESELECTED}


def test_a_changelog_outage_loses_no_event(world: World) -> None:
    upload(world, "one", "two")
    world.mirror_run()
    since = world.index.serial
    world.upstream.personality = NO_XML_RPC
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_release("two", "1.0")

    world.mirror_run()

    assert len(world.page("one")["files"]) == 2, "the root index shows the change"
    assert len(world.page("two")["files"]) == 1, "and not that a release was removed"
    assert world.read("status") == str(since).encode()
    world.upstream.personality = PYPI
    world.mirror_run()
    assert world.page("two")["files"] == []
    assert world.read("status") == str(world.index.serial).encode()
