"""The change feed: what it says of each change, and that it never shows two histories."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from frumious.finalizing import change_feed
from frumious.model import changes, layout, merkle
from frumious.model.jobs import Job, Outcome, Report, Result
from frumious.model.types import Key, RunId
from frumious.signing.keys import SigningKey
from frumious.state.changes import FeedState
from frumious.state.inbox import Inbox
from frumious.state.objects import LedgerCorrupt, render
from frumious.storage.protocol import Conflict
from tests import rfc9162
from tests.feed_reader import Feed, read_feed
from tests.upstream import sdist, wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from frumious.mirror import Mirror
    from tests.world import World

ON = "[changes]\nname = pypi.example.org\n"


@pytest.fixture
def feeding(world: World) -> World:
    world.configure(sections=ON)
    return world


def read(world: World) -> Feed:
    """Read and verify the whole feed as a third party does."""
    return read_feed(lambda path: world.read(f"web/changes/{path}"))


def file_digest(world: World, filename: str) -> str:
    key = next(key for key in world.files() if key.endswith(f"/{filename}"))
    return hashlib.sha256(world.read(key)).hexdigest()


def report(number: int, run: str = "20260101T000000-a") -> Report:
    """Return what a job reports that published a project's first file."""
    name = f"project-{number}"
    key = Key(f"web/packages/aa/bb/{number:060}/{name}-1.0.tar.gz")
    digest = hashlib.sha256(name.encode()).hexdigest()
    result = Result(
        project=name,  # type: ignore[arg-type]
        outcome=Outcome.UPDATED,
        name=name,
        serial=number,
        listed=True,
        files=1,
        added=(key,),
        page=digest,
        sha256=((key, digest),),
    )
    return Report(Job(RunId(run), name, number), result)  # type: ignore[arg-type]


def test_each_change_is_an_entry(feeding: World) -> None:
    index = feeding.index
    index.upload(wheel("demo", "1.0"))
    feeding.mirror_run()
    first = file_digest(feeding, "demo-1.0-py3-none-any.whl")
    index.upload(sdist("demo", "2.0"))
    feeding.mirror_run()
    second = file_digest(feeding, "demo-2.0.tar.gz")
    index.remove_file("demo", "demo-1.0-py3-none-any.whl")
    feeding.mirror_run()
    page = hashlib.sha256(feeding.read("web/simple/demo/index.v1_json")).hexdigest()
    index.remove_project("demo")
    feeding.mirror_run()

    feed = read(feeding)
    made, added, removed, gone = feed.entries

    assert feed.origin.startswith("pypi.example.org/2")
    assert made["project"] == "demo"
    assert made["outcome"] == "updated"
    assert made["added"] == {"demo-1.0-py3-none-any.whl": first}
    assert made["serial"] < added["serial"] < removed["serial"] < gone["serial"]
    assert added["added"] == {"demo-2.0.tar.gz": second}
    assert added["upstream-time"]
    assert removed["removed"] == {"demo-1.0-py3-none-any.whl": first}
    assert removed["page"] == page
    assert gone["outcome"] == "removed"
    assert gone["removed"] == {"demo-2.0.tar.gz": second}
    assert "page" not in gone


def test_a_change_without_files_is_an_entry_with_the_page_alone(feeding: World) -> None:
    feeding.index.upload(wheel("demo", "1.0"))
    feeding.mirror_run()
    feeding.index.yank("demo", "1.0")
    feeding.mirror_run()

    entry = read(feeding).entries[-1]

    assert not {"added", "removed"} & entry.keys()
    stored = feeding.read("web/simple/demo/index.v1_json")
    assert entry["page"] == hashlib.sha256(stored).hexdigest()


