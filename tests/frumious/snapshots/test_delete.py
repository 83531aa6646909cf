"""Where jobs may be at work, they delete the files of a deleted snapshot."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.snapshots.create import create_snapshot
from frumious.snapshots.delete import delete_snapshot
from frumious.snapshots.readers import readers_of
from tests.upstream import wheel

if TYPE_CHECKING:
    from tests.world import World


def names(world: World) -> set[str]:
    return {key.rpartition("/")[2] for key in world.files() if not key.endswith(".metadata")}


def test_jobs_delete_the_files_that_nothing_names_any_more(world: World) -> None:
    readers = readers_of(world.config)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.index.upload(wheel("gone", "1.0"))
    world.mirror_run()
    created = world.run(lambda mirror: create_snapshot("monday", mirror, readers, alone=False))
    assert 1200 <= created.snapshot.fixed - created.snapshot.created < 1260
    world.index.remove_release("demo", "1.0")
    world.index.remove_project("gone")
    world.mirror_run()
    for _ in range(3):  # whatever is due stays, as the snapshot shows it
        world.clock.advance(3600)
        world.mirror_run()
    kept = {f"{name}-py3-none-any.whl" for name in ("demo-1.0", "demo-2.0", "gone-1.0")}
    assert names(world) == kept

    deleted = world.run(lambda mirror: delete_snapshot("monday", mirror, readers, alone=False))
    assert (deleted.pages, deleted.files, deleted.later) == (2, 2, True)
    assert names(world) == kept
    for _ in range(3):
        world.clock.advance(3600)
        world.mirror_run()
    assert names(world) == {"demo-2.0-py3-none-any.whl"}
    assert not [key for key in world.stored() if "/monday/" in key or "/snapshot/" in key]
