"""Lists that others keep: read anew at each run, followed both ways, and never half."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from frumious.locks.parse import InvalidList
from frumious.planning.list_sources import ListUnreadable
from frumious.planning.lists import follow_lists
from frumious.selection.unread import ListsUnread
from frumious.syncing.delivery import Batch
from tests.frumious.planning.site import site
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.mirror import Mirror
    from tests.upstream import Dist
    from tests.world import World

DEMO_1, DEMO_2 = wheel("demo", "1.0"), wheel("demo", "2.0")
SDIST_2, PREVIEW = sdist("demo", "2.0"), wheel("demo", "3.0a1")
OTHER = wheel("other", "1.0")


def lock(*dists: Dist) -> str:
    """Return a requirements file that pins files by their hashes."""
    return "".join(
        f"{dist.project}=={dist.version} --hash=sha256:{hashlib.sha256(dist.content).hexdigest()}\n"
        for dist in dists
    )


def sections(source: str, exact: str = "true", plugins: str = "", more: str = "") -> str:
    return (
        f"[plugins]\nenabled =\n  project_locks\n{plugins}\n"
        f"[locks]\nfiles =\n  {source}\nlock-exact = {exact}\n{more}"
    )


class Listed:
    """A mirror of what a list in its own bucket pins."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.source = f"s3://{world.bucket}/lists/team.txt"

    def write(self, text: str) -> None:
        self.world.s3.put_object(Bucket=self.world.bucket, Key="lists/team.txt", Body=text.encode())

    def names(self) -> set[str]:
        """Return the names of the mirrored files."""
        keys = (key.rpartition("/")[2] for key in self.world.files())
        return {name for name in keys if not name.endswith(".metadata")}


@pytest.fixture
def listed(world: World) -> Listed:
    for dist in (DEMO_1, DEMO_2, SDIST_2, PREVIEW, OTHER, wheel("third", "1.0")):
        world.index.upload(dist)
    found = Listed(world)
    world.configure(sections=sections(found.source))
    return found


@pytest.mark.parametrize(
    ("exact", "files"),
    [
        ("true", {DEMO_2, PREVIEW}),
        ("versions", {DEMO_2, SDIST_2, PREVIEW}),
        ("false", {DEMO_1, DEMO_2, SDIST_2}),
    ],
)
def test_what_is_mirrored_of_the_projects_of_a_list(
    listed: Listed, exact: str, files: set[Dist]
) -> None:
    listed.write(lock(DEMO_2, PREVIEW))
    plugins = "  prerelease_release\n"
    listed.world.configure(sections=sections(listed.source, exact, plugins))
    listed.world.mirror_run()
    assert listed.names() == {dist.filename for dist in files}, "pins pass the other filters"


def test_a_changed_list_is_followed_both_ways(listed: Listed) -> None:
    world = listed.world
    listed.write(lock(DEMO_1, OTHER))
    world.mirror_run()
    assert listed.names() == {DEMO_1.filename, OTHER.filename}

    listed.write(lock(DEMO_2, OTHER))
    world.mirror_run()
    assert listed.names() == {DEMO_2.filename, OTHER.filename}
    assert world.page("demo")["versions"] == ["2.0"]

    listed.write(lock(DEMO_2))
    stopped = world.dry_run()
    assert stopped.stopped is not None, "a removal by the configuration is confirmed"
    world.mirror_run()
    assert listed.names() == {DEMO_2.filename, OTHER.filename}
    world.mirror_run(confirmed_removals=1)
    assert listed.names() == {DEMO_2.filename}

    listed.write(lock(DEMO_1, OTHER))
    world.mirror_run()
    assert listed.names() == {DEMO_1.filename, OTHER.filename}