def test_without_the_section_there_is_no_feed(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()

    assert not world.stored("web/changes/")
    assert not world.stored(layout.FEED)


def test_a_tick_without_changes_asks_for_nothing_of_the_feed(feeding: World) -> None:
    feeding.index.upload(wheel("demo", "1.0"))
    feeding.mirror_run()
    before = feeding.contents()

    feeding.mirror_run(force=True)

    after = feeding.contents()
    assert {key for key in before if "changes" in key} == {key for key in after if "changes" in key}
    assert read(feeding).size == 1


def test_a_feed_of_several_bundles_can_be_verified(feeding: World) -> None:
    size = 0
    for count in (1, 254, 1, 1, 300, 255, 700):
        publish(feeding, *(report(number) for number in range(size, size + count)))
        size += count
        feed = read(feeding)
        assert [entry["project"] for entry in feed.entries] == [
            f"project-{number}" for number in range(size)
        ]
    partial = {key for key in feeding.stored("web/changes/") if ".p/" in key}
    width = size % 256
    assert {key for key in partial if key.startswith("web/changes/entries/")} == {
        f"web/changes/entries/005.p/{width}"
    }, "the partial versions of full bundles are deleted"


def test_a_reader_proves_inclusion_and_consistency(feeding: World) -> None:
    publish(feeding, *map(report, range(300)))
    first = read(feeding)
    publish(feeding, *map(report, range(300, 700)))
    second = read(feeding)

    for number in (0, 1, 255, 256, 299):
        proof = rfc9162.inclusion_proof(number, second.lines)
        assert rfc9162.verify_inclusion(first.lines[number], number, 700, proof, second.root)
    ranges = merkle.consistency_ranges(300, 700)
    tiles = {
        (tile.level, tile.number): merkle.split_hashes(feeding.read(changes.tile_key(tile)))
        for tile in merkle.tiles_of(ranges, 700)
    }
    proof = [merkle.range_hash(each, tiles) for each in ranges]
    assert rfc9162.verify_consistency(300, 700, first.root, second.root, proof)


def test_checkpoints_are_signed(world: World, tmp_path: Path) -> None:
    key = SigningKey.generate()
    (tmp_path / "key").write_text(key.file())
    world.configure(sections=f"{ON}secret-key = {tmp_path / 'key'}\n")
    publish(world, report(1))

    feed = read(world)

    ((name, signature),) = feed.signatures
    assert name == "pypi.example.org"
    named = name.encode() + b"\n\x01" + key.public.raw
    assert signature[:4] == hashlib.sha256(named).digest()[:4]
    Ed25519PublicKey.from_public_bytes(key.public.raw).verify(signature[4:], feed.text)


def publish(world: World, *reports: Report) -> None:
    """Record reports as workers do, and publish the feed as a tick of the finalizer does."""

    async def work(mirror: Mirror) -> None:
        await change_feed.record_changes(reports, _inbox(reports), 17, mirror)

    world.run(work)


def _inbox(reports: Sequence[Report]) -> Inbox:
    inbox = Inbox()
    for each in reports:
        inbox.add(Key(f"state/inbox/{each.job.project}.json"), [each])
    return inbox


class Killed(Exception):
    """The process dies."""


def test_a_finalizer_that_is_killed_at_any_request_loses_and_doubles_nothing(
    feeding: World,
) -> None:
    size, shown = 0, [b""]
    for count in (1, 252, 260):
        reports = [report(number) for number in range(size, size + count)]
        later = [report(number) for number in range(size + count, size + count + 3)]
        allowed, done = 0, False
        while not done:  # each time it is killed one request later
            requests = iter(range(10_000))

            def die(limit: int = allowed, requests: Any = requests, **_: Any) -> None:
                if next(requests) >= limit:
                    raise Killed

            async def attempt(mirror: Mirror, die: Any = die, reports: Any = reports) -> bool:
                try:
                    with before_requests_to_s3(mirror, die):
                        await change_feed.record_changes(reports, _inbox(reports), 17, mirror)
                except Killed:
                    return False
                return True

            done = feeding.run(attempt)
            allowed += 1
            if feeding.stored("web/changes/checkpoint"):
                feed = read(feeding)
                assert feed.lines[: len(shown)] == shown or shown == [b""]
                shown = feed.lines
            if allowed == 4:  # in the meantime, workers leave more
                reports += later
        size += count + (3 if allowed >= 4 else 0)
        names = [entry["project"] for entry in read(feeding).entries]
        assert names == [f"project-{number}" for number in range(size)]


def test_only_one_of_two_finalizers_commits(feeding: World) -> None:
    publish(feeding, report(0))

    async def both(mirror: Mirror) -> None:
        first, second = (report(1),), (report(2),)
        one = await change_feed._Feed.open(_config(mirror), mirror.storage, 0.0)
        two = await change_feed._Feed.open(_config(mirror), mirror.storage, 0.0)
        await one.commit([change_feed.entry_of(first[0], "", None)], [])
        with pytest.raises(Conflict):
            await two.commit([change_feed.entry_of(second[0], "", None)], [])

    feeding.run(both)

    assert [entry["project"] for entry in read(feeding).entries] == ["project-0", "project-1"]


def _config(mirror: Mirror) -> Any:
    return mirror.config.changes


def test_a_slow_finalizer_does_not_take_the_checkpoint_back(feeding: World) -> None:
    """It has committed, and another one has published that commit and the next one."""
    publish(feeding, report(0))

    async def overtaken(mirror: Mirror) -> None:
        slow = await change_feed._Feed.open(_config(mirror), mirror.storage, 0.0)
        line = change_feed.entry_of(report(1), "", None).render().decode()
        state = slow.state.committing((line,), ())
        await mirror.storage.write(layout.FEED, render(state), replacing=slow.state_etag)
        slow.state = state
        await change_feed.record_changes([report(2)], _inbox((report(2),)), 17, mirror)
        with pytest.raises(Conflict):
            await slow._publish()

    feeding.run(overtaken)

    projects = [entry["project"] for entry in read(feeding).entries]
    assert projects == ["project-0", "project-1", "project-2"]


def test_a_job_that_is_done_twice_is_one_entry(feeding: World) -> None:
    publish(feeding, report(0), report(1))
    publish(feeding, report(1), report(2))

    assert [entry["project"] for entry in read(feeding).entries] == [
        "project-0",
        "project-1",
        "project-2",
    ]


@pytest.mark.parametrize("lost", ["deleted", "damaged", "older"])
def test_a_lost_state_is_made_again_from_what_is_published(feeding: World, lost: str) -> None:
    publish(feeding, *map(report, range(300)))
    older = feeding.read(layout.FEED)
    publish(feeding, report(300))
    if lost == "deleted":
        feeding.s3.delete_object(Bucket=feeding.bucket, Key=layout.FEED)
    else:
        body = older if lost == "older" else b"{"
        feeding.s3.put_object(Bucket=feeding.bucket, Key=layout.FEED, Body=body)
    before = read(feeding)

    publish(feeding, report(301))

    feed = read(feeding)
    assert feed.origin == before.origin
    assert feed.lines[:-1] == before.lines
    assert feed.entries[-1]["project"] == "project-301"


@pytest.mark.parametrize("key", ["web/changes/entries/001.p/44", "web/changes/tile/1/000.p/1"])
@pytest.mark.parametrize("body", [None, b"another\n" * 44])
def test_a_damaged_feed_is_not_continued(feeding: World, key: str, body: bytes | None) -> None:
    publish(feeding, *map(report, range(300)))
    before = feeding.read("web/changes/checkpoint")
    if body is None:
        feeding.s3.delete_object(Bucket=feeding.bucket, Key=key)
    else:
        feeding.s3.put_object(Bucket=feeding.bucket, Key=key, Body=body)

    with pytest.raises(Exception, match=r"begin a new feed|no entry"):
        publish(feeding, *map(report, range(300, 600)))

    assert feeding.read("web/changes/checkpoint") == before


def test_a_checkpoint_of_another_feed_is_not_replaced(feeding: World) -> None:
    publish(feeding, report(0))
    state = msgspec.json.decode(feeding.read(layout.FEED))
    state["origin"] = "another"
    feeding.s3.put_object(Bucket=feeding.bucket, Key=layout.FEED, Body=json.dumps(state).encode())

    with pytest.raises(LedgerCorrupt, match="its checkpoint is of"):
        publish(feeding, report(1))


def test_objects_have_the_types_of_the_specification(feeding: World) -> None:
    publish(feeding, *map(report, range(300)))

    def headers(key: str) -> tuple[str, str]:
        head = feeding.s3.head_object(Bucket=feeding.bucket, Key=key)
        return head["ContentType"], head["CacheControl"]

    kind, caching = headers("web/changes/checkpoint")
    assert kind == "text/plain; charset=utf-8"
    assert "max-age=20" in caching
    kind, caching = headers("web/changes/tile/0/000")
    assert kind == "application/octet-stream"
    assert "immutable" in caching
    kind, caching = headers("web/changes/entries/001.p/44")
    assert kind == "application/x-ndjson"
    assert "immutable" in caching


def test_the_state_s_hashes_have_to_be_a_tree() -> None:
    with pytest.raises(ValueError, match="no tree"):
        FeedState(origin="x", size=3)
