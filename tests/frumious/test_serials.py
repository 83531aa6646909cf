"""Serials that cannot be believed: wrong ones, and those of an upstream that counts anew."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from frumious.planning.named import delete, parse_names
from frumious.planning.plan import plan_deletions
from frumious.upstream.upstream import ImplausibleSerial
from tests.upstream import (
    NO_CHANGELOG,
    Edit,
    Fault,
    Headers,
    Index,
    Rpc,
    Server,
    Stale,
    Status,
    wheel,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.upstream import Action
    from tests.world import World

ABSURD = 2_000_000_000  # XML-RPC has no larger number
HOUR = 3600
ROOT = re.compile("^/simple/$")
ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n  demo\n  other\n"


def status(world: World) -> Any:
    return json.loads(world.read("web/status.json"))


def root(world: World) -> dict[str, int]:
    page = json.loads(world.read("web/simple/index.v1_json"))
    return {project["name"]: project["_last-serial"] for project in page["projects"]}


def root_serial(world: World) -> int:
    serial: int = json.loads(world.read("web/simple/index.v1_json"))["meta"]["_last-serial"]
    return serial


def versions(world: World, project: str) -> set[str]:
    return set(world.page(project)["versions"])


def settle(world: World, ticks: int = 3) -> None:
    """Run several ticks, each a day after the last."""
    for _ in range(ticks):
        world.clock.advance(25 * HOUR)
        world.mirror_run()


@pytest.fixture
def mirrored(world: World) -> World:
    """Return a mirror of the projects `demo` and `other`."""
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    return world


# One absurd serial


def _serial_of_page(page: dict[str, Any]) -> None:
    page["meta"]["_last-serial"] = ABSURD


def _without_demo(page: dict[str, Any]) -> None:
    page["projects"] = [each for each in page["projects"] if each["name"] != "demo"]


def _serial_in_root(page: dict[str, Any]) -> None:
    for project in page["projects"]:
        if project["name"] == "demo":
            project["_last-serial"] = ABSURD


def _absurd_row(rows: list[list[Any]]) -> list[list[Any]]:
    return [*rows, ["demo", "1.0", 1_767_000_000, "new release", ABSURD]]


LIES: dict[str, tuple[str | re.Pattern[str], Callable[[], Action]]] = {
    "page": ("/simple/demo/", lambda: Edit(_serial_of_page)),
    "project in the root index": (ROOT, lambda: Edit(_serial_in_root)),
    "root index": (ROOT, lambda: Edit(_serial_of_page)),
    "row": ("/pypi", lambda: Rpc("changelog_since_serial", _absurd_row)),
    "last serial": ("/pypi", lambda: Rpc("changelog_last_serial", lambda _: ABSURD)),
}


@pytest.fixture(params=LIES)
def lie(request: pytest.FixtureRequest) -> Fault:
    path, action = LIES[request.param]
    return Fault(action(), path)


@pytest.mark.parametrize("sections", ["", ALLOWLIST], ids=["all", "allowlist"])
def test_a_wrong_serial_of_the_first_run_freezes_nothing(
    world: World, lie: Fault, sections: str
) -> None:
    world.configure(sections=sections)
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "1.0"))
    world.upstream.faults.add(lie)
    world.mirror_run()
    world.index.upload(wheel("other", "2.0"))
    settle(world)
    assert versions(world, "other") == {"1.0", "2.0"}
    assert max(root(world).values()) <= world.index.serial

    world.upstream.faults.remove(lie)
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "3.0"))
    settle(world)

    assert versions(world, "demo") == {"1.0", "3.0"}
    assert versions(world, "other") == {"1.0", "2.0", "3.0"}
    assert status(world)["lagging"] == {}
    assert status(world)["problem"] is None
    assert status(world)["serial"] == root_serial(world) == world.index.serial


def test_a_wrong_serial_later_freezes_nothing(mirrored: World, lie: Fault) -> None:
    world = mirrored
    world.upstream.faults.add(lie)
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "2.0"))
    settle(world)
    assert versions(world, "other") == {"1.0", "2.0"}
    assert max(root(world).values()) <= world.index.serial

    world.upstream.faults.remove(lie)
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "3.0"))
    settle(world)

    assert versions(world, "demo") == versions(world, "other") == {"1.0", "2.0", "3.0"}
    assert status(world)["lagging"] == {}
    assert status(world)["serial"] == root_serial(world) == world.index.serial


def test_a_wrong_serial_in_a_header_freezes_nothing(mirrored: World) -> None:
    world = mirrored
    lie = Headers({"X-PyPI-Last-Serial": str(ABSURD)})
    world.upstream.faults.add(Fault(lie, "/simple/"))
    world.index.archive("demo")  # without an event: the sweep reads the header
    world.configure("sweep-days = 1")
    settle(world)
    assert world.page("demo")["project-status"]["status"] == "archived"
    world.upstream.faults.clear()

    world.index.upload(wheel("demo", "2.0"))
    settle(world)

    assert versions(world, "demo") == {"1.0", "2.0"}
    assert status(world)["lagging"] == {}


def test_a_wrong_serial_of_an_index_without_changelog_freezes_nothing(world: World) -> None:
    world.upstream.personality = NO_CHANGELOG
    world.upstream.faults.add(Fault(Edit(_serial_of_page), "/simple/demo/", times=5))
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    assert status(world)["lagging"]["demo"]["reason"] == "upstream's response is not valid"
    world.index.upload(wheel("demo", "2.0"))
    world.upstream.faults.clear()
    settle(world)

    assert versions(world, "demo") == {"1.0", "2.0"}
    assert status(world)["lagging"] == {}


def test_a_wrong_serial_that_an_earlier_version_published_is_repaired(mirrored: World) -> None:
    world = mirrored
    for key in ("web/simple/demo/index.v1_json", "web/simple/index.v1_json"):
        body = world.read(key).replace(str(root(world)["demo"]).encode(), str(ABSURD).encode())
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)
    world.index.upload(wheel("demo", "2.0"))

    settle(world)

    assert versions(world, "demo") == {"1.0", "2.0"}
    assert root(world)["demo"] == world.index.serial
    assert status(world)["lagging"] == {}


def test_a_replica_that_lags_a_little_delays_and_loses_nothing(mirrored: World) -> None:
    world = mirrored
    behind = world.index.serial
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    replica = world.upstream.faults.add(Fault(Stale(behind), "/pypi"))
    world.index.upload(wheel("demo", "3.0"))
    world.clock.advance(60)
    world.mirror_run()
    assert status(world)["problem"] is None
    world.upstream.faults.remove(replica)

    world.mirror_run()

    assert versions(world, "demo") == {"1.0", "2.0", "3.0"}
    assert status(world)["serial"] == world.index.serial
    assert not world.cursor().regressed


def test_a_process_that_lives_on_believes_serials_that_upstream_has_reached_since(
    mirrored: World,
) -> None:
    world = mirrored
    for version in ("2.0", "3.0"):
        world.index.upload(wheel("demo", version))

        assert world.sync("demo").error is None

    assert versions(world, "demo") == {"1.0", "2.0", "3.0"}


# An upstream that counts anew


@pytest.fixture
def restored(mirrored: World) -> World:
    """Return a mirror whose upstream was restored from a backup, and then changed."""
    world = mirrored
    backup = world.index.backup()
    world.index.upload(wheel("demo", "2.0"))
    world.index.upload(wheel("lost", "1.0"))
    world.mirror_run()
    world.index.restore(backup)
    world.index.upload(wheel("demo", "2.1"))  # with the serials that 2.0 had
    return world


def test_an_upstream_that_went_back_is_noticed(restored: World) -> None:
    world = restored
    assert not world.plan()
    world.clock.advance(2 * HOUR)
    plan = world.dry_run()
    world.start(plan)
    world.finalize()

    assert "restored" in plan.regressed
    assert status(world)["problem"].startswith("upstream's serials went back")
    assert status(world)["lag_serials"] is None
    assert status(world)["lag_seconds"] >= 2 * HOUR


def test_a_reset_follows_an_upstream_that_went_back(restored: World) -> None:
    world = restored
    world.mirror_run()
    assert versions(world, "demo") == {"1.0", "2.0"}
    world.clock.advance(2 * HOUR)

    world.mirror_run(reset=True, confirmed_removals=1)

    assert versions(world, "demo") == {"1.0", "2.1"}
    assert root(world).keys() == {"demo", "other"}
    assert root(world)["demo"] == world.index.serial
    assert root_serial(world) == status(world)["serial"] == world.index.serial
    assert world.read("status") == str(world.index.serial).encode()
    assert status(world)["problem"] is None
    assert status(world)["lagging"] == {}
    world.index.upload(wheel("demo", "2.2"))
    world.mirror_run()
    assert versions(world, "demo") == {"1.0", "2.1", "2.2"}
    assert world.read("status") == str(world.index.serial).encode()


def test_a_reset_removes_no_more_than_is_allowed(restored: World) -> None:
    world = restored
    world.configure("max-removals = 0% 0")
    plan = world.dry_run(reset=True)
    assert plan.stopped is not None
    before = set(world.stored("web/simple/"))

    world.start(plan)
    world.work(last=True)
    world.finalize()

    assert set(world.stored("web/simple/")) >= before


@pytest.mark.parametrize("later", [0, 3], ids=["behind", "ahead"])
def test_a_removal_that_waits_during_a_reset_accepts_lower_serials(
    mirrored: World, later: int
) -> None:
    world = mirrored
    world.configure("max-removals = 0% 0")
    world.index.quarantine_project("demo", "malware?")
    backup = world.index.backup()
    world.index.clear_project_quarantine("demo")
    world.mirror_run()
    world.index.restore(backup)
    for number in range(later):  # upstream counts past the mirror's serials
        world.index.upload(wheel("other", f"2.{number}"))
    world.clock.advance(2 * HOUR)
    world.mirror_run(reset=True)
    assert world.page("demo")["project-status"]["status"] == "active"

    world.mirror_run(confirmed_removals=1)

    assert world.page("demo")["project-status"]["status"] == "quarantined"
    assert status(world)["lagging"] == {}
    assert root(world).keys() == {"other"}


def test_a_reset_does_not_override_the_loss_guard(mirrored: World) -> None:
    world = mirrored
    backup = world.index.backup()
    for number in range(2, 6):
        world.index.upload(wheel("demo", f"{number}.0"))
    world.mirror_run()
    world.index.restore(backup)

    world.mirror_run(reset=True)

    assert len(world.page("demo")["files"]) == 5
    assert status(world)["lagging"]["demo"]["reason"] == "upstream lost most of the files"
    world.index.upload(wheel("demo", "5.1"))
    for number in range(2, 6):
        world.index.upload(wheel("demo", f"{number}.0"))
    settle(world)
    assert versions(world, "demo") == {"1.0", "2.0", "3.0", "4.0", "5.0", "5.1"}
    assert status(world)["lagging"] == {}


def test_a_reset_ends_the_runs_of_the_old_serials(restored: World) -> None:
    world = restored
    world.index.upload(wheel("other", "2.0"))
    world.plan()
    list(world.jobs())  # they are lost

    world.plan(reset=True, confirmed_removals=1)
    world.work(last=True)
    world.finalize()

    assert world.cursor().runs == ()
    assert versions(world, "other") == {"1.0", "2.0"}
    assert versions(world, "demo") == {"1.0", "2.1"}


def test_a_project_that_fails_during_the_reset_follows_later(restored: World) -> None:
    world = restored
    fault = world.upstream.faults.add(Fault(Status(503), "/simple/demo/"))
    world.mirror_run(reset=True, confirmed_removals=1)
    assert status(world)["lagging"].keys() == {"demo"}
    world.upstream.faults.remove(fault)

    settle(world)

    assert versions(world, "demo") == {"1.0", "2.1"}
    assert status(world)["lagging"] == {}
    assert root(world)["demo"] == world.index.serial


def test_an_upstream_that_has_caught_up_again_is_compared_at_once(mirrored: World) -> None:
    world = mirrored
    backup = world.index.backup()
    world.index.journal("other", "new release")
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    world.index.restore(backup)
    world.index.upload(wheel("demo", "2.1"))
    world.mirror_run()
    world.clock.advance(2 * HOUR)
    world.mirror_run()
    while world.index.serial <= (world.cursor().serial or 0):
        world.index.journal("other", "new release")
    world.mirror_run()
    world.clock.advance(60)

    world.mirror_run()

    assert status(world)["lagging"]["demo"]["reason"].startswith("upstream's page is older")
    world.mirror_run(reset=True)
    assert status(world)["lagging"] == {}
    assert versions(world, "demo") == {"1.0", "2.1"}


def test_an_index_without_changelog_that_went_back_is_followed_after_a_reset(
    world: World,
) -> None:
    world.upstream.personality = NO_CHANGELOG
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "1.0"))
    backup = world.index.backup()
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    world.index.restore(backup)
    world.mirror_run()
    world.clock.advance(2 * HOUR)
    world.mirror_run()
    assert status(world)["problem"]

    world.mirror_run(reset=True)

    assert versions(world, "demo") == {"1.0"}
    assert status(world)["problem"] is None
    assert world.read("status") == str(world.index.serial).encode()


def _left_without_changelog(world: World) -> int:
    """Mirror a project that has another release then; return the serial of that."""
    world.upstream.personality = NO_CHANGELOG
    for name in ("demo", "other"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.index.upload(wheel("demo", "2.0"))
    serial = world.index.serial
    world.index.upload(wheel("other", "2.0"))
    return serial


def test_a_cached_page_from_before_its_removal_does_not_count_as_what_upstream_has(
    world: World,
) -> None:
    released = _left_without_changelog(world)
    world.index.remove_project("demo")
    world.upstream.faults.add(Fault(Stale(released), project="demo"))

    world.mirror_run()
    world.clock.advance(HOUR)
    world.mirror_run()

    assert versions(world, "demo") == {"1.0"}
    assert status(world)["lagging"]["demo"]["reason"].startswith("upstream's page is older")

    world.upstream.faults.clear()
    settle(world)

    assert "web/simple/demo/index.v1_json" not in world.stored("web/simple/")
    assert status(world)["lagging"] == {}
    assert root(world).keys() == {"other"}


def test_a_quarantine_that_is_older_than_the_root_index_without_it_is_mirrored(
    world: World,
) -> None:
    _left_without_changelog(world)
    world.index.quarantine_project("demo")
    world.index.upload(wheel("other", "3.0"))

    world.mirror_run()

    assert world.page("demo")["project-status"]["status"] == "quarantined"
    assert status(world)["lagging"] == {}
    assert world.read("status") == str(world.index.serial).encode()


def test_a_quarantine_ends_that_a_project_lags_behind_a_root_index_without_it(
    world: World,
) -> None:
    _left_without_changelog(world)
    world.index.quarantine_project("demo")
    world.index.upload(wheel("other", "3.0"))
    fault = world.upstream.faults.add(Fault(Status(503), "/simple/demo/"))
    world.mirror_run()
    assert "demo" in status(world)["lagging"]
    world.upstream.faults.remove(fault)

    settle(world, ticks=1)

    assert world.page("demo")["project-status"]["status"] == "quarantined"
    assert status(world)["lagging"] == {}


def test_a_root_index_that_lacked_a_project_by_mistake_delays_its_releases_only(
    world: World,
) -> None:
    _left_without_changelog(world)
    fault = world.upstream.faults.add(Fault(Edit(_without_demo), ROOT))
    world.mirror_run()
    assert "demo" in status(world)["lagging"]
    assert versions(world, "demo") == {"1.0"}
    world.upstream.faults.remove(fault)

    settle(world, ticks=2)

    assert versions(world, "demo") == {"1.0", "2.0"}
    assert status(world)["lagging"] == {}


def test_a_frozen_cursor_of_an_earlier_version_is_noticed_and_reset(mirrored: World) -> None:
    world = mirrored
    world.change_cursor(serial=ABSURD, upstream=ABSURD)
    world.finalize()
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    world.clock.advance(2 * HOUR)
    world.mirror_run()
    assert status(world)["problem"]

    world.mirror_run(reset=True)

    assert versions(world, "demo") == {"1.0", "2.0"}
    assert world.read("status") == str(world.index.serial).encode()


# Another index


@pytest.fixture(params=[1_000, 60_000_000], ids=["lower", "higher"])
def other_upstream(request: pytest.FixtureRequest) -> Iterator[Server]:
    """Serve another index, with lower or higher serials."""
    index = Index(first_serial=request.param)
    index.upload(wheel("demo", "9.0"))
    index.upload(wheel("unrelated", "1.0"))
    with Server(index) as server:
        yield server


def test_another_master_changes_nothing_until_the_serials_are_reset(
    mirrored: World, other_upstream: Server
) -> None:
    world = mirrored
    pages = {key: body for key, body in world.contents().items() if "web/simple/" in key}
    world.master = other_upstream.url
    world.configure()

    plan = world.dry_run()
    world.start(plan)
    world.clock.advance(2 * HOUR)
    world.mirror_run()

    assert "master" in plan.regressed
    assert not other_upstream.requests
    assert status(world)["problem"]
    assert status(world)["lag_seconds"] >= 2 * HOUR
    now = {key: body for key, body in world.contents().items() if "web/simple/" in key}
    assert now == pages

    world.master = world.upstream.url  # it was a mistake
    world.configure()
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    assert versions(world, "demo") == {"1.0", "2.0"}
    assert status(world)["problem"] is None


def test_a_reset_follows_another_master(mirrored: World, other_upstream: Server) -> None:
    world = mirrored
    world.master = other_upstream.url
    world.configure("max-removals = 100% 100")

    world.mirror_run(reset=True)

    assert root(world).keys() == {"demo", "unrelated"}
    assert world.read("status") == str(other_upstream.index.serial).encode()
    assert status(world)["lagging"].keys() == {"demo"}, "most of its files are gone"
    world.run(lambda mirror: mirror.ledger.change_lagging(lambda _: {}))
    assert not world.plan(), "from here on the other index's changelog is followed"


@pytest.mark.parametrize("how", ["on the queue", "by name", "lagging"])
def test_no_job_takes_anything_from_another_master(
    mirrored: World, other_upstream: Server, how: str
) -> None:
    world = mirrored
    world.index.upload(wheel("demo", "2.0"))
    if how == "lagging":
        fault = world.upstream.faults.add(Fault(Status(503), "/simple/demo/"))
        world.mirror_run()
        world.upstream.faults.remove(fault)
        world.retry()
    if how != "by name":
        world.plan()
    before = world.page("demo")
    world.master = other_upstream.url
    world.configure()

    if how == "by name":
        world.plan(["demo"])
    world.work(last=True)
    world.finalize()

    assert world.page("demo") == before
    assert not other_upstream.requests
    reason = "the mirror follows another index than 'master' in mirror.conf"
    assert status(world)["lagging"]["demo"]["reason"] == reason

    world.master = world.upstream.url
    world.configure()
    settle(world, ticks=1)
    assert versions(world, "demo") == {"1.0", "2.0"}
    assert status(world)["lagging"] == {}


def test_a_project_can_be_deleted_although_master_is_another_index(
    mirrored: World, other_upstream: Server
) -> None:
    world = mirrored
    world.master = other_upstream.url
    world.configure()

    world.run(lambda mirror: delete(mirror, parse_names(["demo"])))
    world.start(plan_deletions(["demo"]))
    world.work(last=True)
    world.finalize()

    assert root(world).keys() == {"other"}
    assert not other_upstream.requests


def test_while_the_changelog_fails_no_page_is_ahead_of_the_root_index(mirrored: World) -> None:
    fault = mirrored.upstream.faults.add(Fault(Status(503), "/pypi"))
    lie = mirrored.upstream.faults.add(Fault(Edit(_slightly_high_serial), "/simple/demo/"))
    with pytest.raises(ImplausibleSerial):
        mirrored.sync("demo", run="run-2")
    mirrored.upstream.faults.remove(fault)
    mirrored.upstream.faults.remove(lie)

    mirrored.index.upload(wheel("demo", "2.0"))
    settle(mirrored)

    assert versions(mirrored, "demo") == {"1.0", "2.0"}


def _slightly_high_serial(page: dict[str, Any]) -> None:
    page["meta"]["_last-serial"] += 1000


def test_a_first_run_requires_the_serials_of_a_root_index_that_is_newer(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    old = world.index.serial
    world.index.upload(wheel("demo", "2.0"))
    world.upstream.faults.add(Fault(Rpc("changelog_last_serial", lambda _: old), "/pypi", times=1))

    assert world.dry_run().jobs == {"demo": world.index.serial}


def test_an_event_that_never_was_holds_a_project_up_for_a_day_at_most(mirrored: World) -> None:
    false_event = ["demo", "2.0", 1_767_000_000, "new release", mirrored.index.serial + 1]
    mirrored.index.upload(wheel("other", "2.0"))
    lie = Fault(Rpc("changelog_since_serial", lambda rows: [*rows, false_event]), "/pypi")
    mirrored.upstream.faults.add(lie)
    mirrored.plan()
    mirrored.upstream.faults.remove(lie)
    mirrored.work(last=True)
    mirrored.finalize()
    assert set(status(mirrored)["lagging"]) == {"demo"}

    settle(mirrored, ticks=2)

    assert not status(mirrored)["lagging"]
