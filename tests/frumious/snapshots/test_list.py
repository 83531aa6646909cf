"""The list of snapshots is never lost: without it, jobs would keep no pages for them.

status.json says the same.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from frumious.config import loading
from frumious.model import layout
from frumious.model.snapshots import SNAPSHOTS
from frumious.snapshots.create import create_snapshot
from frumious.snapshots.delete import delete_snapshot
from frumious.snapshots.readers import readers_of
from frumious.snapshots.rollback import roll_back, roll_forward
from frumious.state.objects import LedgerCorrupt
from tests.upstream import wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from pathlib import Path

    from frumious.mirror import Mirror
    from frumious.snapshots.readers import Readers
    from tests.world import World


@pytest.fixture
def mirrored(world: World) -> World:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    return world


@pytest.fixture
def readers(tmp_path: Path) -> Readers:
    (tmp_path / "web").mkdir()
    return readers_of(loading.parse(f"[mirror]\ndirectory = {tmp_path}\n", {}))


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
    mirrored: World, readers: Readers, change: Callable[[Mirror, Readers], Awaitable[object]]
) -> None:
    mirrored.run(lambda mirror: create_snapshot("monday", mirror, readers, alone=True))
    mirrored.s3.put_object(Bucket=mirrored.bucket, Key=SNAPSHOTS, Body=b'{"version": 1, "snapsh')

    with pytest.raises(LedgerCorrupt, match=r"state/snapshots\.json"):
        mirrored.run(lambda mirror: change(mirror, readers))
    assert mirrored.read(SNAPSHOTS) == b'{"version": 1, "snapsh'


def known_to_the_public(world: World) -> list[str]:
    return sorted(json.loads(world.read(layout.STATUS_JSON))["snapshots"]["known"])


def before_status(world: World, method: str, create: Callable[[], None]) -> Any:
    """Create a snapshot before the first request for status.json with this method."""
    created: list[bool] = []

    def before(request: Any, **_: object) -> None:
        if (request.method, created) == (method, []) and request.url.endswith(layout.STATUS_JSON):
            created.append(True)
            create()

    async def opened(mirror: Mirror) -> Any:
        return before_requests_to_s3(mirror, before)

    return world.run(opened)


@pytest.mark.parametrize("body", [None, b"{"], ids=["missing", "damaged"])
def test_a_new_status_json_names_a_snapshot_that_was_created_just_before(
    mirrored: World, readers: Readers, body: bytes | None
) -> None:
    mirrored.run(lambda mirror: create_snapshot("monday", mirror, readers, alone=True))
    listed = mirrored.read(SNAPSHOTS)
    mirrored.run(lambda mirror: delete_snapshot("monday", mirror, readers, alone=True))
    if body is None:
        mirrored.s3.delete_object(Bucket=mirrored.bucket, Key=layout.STATUS_JSON)
    else:
        mirrored.s3.put_object(Bucket=mirrored.bucket, Key=layout.STATUS_JSON, Body=body)

    def create() -> None:
        mirrored.s3.put_object(Bucket=mirrored.bucket, Key=SNAPSHOTS, Body=listed)

    with before_status(mirrored, "PUT", create):
        mirrored.finalize()

    assert known_to_the_public(mirrored) == ["monday"]


def test_a_command_does_not_hide_the_snapshot_of_a_newer_one(
    mirrored: World, readers: Readers
) -> None:
    def create() -> None:
        for key, name in ((SNAPSHOTS, "snapshots"), (layout.STATUS_JSON, "known")):
            payload = json.loads(mirrored.read(key))
            status = payload if name == "snapshots" else payload.setdefault("snapshots", {})
            status.setdefault(name, {})["friday"] = {"created": 0, "fixed": 0, "serial": 0}
            body = json.dumps(payload).encode()
            mirrored.s3.put_object(Bucket=mirrored.bucket, Key=key, Body=body)

    with before_status(mirrored, "GET", create):
        mirrored.run(lambda mirror: create_snapshot("monday", mirror, readers, alone=True))

    assert known_to_the_public(mirrored) == ["friday", "monday"]
