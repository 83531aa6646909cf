"""The list of snapshots is never lost: without it, jobs would keep no pages for them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.model.snapshots import SNAPSHOTS
from frumious.snapshots.create import create_snapshot
from frumious.snapshots.delete import delete_snapshot
from frumious.snapshots.readers import readers_of
from frumious.snapshots.rollback import roll_back, roll_forward
from frumious.state.objects import LedgerCorrupt
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from frumious.mirror import Mirror
    from frumious.snapshots.readers import Readers
    from tests.world import World


@pytest.mark.parametrize(
    "change",
    [
        lambda mirror, readers: create_snapshot("friday", mirror, readers, alone=True),
        lambda mirror, readers: delete_snapshot("monday", mirror, readers, alone=True),
        lambda mirror, readers: roll_back("monday", mirror, readers),
        roll_forward,
    ],
    ids=["create", "delete", "rollback", "live"],
)
def test_no_command_replaces_a_damaged_list(
    world: World, tmp_path: Path, change: Callable[[Mirror, Readers], Awaitable[object]]
) -> None:
    (tmp_path / "web").mkdir()
    readers = readers_of(loading.parse(f"[mirror]\ndirectory = {tmp_path}\n", {}))
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.run(lambda mirror: create_snapshot("monday", mirror, readers, alone=True))
    world.s3.put_object(Bucket=world.bucket, Key=SNAPSHOTS, Body=b'{"version": 1, "snapsh')

    with pytest.raises(LedgerCorrupt, match=r"state/snapshots\.json"):
        world.run(lambda mirror: change(mirror, readers))
    assert world.read(SNAPSHOTS) == b'{"version": 1, "snapsh'