@pytest.mark.parametrize("damage", ["demo=1", None])
def test_of_a_list_that_cannot_be_read_the_last_good_copy_counts(
    listed: Listed, damage: str | None
) -> None:
    world = listed.world
    world.configure(sections=sections(listed.source, "false"))
    listed.write(lock(DEMO_1, OTHER))
    world.mirror_run()
    new = wheel("other", "2.0")
    world.index.upload(new)
    if damage is None:
        world.s3.delete_object(Bucket=world.bucket, Key="lists/team.txt")
    else:
        listed.write(damage)
    world.mirror_run()
    assert listed.names() >= {DEMO_1.filename, DEMO_2.filename, new.filename}, "all else goes on"
    (problem,) = json.loads(world.read("state/lists.json"))["lists"]
    assert listed.source in problem["problem"]
    assert world.clock.now() - 600 < problem["failing"] <= world.clock.now()
    stored = world.read("state/lists.json")
    world.clock.advance(60)
    world.mirror_run()
    assert world.read("state/lists.json") == stored

    listed.write(lock(DEMO_2, OTHER))
    world.configure(sections=sections(listed.source))
    world.mirror_run()
    assert listed.names() == {DEMO_2.filename, OTHER.filename}
    (mended,) = json.loads(world.read("state/lists.json"))["lists"]
    assert not mended["failing"]
    assert not mended["problem"]


@pytest.mark.parametrize("damage", ["demo=1", "# nothing is pinned", None])
def test_a_list_that_was_never_read_stops_the_plan(listed: Listed, damage: str | None) -> None:
    if damage is not None:
        listed.write(damage)
    with pytest.raises((ListUnreadable, InvalidList)) as raised:
        listed.world.plan()
    assert damage == "# nothing is pinned" or listed.source in str(raised.value)


def test_lists_that_pin_nothing_any_more_remove_nothing(listed: Listed) -> None:
    world = listed.world
    listed.write(lock(DEMO_1, OTHER))
    world.mirror_run()
    listed.write("# nothing is pinned")
    with pytest.raises(ListUnreadable, match="pin nothing of the index"):
        world.plan()
    world.work()
    world.finalize()
    assert listed.names() == {DEMO_1.filename, OTHER.filename}


def test_jobs_select_by_the_lists_of_the_plan(listed: Listed) -> None:
    world = listed.world
    listed.write(lock(DEMO_1))
    world.mirror_run()
    listed.write(lock(DEMO_2))
    world.plan()
    world.s3.delete_object(Bucket=world.bucket, Key="lists/team.txt")
    world.work()
    assert listed.names() == {DEMO_2.filename}


def test_without_the_planners_lists_no_job_is_done(listed: Listed) -> None:
    listed.write(lock(DEMO_1))
    listed.world.plan()
    listed.world.s3.delete_object(Bucket=listed.world.bucket, Key="state/lists.json")
    listed.world.close()
    with pytest.raises(ListsUnread, match="have not been read"):
        listed.world.work()
    assert not listed.names()
    listed.world.mirror_run()
    listed.world.work()
    assert json.loads(listed.world.read("state/lists.json"))["lists"][0]["etag"]


def test_unchanged_lists_are_not_read_again(listed: Listed) -> None:
    listed.write(lock(DEMO_1))
    listed.world.mirror_run()
    stored = listed.world.read("state/lists.json")
    reads = listed.world.s3.head_object(Bucket=listed.world.bucket, Key="state/lists.json")
    for _ in range(3):
        listed.world.clock.advance(60)
        listed.world.mirror_run()
    assert listed.world.read("state/lists.json") == stored
    after = listed.world.s3.head_object(Bucket=listed.world.bucket, Key="state/lists.json")
    assert after["LastModified"] == reads["LastModified"]


def test_other_projects_are_neither_planned_nor_asked_for(listed: Listed) -> None:
    listed.write(lock(OTHER))
    listed.world.mirror_run()
    listed.world.upstream.clear()
    listed.world.index.upload(wheel("demo", "4.0"))
    listed.world.mirror_run()
    assert not listed.world.upstream.requests_for("/simple/demo/")


