"""Where jobs may be at work, they delete the files that a snapshot does not show any more."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from frumious.snapshots.as_of import create_as_of
from frumious.snapshots.create import create_snapshot
from frumious.snapshots.delete import delete_snapshot
from frumious.snapshots.readers import readers_of
from tests.snapshots import SnapshotReader
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Callable

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


def test_jobs_delete_what_was_removed_before_a_snapshot_of_an_earlier_time_was_complete(
    world: World,
) -> None:
    """A job keeps all files of its page for the snapshot, which is then to show the older ones."""
    readers = readers_of(world.config)
    world.index.upload(wheel("demo", "1.0"), upload_time=datetime(2026, 1, 1, tzinfo=UTC))
    world.index.upload(wheel("demo", "2.0"), upload_time=datetime(2026, 1, 3, tzinfo=UTC))
    world.mirror_run()

    def create(on_begin: Callable[[int, str | None, float], None]) -> None:
        as_of = datetime(2026, 1, 2, tzinfo=UTC).timestamp()
        world.run(
            lambda mirror: create_as_of(
                "early", as_of, mirror, readers, alone=False, on_begin=on_begin, on_page=nothing
            )
        )

    with pytest.raises(InterruptedError):
        create(interrupt)
    world.index.remove_project("demo")
    world.mirror_run()
    create(nothing)
    snapshot = SnapshotReader(world, "early")
    for _ in range(3):
        world.clock.advance(3600)
        world.mirror_run()

    assert snapshot.files() == names(world) == {"demo-1.0-py3-none-any.whl"}


def nothing(*_: object) -> None:
    """Do nothing."""


def interrupt(*_: object) -> None:
    """Stop the command."""
    raise InterruptedError
