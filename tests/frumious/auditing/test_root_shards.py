"""What audits find of the root index's shards, and repair; on every storage."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from msgspec.structs import replace

from frumious.auditing.shard_check import check_shards
from frumious.model.runs import OpenRun
from frumious.model.types import Key, RunId
from tests.frumious.auditing.mirrors import AuditedMirror
from tests.root_shards import FOLDER, HEAD, ROOT, digest, problems
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from frumious.mirror import Mirror
    from tests.upstream import Server

DEMO = f"{FOLDER}{digest('demo')[0]}.json"
EMPTY = next(
    f"{FOLDER}{each}.json"
    for each in "0123456789abcdef"
    if each not in {digest("demo")[0], digest("other")[0]}
)


@pytest.fixture
def sharded(upstream: Server, storage: Callable[[], str]) -> Iterator[AuditedMirror]:
    upstream.index.upload(wheel("demo", "1.0"))
    upstream.index.upload(wheel("other", "1.0"))
    with AuditedMirror(upstream, storage(), "root-index-shards = 16") as mirror:
        mirror.sync()
        yield mirror


def contents(mirror: AuditedMirror) -> dict[str, bytes]:
    return {key: mirror.read(key) for key in mirror.keys("web/simple")}


def test_shards_are_no_leftovers(sharded: AuditedMirror) -> None:
    assert sharded.found(deep=True) == set()
    assert problems(contents(sharded), 16) == []


@pytest.mark.parametrize("key", [HEAD, DEMO, EMPTY])
@pytest.mark.parametrize("body", [None, b"", b'{"meta":{"api-version":"1.4"},"projects":[ ]}'])
def test_missing_and_wrong_shards_are_found_and_repaired(
    sharded: AuditedMirror, key: str, body: bytes | None
) -> None:
    before = contents(sharded)
    if body is None:
        sharded.delete(key)
    else:
        sharded.write(key, body)

    assert sharded.found() == {("wrong-root-index", key)}
    assert sharded.repair() == {key: "repaired"}
    assert problems(contents(sharded), 16) == []
    assert contents(sharded).keys() == before.keys()
    assert sharded.found() == set()


def test_an_older_shard_is_found(sharded: AuditedMirror) -> None:
    older = sharded.read(DEMO)
    sharded.index.upload(wheel("demo", "2.0"))
    sharded.sync()
    sharded.write(DEMO, older)

    assert sharded.found() == {("wrong-root-index", DEMO)}
    assert sharded.repair() == {DEMO: "repaired"}


def test_superfluous_shards_and_other_objects_are_found(sharded: AuditedMirror) -> None:
    superfluous, junk = f"{FOLDER}0a.json", f"{FOLDER}notes.txt"
    sharded.write(superfluous, b"{}")
    sharded.write(junk, b"")
    sharded.write(f"{FOLDER.removesuffix('/')}.txt", b"")
    sharded.clock.advance(2 * 24 * 3600)

    assert sharded.found() == {
        ("wrong-root-index", superfluous),
        ("leftover", junk),
        ("leftover", f"{FOLDER.removesuffix('/')}.txt"),
    }
    assert sharded.repair()[superfluous] == "repaired"
    assert superfluous not in sharded.keys(FOLDER)
    assert junk in sharded.keys(FOLDER), "nobody has asked for that"


def test_a_mirror_without_a_single_shard_is_one_finding(sharded: AuditedMirror) -> None:
    sharded.delete(*sharded.keys(FOLDER))

    assert sharded.found() == {("wrong-root-index", HEAD)}
    assert sharded.repair() == {HEAD: "repaired"}
    assert problems(contents(sharded), 16) == []


def test_a_root_index_that_is_made_again_comes_with_its_shards(sharded: AuditedMirror) -> None:
    root = [key for key in sharded.keys("web/") if "simple/index.v1_json" in key]
    sharded.delete(*root)
    sharded.write(DEMO, b"")
    sharded.repair()

    assert sharded.found() == set()
    assert problems(contents(sharded), 16) == []


@pytest.mark.parametrize("is_published", [True, False])
def test_an_audit_waits_while_a_finalizer_may_be_publishing(
    sharded: AuditedMirror, monkeypatch: pytest.MonkeyPatch, *, is_published: bool
) -> None:
    """A finalizer has written the shards, and has yet to write the JSON page."""
    older = sharded.read(ROOT)
    sharded.index.upload(wheel("demo", "2.0"))
    sharded.sync()
    newer = sharded.read(ROOT)
    sharded.write(ROOT, older)
    waits: list[float] = []

    async def check(mirror: Mirror) -> set[str]:
        async def wait(seconds: float) -> None:
            waits.append(seconds)
            if is_published:
                await mirror.storage.write(Key(ROOT), newer)

        monkeypatch.setattr(mirror.clock, "sleep", wait)
        run = OpenRun(run=RunId("20260101T000000Z-1"))
        await mirror.ledger.change_cursor(lambda cursor: replace(cursor, runs=(run,)))
        return {each.key for each in await check_shards(mirror)}

    found = sharded.run(check(sharded.mirror))
    assert found == (set() if is_published else {DEMO, HEAD})
    assert len(waits) == (1 if is_published else 2)