def test_a_deleted_project_does_not_come_back_with_a_new_pin(listed: Listed) -> None:
    from frumious.planning.named import delete, parse_names  # noqa: PLC0415
    from frumious.planning.plan import plan_deletions  # noqa: PLC0415

    world = listed.world
    listed.write(lock(DEMO_1, OTHER))
    world.mirror_run()

    async def deleted(mirror: object) -> None:
        followed = await mirror.with_stored_lists()  # type: ignore[attr-defined]
        await delete(followed, parse_names(["demo"]))

    world.run(deleted)
    world.start(plan_deletions(["demo"]))
    world.work()
    world.finalize()
    listed.write(lock(DEMO_2, OTHER))
    world.mirror_run()
    assert listed.names() == {OTHER.filename}


def test_lists_at_addresses_are_asked_for_only_if_they_changed(listed: Listed) -> None:
    world = listed.world
    with site() as web:
        web.files["/team.txt"] = lock(DEMO_1)
        address = web.url.replace("://", "://user:secret@")
        world.configure(sections=sections(f"{address}/team.txt"))
        world.mirror_run()
        assert listed.names() == {DEMO_1.filename}
        assert web.requests[0]["Authorization"].startswith("Basic ")
        assert b"secret" not in world.read("state/lists.json")
        world.mirror_run()
        assert web.requests[1]["If-None-Match"]
        web.files["/team.txt"] = lock(DEMO_2)
        world.mirror_run()
        assert listed.names() == {DEMO_2.filename}
        web.files.clear()
        world.mirror_run()
        assert listed.names() == {DEMO_2.filename}
        (problem,) = json.loads(world.read("state/lists.json"))["lists"]
        assert "404" in problem["problem"]
        assert b"secret" not in world.read("state/lists.json")


def test_other_addresses_of_the_index_are_read_anew(listed: Listed) -> None:
    world = listed.world
    text = f"--index-url https://mirror.example/simple\n{lock(DEMO_1)}"
    listed.write(text)
    with pytest.raises(ListUnreadable, match="pin nothing of the index"):
        world.plan()
    more = "indexes = https://mirror.example/simple\n"
    world.configure(sections=sections(listed.source, more=more))
    world.mirror_run()
    assert listed.names() == {DEMO_1.filename}


def test_files_and_patterns(listed: Listed, tmp_path: Path) -> None:
    world = listed.world
    (tmp_path / "a.txt").write_text(lock(DEMO_1))
    world.configure(sections=sections(f"{tmp_path}/*.txt"))
    world.mirror_run()
    (tmp_path / "b.txt").write_text(lock(OTHER))
    world.mirror_run()
    assert listed.names() == {DEMO_1.filename, OTHER.filename}
    world.configure(sections=sections(f"{tmp_path}/*.lock"))
    with pytest.raises(ListUnreadable, match="no file matches"):
        world.plan()
    world.configure(sections=sections(f"{tmp_path}/c.txt"))
    with pytest.raises(ListUnreadable, match="No such file or directory"):
        world.plan()


def test_what_comes_from_elsewhere_is_named_once(
    listed: Listed, caplog: pytest.LogCaptureFixture
) -> None:
    listed.write(f"{lock(DEMO_1)}private @ git+https://git.example/private\n")
    for _ in range(2):
        listed.world.mirror_run()
    named = [record for record in caplog.messages if "left out" in record]
    assert len(named) == 1
    assert "private: git+https://git.example/private" in named[0]


def test_lists_cost_one_request_to_the_bucket_in_a_tick_and_none_in_a_batch(
    listed: Listed,
) -> None:
    listed.write(lock(DEMO_1))
    listed.world.mirror_run()

    async def tick(mirror: Mirror) -> tuple[int, int]:
        mirror.storage.pop_request_count()
        selecting = await mirror.with_stored_lists()  # as the planner's handler does
        await follow_lists(selecting)
        planning = mirror.storage.pop_request_count()
        await Batch.begin(mirror, await mirror.ledger.known_cursor())
        return planning, mirror.storage.pop_request_count()

    assert listed.world.run(tick) == (1, 0)
