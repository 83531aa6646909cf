"""A mirror that follows another one by its change feed: the same content, one request a tick."""

from __future__ import annotations

import base64
import hashlib
import json
import random
from contextlib import ExitStack
from typing import TYPE_CHECKING

import pytest

from frumious.finalizing.finalize import finalize
from frumious.model import checkpoint, layout
from frumious.model.checkpoint import Checkpoint, InvalidCheckpoint, SignatureLine
from frumious.signing.keys import SigningKey
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.feed import FeedRewritten
from tests import rfc9162
from tests.clients import served
from tests.feed_reader import Feed, path, read_feed
from tests.upstream import sdist, wheel
from tests.world import World, before_requests_to_s3

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from frumious.mirror import Mirror
    from tests.upstream import Index
    from tests.world import Aws

CHANGES = "[changes]\nname = pypi.example.org\n"


class Pair(ExitStack):
    """A mirror of the fake upstream, and one that follows it."""

    def __init__(self, aws: Aws, source: World, folder: Path, options: str = "") -> None:
        super().__init__()
        self.key = SigningKey.generate()
        (folder / "key").write_text(self.key.file())
        self.source = source
        source.configure(sections=f"{CHANGES}secret-key = {folder / 'key'}\n")
        master = self.enter_context(served(source)).replace("127.0.0.1", "localhost")
        self.follower = self.enter_context(World(aws, source.upstream, master=master))
        self.follower.configure(
            f"discovery = feed\nfeed-key = {self.key.public.text}\nmax-removals = 100% 0\n{options}"
        )

    def publish(self) -> None:
        """Mirror the fake upstream."""
        self.source.mirror_run()

    def follow(self) -> int:
        """Follow the source for a tick, until nothing is left to do; return the first requests."""
        self.follower.clock.advance(60)
        self.follower.run(_requests)
        self.follower.plan()
        requests = self.follower.run(_requests)
        self.follower.work(last=True)
        self.follower.finalize()
        return requests

    def feed(self) -> Feed:
        """Read and verify the source's feed as a third party does."""
        return read_feed(lambda path: self.source.read(f"web/changes/{path}"))

    def content(self, world: World) -> dict[str, object]:
        """Return what readers get: the pages without their private parts, and the files."""
        content: dict[str, object] = {}
        for key, body in world.contents().items():
            if key.startswith("web/packages/"):
                content[key] = hashlib.sha256(body).hexdigest()
            elif key.startswith("web/simple/") and key.endswith("/index.v1_json"):
                page = json.loads(body)
                page["meta"].pop("_frumious", None)
                content[key] = page
        return content


async def _requests(mirror: Mirror) -> int:
    return mirror.upstream.pop_request_count()


@pytest.fixture
def pair(aws: Aws, world: World, tmp_path: Path) -> Iterator[Pair]:
    with Pair(aws, world, tmp_path) as pair:
        world.index.upload(wheel("first", "1.0"))
        world.index.upload(wheel("second", "1.0"))
        pair.publish()
        pair.follow()
        yield pair


def same(pair: Pair) -> bool:
    return pair.content(pair.follower) == pair.content(pair.source)


def test_it_begins_with_the_root_index_and_goes_on_with_the_feed(pair: Pair) -> None:
    assert same(pair)
    assert pair.follow() == 1, "the checkpoint alone"

    pair.source.index.upload(sdist("first", "2.0"))
    pair.source.index.upload(wheel("third", "1.0"))
    pair.publish()

    assert pair.follow() == 2, "the checkpoint and the entries"
    assert same(pair)
    assert [pair.follow() for _ in range(5)] == [1] * 5


def test_what_a_cached_root_index_lacked_is_found_within_minutes(
    aws: Aws, world: World, tmp_path: Path
) -> None:
    with Pair(aws, world, tmp_path) as pair:
        world.index.upload(wheel("first", "1.0"))
        pair.publish()
        keys = [f"web/{gzip}simple/index.v1_json" for gzip in ("", "gzip/")]
        cached = {key: world.read(key) for key in keys}
        world.index.upload(wheel("second", "1.0"))
        pair.publish()
        current = {key: world.read(key) for key in keys}

        def serve(bodies: dict[str, bytes]) -> None:
            for key, body in bodies.items():
                encoding = "gzip" if "gzip" in key else ""
                world.s3.put_object(
                    Bucket=world.bucket,
                    Key=key,
                    Body=body,
                    ContentType=_type(key),
                    ContentEncoding=encoding,
                )

        serve(cached)
        pair.follow()
        serve(current)
        assert not same(pair)
        for _ in range(12):
            pair.follow()

        assert same(pair)
        assert pair.follow() == 1


