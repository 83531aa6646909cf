"""What is announced, by diff-files and events, is announced once."""

from __future__ import annotations

from collections import Counter
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import pytest

from frumious.finalizing.finalize import finalize
from tests.upstream import wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.messaging.events import Event
    from frumious.mirror import Mirror
    from tests.world import World


class Crash(BaseException):
    """The process dies."""


class Listener:
    """Counts events."""

    def __init__(self) -> None:
        self.events: Counter[tuple[str, object]] = Counter()

    async def __call__(self, events: Iterable[Event]) -> None:
        for event in events:
            self.events[event.kind, event.detail.get("project", event.detail["run"])] += 1


def tick(world: World, listener: Listener, *, fails_at: tuple[str, str] | None = None) -> None:
    """Finalize; die before a write or a deletion of a key."""

    def fail(request: Any, **_: object) -> None:
        method, part = fails_at or ("", "")
        if request.method == method and part in request.url:
            raise Crash

    async def run(mirror: Mirror) -> None:
        with before_requests_to_s3(mirror, fail):
            await finalize(mirror, publish_events=listener)

    with suppress(Crash):
        world.run(run)


def announced(world: World) -> Counter[str]:
    """Count the paths in all diff-files."""
    keys = [key for key in world.stored("mirrored-files") if not key.endswith(".removed")]
    return Counter(line for key in keys for line in world.read(key).decode().splitlines())


@pytest.mark.parametrize(
    "fails_at",
    [
        ("PUT", "web/status.json"),
        ("PUT", "/status"),
        ("PUT", "last-modified"),
        ("PUT", "state/cursor.json"),
        ("POST", "delete"),
    ],
)
def test_nothing_is_announced_twice_because_a_later_step_failed(
    world: World, fails_at: tuple[str, str]
) -> None:
    world.configure(f"diff-file = /{world.bucket}/mirrored-files\ndiff-append-epoch = true")
    listener = Listener()
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.plan()
    world.work(last=True)
    for _ in range(2):
        tick(world, listener, fails_at=fails_at)
    world.index.upload(wheel("three", "1.0"))
    world.plan()
    world.work(last=True)

    tick(world, listener)
    tick(world, listener)

    assert listener.events["Project updated", "one"] == 1
    assert {count for event, count in listener.events.items()} == {1}
    assert sum(kind == "Project updated" for kind, _ in listener.events) == 3
    assert sum(kind == "Run finished" for kind, _ in listener.events) == 2
    names = announced(world)
    assert {*names.values()} == {1}
    assert {f"/{world.bucket}/{key}" for key in world.files()} <= names.keys()
    assert world.stored("state/inbox/") == []


def test_a_diff_file_keeps_what_a_failed_tick_named(world: World) -> None:
    world.configure(f"diff-file = /{world.bucket}/mirrored-files")
    listener = Listener()
    world.index.upload(wheel("one", "1.0"))
    world.plan()
    world.work(last=True)
    tick(world, listener, fails_at=("PUT", "web/status.json"))
    world.index.upload(wheel("two", "1.0"))
    world.plan()
    world.work(last=True)

    tick(world, listener)

    assert {f"/{world.bucket}/{key}" for key in world.files()} <= announced(world).keys()


@pytest.mark.parametrize("body", [b"", b"{", b'{"version": 1, "reports": 7}'])
def test_damage_to_what_was_announced_stops_nothing(world: World, body: bytes) -> None:
    world.configure(f"diff-file = /{world.bucket}/mirrored-files")
    world.s3.put_object(Bucket=world.bucket, Key="state/announced.json", Body=body)
    world.index.upload(wheel("one", "1.0"))

    assert not world.mirror_run().open

    assert announced(world)
