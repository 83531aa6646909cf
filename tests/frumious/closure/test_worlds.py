"""The closure in a bucket: planner, workers and finalizer find what selected projects need."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import Report
from frumious.model.plans import Reason
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from frumious.model.closure import Needed
    from tests.world import World

LIST = "[plugins]\nenabled =\n  allowlist_project\n{more}\n[allowlist]\npackages =\n  {names}\n"


class Closed:
    """A mirror with a closure."""

    def __init__(self, world: World) -> None:
        self.world = world

    def configure(
        self,
        *names: str,
        closure: str = "true",
        options: str = "",
        more: str = "",
        sections: str = "",
    ) -> None:
        listed = LIST.format(names="\n  ".join(names), more=more)
        self.world.configure(
            sections=f"{listed}[closure]\nclosure = {closure}\n{options}\n{sections}"
        )

    def run(self, *, confirmed_removals: int = 0) -> int:
        """Tick until nothing new is needed, and return how many ticks that took."""
        for tick in range(1, 30):
            self.world.mirror_run(confirmed_removals=confirmed_removals)
            if not self.world.cursor().closure.is_outdated:
                self.world.mirror_run(confirmed_removals=confirmed_removals)
                return tick
        pytest.fail("the closure does not end")

    def files(self) -> set[str]:
        """Return the mirrored files as name-version."""
        names = (key.rpartition("/")[2] for key in self.world.files())
        releases = (name.removesuffix(".tar.gz").partition("-py3")[0] for name in names)
        return {release for release in releases if not release.endswith(".metadata")}

    def needed(self) -> Needed:
        """Return what the planner has found to be needed."""
        needed = self.world.run(lambda mirror: mirror.ledger.needed())
        assert needed is not None
        return needed


@pytest.fixture
def closed(world: World) -> Closed:
    return Closed(world)


def upload(world: World, name: str, version: str, *requires: str) -> None:
    world.index.upload(wheel(name, version, requires=requires))


def test_what_is_needed_is_mirrored_and_nothing_else(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib>=2", "tool[fast]; python_version > '3'", "gone; extra == 'x'")
    for version in ("1.0", "2.0", "3.0"):
        upload(world, "lib", version, "leaf<3")
    upload(world, "tool", "1.0", "quick; extra == 'fast'", "slow; extra == 'slow'")
    upload(world, "leaf", "2.0", "app")  # a circle
    upload(world, "leaf", "3.0", "unneeded")
    for name in ("quick", "slow", "gone", "unneeded", "other"):
        upload(world, name, "1.0")
    closed.configure("app")

    world.mirror_run()
    reasons = world.dry_run().reasons
    assert reasons == dict.fromkeys(("lib", "tool"), Reason.NEEDED)
    assert closed.run() <= 3
    assert closed.files() == {
        "app-1.0",
        "lib-2.0",
        "lib-3.0",
        "tool-1.0",
        "leaf-2.0",
        "quick-1.0",
    }
    assert not world.dry_run().jobs, "nothing is left to do"


def test_extras_of_listed_projects_count(closed: Closed) -> None:
    upload(closed.world, "app", "1.0", "plain", "nice; extra == 'nice'", "all; extra == 'all'")
    for name in ("plain", "nice", "all"):
        upload(closed.world, name, "1.0")
    closed.configure("app[nice]")
    closed.run()
    assert closed.files() == {"app-1.0", "plain-1.0", "nice-1.0"}
    closed.configure("app[nice]", options="extras = app[all]")
    closed.run()
    assert closed.files() == {"app-1.0", "plain-1.0", "nice-1.0", "all-1.0"}


def test_markers_count_for_the_configured_environments(closed: Closed) -> None:
    markers = {
        "unix": "os_name == 'posix'",
        "win": "sys_platform == 'win32'",
        "old": "python_version < '3.9'",
        "arm": "platform_machine == 'aarch64'",
        "kernel": "platform_release >= '6'",
    }
    upload(closed.world, "app", "1.0", *(f"{name}; {text}" for name, text in markers.items()))
    for name in markers:
        upload(closed.world, name, "1.0")
    closed.configure("app", options="environments =\n  3.13 linux x86_64\n  3.12 macos")
    closed.run()
    # macOS leaves the architecture open, and no environment says anything of the kernel.
    assert closed.files() == {"app-1.0", "unix-1.0", "arm-1.0", "kernel-1.0"}
    closed.configure("app")
    closed.run()
    assert closed.files() == {"app-1.0", *(f"{name}-1.0" for name in markers)}


def test_a_new_release_adds_and_a_removed_one_drops(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib")
    upload(world, "lib", "1.0", "leaf")
    for name in ("leaf", "added", "deep"):
        upload(world, name, "1.0", *(["deep"] if name == "added" else []))
    closed.configure("app")
    closed.run()
    assert closed.files() == {"app-1.0", "lib-1.0", "leaf-1.0"}

    upload(world, "app", "2.0", "added")
    closed.run()
    assert closed.files() == {"app-1.0", "app-2.0", "lib-1.0", "leaf-1.0", "added-1.0", "deep-1.0"}

    world.index.remove_release("app", "2.0")
    closed.run()
    assert "added-1.0" in closed.files(), "a removal waits for its confirmation"
    plan = world.dry_run()
    assert plan.stopped is not None
    assert plan.withheld.keys() == {"added", "deep"}
    closed.run(confirmed_removals=2)
    assert closed.files() == {"app-1.0", "lib-1.0", "leaf-1.0"}
    assert not world.dry_run().jobs


def test_what_is_listed_and_needed_is_the_union(closed: Closed) -> None:
    for version in ("1.0", "2.0", "3.0", "4.0"):
        upload(closed.world, "lib", version)
    upload(closed.world, "app", "1.0", "lib==3.0")
    closed.configure("app", "lib<2", more="  allowlist_release")
    closed.run()
    assert closed.files() == {"app-1.0", "lib-1.0", "lib-3.0"}
    closed.configure("app", "lib", more="  allowlist_release")
    closed.run()
    assert closed.files() == {"app-1.0", "lib-1.0", "lib-2.0", "lib-3.0", "lib-4.0"}


def test_latest_is_the_newest_release_that_satisfies_all(closed: Closed) -> None:
    world = closed.world
    for version in ("1.0", "1.5", "2.0", "3.0", "4.0b1"):
        upload(world, "lib", version)
    upload(world, "app", "1.0", "lib>=1", "torn<2")
    upload(world, "other", "1.0", "lib<3", "torn>=2")
    for version in ("1.0", "1.9", "2.0", "3.0"):
        upload(world, "torn", version)
    closed.configure("app", "other", closure="latest")
    closed.run()
    assert closed.files() == {"app-1.0", "other-1.0", "lib-2.0", "torn-1.9", "torn-3.0"}
    (problem,) = closed.needed().problems[canonicalize_name("torn")]
    assert problem == "no release satisfies all of torn<2 (of app), torn>=2 (of other)"

    world.index.yank("lib", "2.0")
    closed.run()
    assert {file for file in closed.files() if file.startswith("lib")} == {"lib-1.5"}


def test_latest_ends_where_each_choice_undoes_another(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "left", "right")
    upload(world, "left", "1.0", "right>=2")
    upload(world, "left", "2.0", "right<2")
    upload(world, "right", "1.0", "left<2")
    upload(world, "right", "2.0")
    closed.configure("app", closure="latest")
    closed.run()
    assert {"left-1.0", "right-2.0"} <= closed.files(), "these two go together"
    assert not world.dry_run().jobs


def test_what_nobody_knows_is_reported(closed: Closed) -> None:
    world = closed.world
    world.index.upload(sdist("app", "1.0", requires=["lib"]))
    metadata = b"Metadata-Version: 2.2\nName: app\nVersion: 2.0\nDynamic: Requires-Dist\n"
    world.index.add_file("app", "app-2.0-py3-none-any.whl", core_metadata=metadata)
    upload(world, "app", "3.0", "ok", "bad>=", "direct @ https://example.com/direct.whl")
    for name in ("ok", "lib"):
        upload(world, name, "1.0")
    closed.configure("app")
    closed.run()
    assert closed.files() == {"app-1.0", "app-2.0", "app-3.0", "ok-1.0"}
    unknown, bad, direct = sorted(closed.needed().problems[canonicalize_name("app")], reverse=True)
    assert unknown == (
        "nobody knows what 2 releases need: 1.0 (no file has core metadata), 2.0 (its requirements"
        " are dynamic)"
    )
    assert direct.startswith("'bad>=' is left out: ") or bad.startswith("'direct @ https://")


def test_blocked_and_private_projects_stay_out(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "evil", "acme-core", "half>=1")
    upload(world, "evil", "1.0", "leaf")
    for name in ("acme-core", "leaf"):
        upload(world, name, "1.0")
    for version in ("1.0", "2.0"):
        upload(world, "half", version)
    closed.configure(
        "app",
        more="  blocklist_project\n  blocklist_release",
        sections="[blocklist]\npackages =\n  evil\n  half==2.0\n[private]\npackages = acme-*\n",
    )
    closed.run()
    assert closed.files() == {"app-1.0", "half-1.0"}
    assert closed.needed().left_out == {
        "evil": "blocklist_project",
        "acme-core": "[private]: upstream is not asked for this name",
    }


def test_the_limit_keeps_what_is_nearest(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "first", "second")
    upload(world, "first", "1.0", "third")
    for name in ("second", "third"):
        upload(world, name, "1.0")
    closed.configure("app", options="closure-max-projects = 2")
    closed.run()
    assert closed.files() == {"app-1.0", "first-1.0", "second-1.0"}
    (problem,) = world.dry_run().problems
    assert problem == "closure-max-projects = 2 is reached: needed, and left out: third"
    closed.configure("app", options="closure-max-projects = 3")
    closed.run()
    assert "third-1.0" in closed.files()


def test_an_existing_mirror_reads_what_it_has(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib")
    upload(world, "lib", "1.0")
    world.configure(sections=LIST.format(names="app", more=""))
    world.mirror_run()
    before = len(world.upstream.requests)
    closed.configure("app")
    closed.run()
    assert closed.files() == {"app-1.0", "lib-1.0"}
    fetched = [
        request.path for request in world.upstream.requests[before:] if "/packages/" in request.path
    ]
    assert not [path for path in fetched if "app" in path], "no file is fetched once more"


def test_the_cooldown_holds_for_what_is_needed(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib")
    for version, days in (("1.0", 8), ("2.0", 6)):
        at = datetime.fromtimestamp(world.clock.now(), UTC) - timedelta(days=days)
        world.index.upload(wheel("lib", version), upload_time=at)
    exception = "[cooldown]\ndays = 7\nexceptions = app\n"
    closed.configure("app", sections=exception)
    closed.run()
    assert closed.files() == {"app-1.0", "lib-1.0"}


def test_a_result_that_comes_twice_changes_nothing(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib")
    upload(world, "lib", "1.0")
    closed.configure("app")
    world.plan()
    (job,) = world.jobs()
    result = world.attempt(job)
    for _ in range(2):
        world.record(Report(job, result))
        world.finalize()
    first = world.read("state/closure.json")
    world.record(Report(job, world.attempt(job, resuming=True)))
    world.finalize()
    assert world.read("state/closure.json") == first
    assert json.loads(first)["revision"] == 1


def test_an_idle_tick_reads_the_cursor_alone(closed: Closed) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib")
    upload(world, "lib", "1.0")
    closed.configure("app")
    closed.run()
    world.mirror_run()
    world.run(_count)
    world.mirror_run()
    with_closure = world.run(_count)
    world.configure(sections=LIST.format(names="app\n  lib", more=""))
    world.mirror_run()
    world.mirror_run()
    world.run(_count)
    world.mirror_run()
    assert with_closure == world.run(_count)


async def _count(mirror: Mirror) -> int:
    return mirror.storage.pop_request_count()


@pytest.mark.parametrize("damage", [None, b"{"])
@pytest.mark.parametrize("key", ["state/closure.json", "state/needed.json"])
def test_lost_state_drops_nothing(closed: Closed, key: str, damage: bytes | None) -> None:
    world = closed.world
    upload(world, "app", "1.0", "lib")
    upload(world, "lib", "1.0", "leaf")
    upload(world, "leaf", "1.0")
    closed.configure("app")
    closed.run()
    files = closed.files()
    world.s3.delete_object(Bucket=world.bucket, Key=key)
    if damage is not None:
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=damage)
    world.close()
    closed.run()
    assert closed.files() == files
    plan = world.dry_run()
    assert (plan.stopped, plan.jobs) == (None, {})
    assert not closed.needed().rebuilding
