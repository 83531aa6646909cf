"""The change feed: what a mirror has published and kept, and what upstream's says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from frumious.errors import FrumiousError
from frumious.model import changes, checkpoint, layout, merkle
from frumious.model.changes import InvalidEntry, Position
from frumious.model.checkpoint import InvalidCheckpoint
from frumious.model.merkle import Tree
from frumious.signing.ed25519 import verify
from frumious.state.changes import FeedState
from frumious.state.objects import LedgerCorrupt, NewerFormat, parse, render
from frumious.storage.protocol import Stored
from frumious.upstream.client import Response
from frumious.upstream.feed import ChangeFeed
from tests.fuzz.targets.checks import check_project, run

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.upstream.client import Client

FIRST: Final = b'{"project":"demo","outcome":"updated","run":"1"}'
ORIGIN: Final = "mirror.example/1"


def checkpoint_note(data: bytes) -> None:
    """A checkpoint: nobody can sign one without the key."""
    try:
        note = checkpoint.parse(data)
    except InvalidCheckpoint:
        return
    made = note.checkpoint
    assert note.text.startswith(f"{made.origin}\n{made.size}\n")
    assert checkpoint.parse(checkpoint.render(made)).checkpoint == made
    try:
        note.check_signature(bytes(range(32)), verify)
    except InvalidCheckpoint:
        return
    raise AssertionError(note)


def feed_key(data: bytes) -> None:
    """A public key in mirror.conf."""
    try:
        key = checkpoint.parse_public_key(data.decode(errors="replace"))
    except ValueError:
        return
    assert len(key) == 32
    assert checkpoint.parse_public_key(checkpoint.verifier_key("a.example", key)) == key


def feed_entry(data: bytes) -> None:
    """A line of a bundle."""
    try:
        entry = changes.parse_entry(data)
    except InvalidEntry:
        return
    check_project(entry.project)
    assert changes.parse_entry(entry.render()) == entry
    assert b"\n" not in entry.render()


def feed_state(data: bytes) -> None:
    """What the finalizer keeps."""
    try:
        state = parse(layout.FEED, Stored(data, "etag"), FeedState)
    except (LedgerCorrupt, NewerFormat):
        return
    assert parse(layout.FEED, Stored(render(state), "etag"), FeedState) == state
    assert state.committed.size == state.end


class _Upstream:
    """Upstream has a checkpoint, and the same bundle and tiles for all paths."""

    def __init__(self, note: bytes, body: bytes) -> None:
        self._note = note
        self._body = body

    async def fetch(self, url: str, *, limit: int, headers: Mapping[str, str]) -> Response:
        body = self._note if url.endswith("/checkpoint") else self._body
        return Response(200, {"ETag": '"x"'}, body, url)


def feed_answer(data: bytes) -> None:
    """A checkpoint, and behind a zero byte what its entries or tiles are."""
    note, _, body = data.partition(b"\0")
    tree = Tree().append([merkle.leaf_hash(FIRST)])
    for position in (Position(), Position.of(ORIGIN, tree)):
        feed = ChangeFeed(cast("Client", _Upstream(note, body)), "https://mirror.example", b"")
        try:
            answer = run(feed.read(position, 1.0))
        except FrumiousError:
            continue
        if not answer.position.regressed:
            assert answer.position.tree.root == checkpoint.parse(note).checkpoint.root
        for project in answer.changes.projects if answer.changes is not None else ():
            check_project(project)


TARGETS: Final = (checkpoint_note, feed_key, feed_entry, feed_state, feed_answer)