def test_an_allowlist_of_the_follower_counts(pair: Pair) -> None:
    options = f"discovery = feed\nfeed-key = {pair.key.public.text}\nmax-removals = 100% 0\n"
    allowlist = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages = first\n"
    pair.follower.configure(options, allowlist)
    pair.follow()
    pair.source.index.upload(wheel("first", "2.0"))
    pair.source.index.upload(wheel("third", "1.0"))
    pair.publish()
    pair.follow()

    pages = {key.split("/")[2] for key in pair.follower.stored("web/simple/") if "v1_json" in key}
    assert pages == {"first", "index.v1_json"}
    assert pair.follow() == 1


def test_removed_projects_and_files_follow(pair: Pair) -> None:
    index = pair.source.index
    for number in range(10):
        index.upload(wheel("large", f"{number}.0"))
    pair.publish()
    pair.follow()
    for number in range(9):
        index.remove_release("large", f"{number}.0")
    index.remove_project("second")
    pair.publish()
    pair.follow()

    assert same(pair)


def test_a_page_that_is_not_the_one_of_the_feed_is_not_published(pair: Pair) -> None:
    pair.source.index.upload(wheel("first", "2.0"))
    pair.publish()
    key = "web/simple/first/index.v1_json"
    page = pair.source.read(key)
    before = pair.follower.read(key)
    forged = page.replace(b'"yanked":false', b'"yanked":true', 1)
    assert forged != page
    put(pair.source, key, forged)
    put(pair.source, "web/gzip/simple/first/index.v1_json", None)

    pair.follow()

    assert pair.follower.read(key) == before
    status = json.loads(pair.follower.read("web/status.json"))
    assert status["lagging"]["first"]["reason"] == "upstream's response is not valid"

    put(pair.source, key, page)
    pair.follower.retry()
    pair.follow()
    assert same(pair)


def test_a_page_that_is_newer_than_the_feed_waits_for_its_entry(pair: Pair) -> None:
    pair.source.index.upload(wheel("first", "2.0"))
    pair.publish()
    pair.source.index.upload(wheel("first", "3.0"))
    pair.source.plan()
    pair.source.work(last=True)  # the page is published, and not yet in the feed
    before = pair.follower.read("web/simple/first/index.v1_json")

    pair.follow()

    assert pair.follower.read("web/simple/first/index.v1_json") == before
    assert json.loads(pair.follower.read("web/status.json"))["lagging"] == {}
    pair.source.finalize()
    pair.follow()
    assert same(pair)


def put(world: World, key: str, body: bytes | None) -> None:
    if body is None:
        world.s3.delete_object(Bucket=world.bucket, Key=key)
    else:
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body, ContentType=_type(key))


def _type(key: str) -> str:
    json_type = "application/vnd.pypi.simple.v1+json"
    return json_type if key.endswith("v1_json") else "application/octet-stream"


