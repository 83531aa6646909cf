"""Safety beats permanence: what is blocked, in quarantine or deleted by name leaves snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.local import run_here
from frumious.model.types import Key
from frumious.planning import named
from frumious.planning.plan import plan_deletions, plan_projects
from tests.snapshots import SnapshotReader
from tests.upstream import wheel
from tests.upstream.osv import ARCHIVE

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

HOUR = 3600
DAY = 24 * HOUR
OLD = "demo-1.0-py3-none-any.whl"
NEW = "demo-2.0-py3-none-any.whl"


@pytest.fixture(params=[0, 3])
def mirrored(world: World, request: pytest.FixtureRequest) -> World:
    """Return a mirror that follows advisories; files stay for `delete-after` days."""
    world.index.osv.add("MAL-2020-1", "gone-long-ago")
    feed = f"[advisories]\nfeed = {world.upstream.url}{ARCHIVE}"
    world.configure(f"delete-after = {request.param}", sections=feed)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    run(world)
    return world


@pytest.fixture
def snapshot(mirrored: World) -> SnapshotReader:
    return SnapshotReader.create(mirrored)


def run(world: World) -> None:
    """Do a tick of planner, workers and finalizer two hours later."""
    world.clock.advance(2 * HOUR)
    world.follow_advisories()
    world.plan()
    world.work(last=True)
    assert not [result.error for result in world.finalize().results if result.error]


def stored(world: World) -> set[str]:
    names = {key.rpartition("/")[2] for key in world.files()}
    return {name for name in names if not name.endswith(".metadata")}


def test_malware_leaves_a_snapshot_that_shares_the_page(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    mirrored.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirrored)

    assert snapshot.files() == {OLD}
    assert (snapshot.page() or {})["versions"] == ["1.0"]
    assert stored(mirrored) == {OLD}


@pytest.mark.parametrize("versions", [("1.0",), ()])
@pytest.mark.parametrize("gone", ["release", "project"])
def test_malware_that_only_a_snapshot_has_leaves_it(
    mirrored: World, snapshot: SnapshotReader, versions: tuple[str, ...], gone: str
) -> None:
    if gone == "release":
        mirrored.index.remove_release("demo", "1.0")
    else:
        mirrored.index.remove_project("demo")
    for _ in range(2):
        run(mirrored)
        mirrored.clock.advance(4 * DAY)  # what waits for its deletion is due
    assert snapshot.files() == {OLD, NEW}
    assert not snapshot.missing()

    mirrored.index.osv.add("MAL-2026-1", "demo", *versions)
    run(mirrored)

    expected = {NEW} if versions else set()
    assert snapshot.files() == expected
    assert stored(mirrored) == expected


def test_what_a_withdrawn_advisory_blocked_returns(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    before = snapshot.page()
    mirrored.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirrored)
    mirrored.index.osv.withdraw("MAL-2026-1")
    run(mirrored)

    assert snapshot.page() == before
    assert not snapshot.missing()


def test_a_withdrawn_advisory_does_not_bring_back_what_upstream_removed(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    mirrored.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirrored)
    mirrored.index.remove_release("demo", "2.0")
    run(mirrored)
    mirrored.index.osv.withdraw("MAL-2026-1")
    run(mirrored)

    assert snapshot.files() == {OLD}
    assert not snapshot.missing()


def test_a_quarantined_project_leaves_snapshots_until_it_is_cleared(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    before = snapshot.page()
    mirrored.index.quarantine_project("demo")
    run(mirrored)
    assert snapshot.files() == set()
    assert stored(mirrored) == set()

    mirrored.index.clear_project_quarantine("demo")
    run(mirrored)
    assert snapshot.page() == before
    assert not snapshot.missing()


def test_a_quarantined_release_leaves_snapshots_until_it_is_cleared(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    before = snapshot.page()
    mirrored.index.quarantine_release("demo", "2.0")
    run(mirrored)
    assert snapshot.files() == {OLD}
    assert stored(mirrored) == {OLD}

    mirrored.index.clear_release_quarantine("demo", "2.0")
    run(mirrored)
    assert snapshot.page() == before
    assert not snapshot.missing()


def test_a_quarantine_whose_event_comes_after_the_page_changes_a_snapshot(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    """A job without the event finds the page that lacks the release already."""
    mirrored.index.quarantine_release("demo", "2.0")
    mirrored.mirror_run(["demo"])
    run(mirrored)

    assert snapshot.files() == {OLD}
    assert stored(mirrored) == {OLD}


def test_a_quarantine_changes_a_snapshot_of_html_that_a_killed_job_has_left(
    mirrored: World, request: pytest.FixtureRequest
) -> None:
    """No JSON page ever named the files, so that nothing is kept of their removal."""
    manifest = Key("web/simple/demo/index.v1_json")
    mirrored.run(lambda mirror: mirror.storage.delete([manifest]))
    snapshot: SnapshotReader = request.getfixturevalue("snapshot")
    mirrored.index.quarantine_release("demo", "2.0")
    mirrored.mirror_run(["demo"])
    run(mirrored)

    assert snapshot.files() == {OLD}


def test_a_quarantined_release_leaves_snapshots_of_an_index_without_files(
    mirrored: World, request: pytest.FixtureRequest
) -> None:
    mirrored.configure("release-files = false")
    mirrored.mirror_run(["demo"])
    snapshot: SnapshotReader = request.getfixturevalue("snapshot")
    assert snapshot.files() == {OLD, NEW}
    mirrored.index.quarantine_release("demo", "2.0")
    run(mirrored)

    assert snapshot.files() == {OLD}


@pytest.mark.parametrize("before", ["a release", "a removal"])
def test_a_project_that_is_deleted_by_name_leaves_snapshots(
    mirrored: World, snapshot: SnapshotReader, before: str
) -> None:
    mirrored.index.upload(wheel("demo", "3.0"))
    if before == "a removal":
        mirrored.index.remove_project("demo")
    run(mirrored)
    assert snapshot.files() == {OLD, NEW}

    async def delete(mirror: Mirror) -> None:
        await named.delete(mirror, [canonicalize_name("demo")])
        await run_here(plan_deletions(["demo"]), mirror, lambda *_: None)

    mirrored.run(delete)

    assert snapshot.files() == set()
    assert stored(mirrored) == set()


def test_a_deleted_project_returns_to_snapshots_when_it_is_requested(
    mirrored: World, snapshot: SnapshotReader
) -> None:
    mirrored.index.upload(wheel("demo", "3.0"))

    async def delete_and_request(mirror: Mirror) -> None:
        demo = [canonicalize_name("demo")]
        await named.delete(mirror, demo)
        await run_here(plan_deletions(["demo"]), mirror, lambda *_: None)
        await named.request(mirror, demo)
        await run_here(plan_projects(["demo"]), mirror, lambda *_: None)

    mirrored.run(delete_and_request)

    assert snapshot.files() == {OLD, NEW}
    assert not snapshot.missing()
