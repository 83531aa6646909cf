"""The root index in shards: as a reader finds it after runs, kills, and changes of the key."""

from __future__ import annotations

import json
from contextlib import suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.finalizing.finalize import finalize
from frumious.finalizing.root_index import publish_root_index, root_index_etag
from frumious.model.pages import DelistedProject, ListedProject
from frumious.storage.protocol import Conflict
from tests.clients import get, served
from tests.frumious.auditing.mirrors import AuditedMirror
from tests.root_shards import FOLDER, HEAD, ROOT, digest, found_in_shards, problems, shard_keys
from tests.upstream import wheel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.storage.protocol import Entry
    from frumious.storage.s3.storage import S3Storage
    from tests.upstream import Server
    from tests.world import World

ON = "root-index-shards = 16"
HOUR = 3600
NAMES = [f"Project_{number}" for number in range(40)]


@pytest.fixture
def sharded(world: World) -> World:
    """Return a mirror whose root index lists 40 projects in 16 shards."""
    world.configure(ON)
    listed: dict[str, Any] = {name: ListedProject(name, 7, 1, 100) for name in NAMES}
    world.run(lambda mirror: publish(mirror, verify=True, **listed))
    return world


@pytest.fixture
def mirrored(world: World) -> World:
    """Return a mirror of two projects, by jobs, with 16 shards."""
    world.configure(ON)
    for name in NAMES[:2]:
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    return world


def shard(name: str) -> str:
    return f"{FOLDER}{digest(str(canonicalize_name(name)))[0]}.json"


def requests(world: World) -> int:
    async def pop(mirror: Mirror) -> int:
        return mirror.storage.pop_request_count()

    return world.run(pop)


def etags(world: World) -> dict[str, str]:
    pages = world.s3.get_paginator("list_objects_v2").paginate(Bucket=world.bucket, Prefix=FOLDER)
    return {
        each["Key"]: f"{each['ETag']} {each['LastModified']}"
        for page in pages
        for each in page.get("Contents", ())
    }


async def publish(mirror: Mirror, *, verify: bool = False, **changes: Any) -> None:
    """Merge changes as a tick of the finalizer does."""
    by_name = {canonicalize_name(name): change for name, change in changes.items()}
    serial = max((change.serial for change in changes.values()), default=None)
    await publish_root_index(
        by_name,
        serial,
        mirror.pages,
        replacing=await root_index_etag(mirror.pages),
        verify=verify,
    )