def rewrite(pair: Pair, lines: list[bytes], origin: str) -> None:
    """Publish another history, signed by the mirror's own key, as an operator could."""
    for key in pair.source.stored("web/changes/"):
        put(pair.source, key, None)
    level, hashes = 0, [rfc9162.root([line]) for line in lines]
    for number in range(-(-len(lines) // 256)):
        part = lines[number * 256 : number * 256 + 256]
        bundle = f"web/changes/entries/{path(number, len(part))}"
        put(pair.source, bundle, b"".join(line + b"\n" for line in part))
    while hashes:
        for number in range(-(-len(hashes) // 256)):
            part = hashes[number * 256 : number * 256 + 256]
            tile = f"web/changes/tile/{level}/{path(number, len(part))}"
            put(pair.source, tile, b"".join(part))
        level += 1
        span = 256**level
        hashes = [
            rfc9162.root(lines[at * span : (at + 1) * span]) for at in range(len(lines) // span)
        ]
    sign(pair, Checkpoint(origin, len(lines), rfc9162.root(lines)))


def sign(pair: Pair, made: Checkpoint) -> None:
    """Publish a checkpoint, signed by the mirror's own key."""
    name, public = "pypi.example.org", pair.key.public.raw
    signature = pair.key.sign(made.text.encode())
    line = SignatureLine(name, checkpoint.key_hash(name, public), signature)
    put(pair.source, "web/changes/checkpoint", checkpoint.render(made, line))


@pytest.mark.parametrize("grown", [0, 1, 300])
def test_a_mirror_that_rewrites_its_history_is_caught(pair: Pair, grown: int) -> None:
    feed = pair.feed()
    first, *rest = feed.lines
    forged = first.replace(b'"serial":', b'"serial":9')
    more = [b'{"project":"x","outcome":"updated","run":"1"}'] * grown
    rewrite(pair, [forged, *rest, *more], feed.origin)
    before = pair.follower.contents()

    for _ in range(2):
        with pytest.raises(FeedRewritten, match="upstream has rewritten its history"):
            pair.follower.plan()

    after = pair.follower.contents()
    proof = json.loads(after.pop(layout.FEED_PROOF))
    assert before == after, "nothing else has changed"
    # Anybody can check the proof: the same key has signed both, and the tree of the second has
    # another root at the size of the first.
    one, two = (proof[name].split("\n") for name in ("first", "second"))
    assert one[0] == two[0] == feed.origin
    old, new = (base64.b64decode(lines[2]) for lines in (one, two))
    hashes = [base64.b64decode(each) for each in proof["hashes"]]
    second = rfc9162.root([forged, *rest, *more])
    assert (old, new) == (feed.root, second)
    assert not rfc9162.verify_consistency(int(one[1]), int(two[1]), old, new, hashes)
    if grown:
        forged_root = rfc9162.root([forged, *rest])
        assert rfc9162.verify_consistency(int(one[1]), int(two[1]), forged_root, second, hashes)


def test_damaged_entries_are_no_rewritten_history(pair: Pair) -> None:
    pair.source.index.upload(wheel("first", "2.0"))
    pair.publish()
    size = pair.feed().size
    key = f"web/changes/entries/{path(0, size)}"
    body = pair.source.read(key)
    put(pair.source, key, body.replace(b"first", b"other"))

    with pytest.raises(UpstreamUnavailable, match="do not have the root of its checkpoint"):
        pair.follower.plan()

    put(pair.source, key, body)
    pair.follow()
    assert same(pair)


def test_a_feed_of_another_origin_is_not_followed_until_somebody_agrees(pair: Pair) -> None:
    rewrite(pair, pair.feed().lines, "pypi.example.org/another")
    pair.source.configure(sections="")
    pair.source.index.upload(wheel("first", "2.0"))
    pair.publish()

    pair.follow()
    assert same(pair), "its root index is compared"
    assert not pair.follower.dry_run().regressed
    pair.follower.clock.advance(3700)
    assert "upstream has another change feed" in pair.follower.dry_run().regressed

    pair.follower.mirror_run(reset=True)
    assert not pair.follower.dry_run().regressed
    assert pair.follower.cursor().feed.origin == "pypi.example.org/another"


def test_a_feed_that_was_restored_from_a_backup_is_named_and_then_another_history(
    pair: Pair,
) -> None:
    origin, lines = pair.feed().origin, pair.feed().lines
    for version in ("2.0", "3.0"):
        pair.source.index.upload(wheel("first", version))
        pair.publish()
    pair.follow()
    size = pair.follower.cursor().feed.size

    rewrite(pair, lines, origin)
    put(pair.source, "state/changes.json", None)
    pair.follow()
    pair.follower.clock.advance(3700)
    shrunk = f"change feed has {len(lines)} changes, and had {size}: it was restored from a backup"
    assert shrunk in pair.follower.dry_run().regressed

    for version in ("4.0", "5.0", "6.0"):  # the feed goes on from the backup
        pair.source.index.upload(wheel("first", version))
        pair.publish()
    with pytest.raises(FeedRewritten, match="rewritten its history"):
        pair.follower.plan()


def test_a_feed_that_was_switched_off_is_named_and_followed_again_once_it_is_back(
    pair: Pair,
) -> None:
    kept = pair.source.read("web/changes/checkpoint")
    pair.source.s3.delete_object(Bucket=pair.source.bucket, Key="web/changes/checkpoint")
    pair.source.configure()
    pair.source.index.upload(wheel("first", "2.0"))
    pair.publish()
    pair.follow()
    assert same(pair), "its root index is compared"
    pair.follower.clock.advance(3700)
    gone = pair.follower.dry_run().regressed
    assert gone.startswith("upstream's change feed is gone: ")
    assert "/changes/checkpoint is missing; its root index is compared" in gone

    put(pair.source, "web/changes/checkpoint", kept)
    pair.follow()
    assert not pair.follower.dry_run().regressed


def test_an_older_checkpoint_from_a_cache_is_passed_over(pair: Pair) -> None:
    old = pair.source.read("web/changes/checkpoint")
    pair.source.index.upload(wheel("first", "2.0"))
    pair.publish()
    pair.follow()
    new = pair.source.read("web/changes/checkpoint")
    position = pair.follower.cursor().feed

    put(pair.source, "web/changes/checkpoint", old)
    pair.follow()
    put(pair.source, "web/changes/checkpoint", new)
    pair.follow()

    assert pair.follower.cursor().feed.size == position.size
    assert not pair.follower.cursor().feed.regressed
    assert pair.follow() == 1


def test_a_history_without_end_is_not_followed(pair: Pair) -> None:
    feed, before = pair.feed(), pair.follower.cursor()
    sign(pair, Checkpoint(feed.origin, 10**9, b"x" * 32))

    with pytest.raises(UpstreamUnavailable, match="at most 2,000,000 are followed"):
        pair.follower.plan()

    assert pair.follower.cursor() == before


def test_a_checkpoint_by_another_key_is_refused(pair: Pair) -> None:
    pair.key = SigningKey.generate()
    rewrite(pair, pair.feed().lines, pair.feed().origin)

    with pytest.raises(InvalidCheckpoint, match="not signed by the configured key"):
        pair.follower.plan()


def test_without_a_feed_the_root_index_is_compared(aws: Aws, world: World, tmp_path: Path) -> None:
    with Pair(aws, world, tmp_path) as pair:
        world.configure()
        world.index.upload(wheel("first", "1.0"))
        pair.publish()
        pair.follow()
        world.index.upload(wheel("first", "2.0"))
        pair.publish()
        pair.follow()

        assert same(pair)
        assert not pair.follower.dry_run().regressed


class Killed(Exception):
    """The process dies."""


def killed(world: World, limit: int) -> None:
    """Finalize, but die at a request to the storage."""
    requests = iter(range(10_000))

    def die(**_: object) -> None:
        if next(requests) >= limit:
            raise Killed

    async def attempt(mirror: Mirror) -> None:
        with before_requests_to_s3(mirror, die):
            await finalize(mirror)

    try:
        world.run(attempt)
    except Killed:
        world.close()


def change(index: Index, names: list[str], version: str, choice: random.Random) -> None:
    """Change something upstream."""
    match choice.randrange(6):
        case 0:
            names.append(f"new-{version.replace('.', '-')}")
            index.upload(wheel(names[-1], "1.0"))
        case 1 if len(names) > 3:
            index.remove_project(names.pop(choice.randrange(len(names))))
        case 2:
            index.yank(choice.choice(names), "1.0")
        case _:
            index.upload(wheel(choice.choice(names), version))


def test_rounds_with_kills_on_both_sides_end_with_the_same_content(pair: Pair) -> None:
    choice = random.Random(7)
    names = ["first", "second"]
    for number in range(20):
        for each in range(choice.randrange(1, 4)):
            change(pair.source.index, names, f"{number}.{each}", choice)
        pair.source.plan()
        pair.source.work(last=True)
        killed(pair.source, choice.randrange(40))
        pair.follower.clock.advance(60)
        pair.follower.plan()
        pair.follower.work(last=True)
        killed(pair.follower, choice.randrange(40))
        pair.source.finalize()

    for _ in range(3):
        pair.publish()
        pair.follower.retry()
        pair.follow()
    assert same(pair)
    assert pair.follow() == 1
    changed = [(entry["run"], entry["project"]) for entry in pair.feed().entries]
    assert len(changed) == len({*changed}), "no change is in the feed twice"