def test_without_the_key_there_are_no_shards(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()

    assert not world.stored(FOLDER)
    assert "shards" not in json.loads(world.read(ROOT))["meta"]["_frumious"]


@pytest.mark.parametrize("number", [16, 256, 4096])
def test_each_shard_lists_its_projects_as_the_root_index_does(
    upstream: Server, tmp_path: Path, number: int
) -> None:
    for name in NAMES:
        upstream.index.upload(wheel(name, "1.0"))
    storage = f"directory = {tmp_path}/mirror"
    with AuditedMirror(upstream, storage, f"root-index-shards = {number}") as mirror:
        mirror.sync()
        objects = {str(key): mirror.read(key) for key in mirror.keys("web/simple")}

    assert problems(objects, number) == []
    assert len(shard_keys(objects)) == number + 1
    assert json.loads(objects[HEAD]) == {
        "version": 1,
        "digits": {16: 1, 256: 2, 4096: 3}[number],
        "serial": upstream.index.serial,
        "projects": 40,
    }


@pytest.mark.parametrize("text", ["1", "32", "-16", "all", "65536"])
def test_other_numbers_of_shards_are_refused(text: str) -> None:
    with pytest.raises(loading.ConfigError, match="one of 0, 16, 256, 4096"):
        loading.parse(f"[mirror]\ndirectory = /srv/pypi\nroot-index-shards = {text}\n", {})


def test_a_run_writes_only_shards_that_change(sharded: World) -> None:
    before = etags(sharded)
    first, second = NAMES[:2]
    changes: dict[str, Any] = {
        first: ListedProject(first, 8, 2, 200),
        second: DelistedProject(9),
        "new": ListedProject("new", 10),
        NAMES[2]: ListedProject(NAMES[2], 6),  # outdated
    }
    sharded.run(lambda mirror: publish(mirror, **changes))

    after = etags(sharded)
    written = {key for key in after if after[key] != before[key]}
    assert written == {HEAD, *map(shard, [first, second, "new"])}
    assert problems(sharded.contents(), 16) == []


def test_a_finalizer_that_was_overtaken_leaves_the_shards_of_the_other_one(
    sharded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It writes all shards of an older root index after those of the newer one."""

    async def overtaken(mirror: Mirror) -> None:
        storage, list_objects = mirror.storage, mirror.storage.list

        async def list_later(prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
            monkeypatch.undo()
            await publish(mirror, new=ListedProject("new", 10))
            async for entry in list_objects(prefix, after=after):
                yield entry

        monkeypatch.setattr(storage, "list", list_later)
        with pytest.raises(Conflict):
            await publish(mirror, verify=True, other=ListedProject("other", 9))

    sharded.run(overtaken)

    assert problems(sharded.contents(), 16) == []


def test_a_change_costs_two_requests_for_its_shard_and_two_for_the_head(world: World) -> None:
    costs: list[int] = []
    for options in ("", ON):
        world.configure(options)
        world.run(lambda mirror: publish(mirror, verify=True, a=ListedProject("a", 5)))
        requests(world)
        change = ListedProject("a", 6 + len(costs))
        world.run(partial(publish, a=change))
        costs.append(requests(world))

    assert costs[1] == costs[0] + 4


def test_idle_ticks_make_no_request_for_shards(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    counts: list[list[int]] = []
    for options in ("", ON):
        world.configure(options)
        world.finalize()  # all shards are written
        ticks = []
        for _ in range(6):
            world.clock.advance(60)
            requests(world)
            world.finalize()
            ticks.append(requests(world))
        counts.append(sorted(ticks))

    assert counts[0] == counts[1]


def test_a_changed_key_counts_at_the_next_tick_without_a_run(
    upstream: Server, tmp_path: Path
) -> None:
    upstream.index.upload(wheel("demo", "1.0"))
    storage = f"directory = {tmp_path}/mirror"
    for number in (0, 16, 256, 0, 16):
        with AuditedMirror(upstream, storage, f"root-index-shards = {number}") as mirror:
            mirror.sync()
            objects = {key: mirror.read(key) for key in mirror.keys("web/simple")}

            assert problems(objects, number) == []
            assert mirror.run(mirror.mirror.ledger.cursor()).shards == number


def test_a_mirror_that_has_published_nothing_publishes_no_empty_index(world: World) -> None:
    world.configure(ON)
    world.finalize()

    assert not world.stored("web/simple")


@pytest.mark.parametrize("options", [f"{ON}\nsimple-format = HTML", f"{ON}\ncompress-pages = no"])
def test_shards_do_not_depend_on_the_formats_of_pages(world: World, options: str) -> None:
    world.configure(options)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
        world.index.upload(wheel("other", version))
        world.mirror_run()

    contents = {str(key): body for key, body in world.contents().items()}
    contents.setdefault(ROOT, contents.get("state/simple/index.v1_json", b""))
    assert problems(contents, 16) == []


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"meta":{},"projects":[{"name":"z"},{"name":"a"}]}', None]
)
def test_a_damaged_shard_is_made_again_by_the_next_change_of_its_projects(
    sharded: World, damage: bytes | None
) -> None:
    name = NAMES[0]
    sharded.s3.put_object(Bucket=sharded.bucket, Key=HEAD, Body=b"")
    if damage is None:
        sharded.s3.delete_object(Bucket=sharded.bucket, Key=shard(name))
    else:
        sharded.s3.put_object(Bucket=sharded.bucket, Key=shard(name), Body=damage)
    changes: dict[str, Any] = {name: ListedProject(name, 8)}
    sharded.run(lambda mirror: publish(mirror, **changes))

    assert problems(sharded.contents(), 16) == []


def test_once_an_hour_a_run_corrects_all_shards(mirrored: World) -> None:
    wrong = json.dumps({"meta": {"api-version": "1.4"}, "projects": []}).encode()
    first, second = map(shard, NAMES[:2])
    person = f"{FOLDER}a-person.s"
    mirrored.s3.put_object(Bucket=mirrored.bucket, Key=first, Body=wrong)
    mirrored.s3.delete_object(Bucket=mirrored.bucket, Key=second)
    mirrored.s3.put_object(Bucket=mirrored.bucket, Key=f"{FOLDER}abc.json", Body=wrong)
    mirrored.s3.put_object(Bucket=mirrored.bucket, Key=person, Body=b"")
    mirrored.clock.advance(HOUR)
    mirrored.index.upload(wheel("any", "1.0"))
    mirrored.mirror_run()

    assert person in mirrored.stored(), "it is not the mirror's"
    mirrored.s3.delete_object(Bucket=mirrored.bucket, Key=person)
    assert problems(mirrored.contents(), 16) == []


class Died(Exception):
    """The process was killed."""


def dying(mirror: Mirror, monkeypatch: pytest.MonkeyPatch, survived: int) -> None:
    """Let a process die at one of its next requests that change anything."""
    storage: S3Storage = mirror.storage  # type: ignore[assignment]
    left = [None] * survived

    def replaced(method: Any) -> Any:
        async def call(*args: Any, **options: Any) -> Any:
            if not left:
                raise Died
            left.pop()
            return await method(*args, **options)

        return call

    for name in ("write", "create", "delete"):
        monkeypatch.setattr(storage, name, replaced(getattr(storage, name)))


@pytest.mark.parametrize("survived", [*range(6), 12, 18, 20, 21, 22])
@pytest.mark.parametrize(("before", "after"), [("", ON), (ON, ON), (ON, "")])
def test_the_tick_after_a_killed_one_finishes_its_work(
    world: World, monkeypatch: pytest.MonkeyPatch, survived: int, before: str, after: str
) -> None:
    world.configure(before)
    listed: dict[str, Any] = {name: ListedProject(name, 7) for name in NAMES[:20]}
    world.run(lambda mirror: publish(mirror, verify=True, **listed))
    world.configure(after)
    changes: dict[str, Any] = {name: ListedProject(name, 8) for name in NAMES[10:]}
    changes |= {name: DelistedProject(8) for name in NAMES[:5]}

    async def killed(mirror: Mirror) -> None:
        with suppress(Died):
            dying(mirror, monkeypatch, survived)
            await publish(mirror, **changes)

    world.run(killed)
    monkeypatch.undo()
    world.close()
    world.run(lambda mirror: publish(mirror, **changes))

    assert problems(world.contents(), 16 if after else 0) == []
    assert len(json.loads(world.read(ROOT))["projects"]) == 35


def test_what_a_killed_finalizer_did_not_consume_is_published(
    mirrored: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    mirrored.index.upload(wheel(NAMES[0], "2.0"))
    mirrored.index.upload(wheel("new", "1.0"))
    mirrored.plan()
    mirrored.work(last=True)

    async def killed(mirror: Mirror) -> None:
        dying(mirror, monkeypatch, 5)
        await finalize(mirror)

    with pytest.raises(Died):
        mirrored.run(killed)
    monkeypatch.undo()
    mirrored.close()
    mirrored.finalize()

    assert problems(mirrored.contents(), 16) == []
    assert json.loads(mirrored.read(HEAD))["projects"] == 3


def test_an_overtaken_finalizer_takes_nothing_back(
    sharded: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another finalizer publishes everything right before this one's first shard."""
    name = "zzz"

    async def overtaken(mirror: Mirror) -> None:
        storage: S3Storage = mirror.storage  # type: ignore[assignment]
        read, others = storage.read, list[str]()

        async def read_late(key: Key) -> Any:
            if key == shard(name) and not others:
                others.append(key)
                await publish(mirror, zzz=ListedProject(name, 1000), yyy=ListedProject("yyy", 999))
            return await read(key)

        monkeypatch.setattr(storage, "read", read_late)
        await publish(mirror, zzz=ListedProject(name, 998))

    with pytest.raises(Conflict):
        sharded.run(overtaken)
    monkeypatch.undo()

    listed = json.loads(sharded.read(shard(name)))["projects"]
    assert {"name": name, "_last-serial": 1000} in listed
    sharded.run(lambda mirror: publish(mirror, verify=True, zzz=DelistedProject(1001)))
    assert problems(sharded.contents(), 16) == []


def test_readers_of_the_distribution_find_a_project(mirrored: World) -> None:
    with served(mirrored) as url:
        (found,) = found_in_shards(url, "project-1")
        assert (found["name"], found["_last-serial"]) == ("project-1", mirrored.index.serial)
        assert found_in_shards(url, "absent") == []
        assert get(f"{url}/simple-shards/head.json").content_type == "application/json"
        assert get(f"{url}/simple-shards/zz.json").status in {403, 404}


def test_shards_have_the_headers_of_pages(sharded: World) -> None:
    for key in (HEAD, shard(NAMES[0])):
        head = sharded.s3.head_object(Bucket=sharded.bucket, Key=key)
        assert head["ContentType"] == "application/json"
        assert head["CacheControl"] == "public, max-age=20, s-maxage=30"
