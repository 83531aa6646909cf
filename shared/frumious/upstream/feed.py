"""Upstream's change feed, where upstream is a mirror that publishes one.

What a reader keeps between two calls is the right edge of the feed's tree. With the entries that
came since, it has to lead to the root of the new checkpoint: that proves that the new tree contains
the old one and each of the entries. The proofs of RFC 9162 are only made for what contradicts that.
"""

from __future__ import annotations

import calendar
import logging
import time
from base64 import b64encode
from contextlib import suppress
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import FrumiousError, Reason
from frumious.model import changes, checkpoint, merkle
from frumious.model.changes import Entry, Position
from frumious.model.jobs import AllowedRemoval, Outcome
from frumious.simple.values import valid_etag
from frumious.upstream.changelog import Changes
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.responses import etag_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.model.checkpoint import Checkpoint, Note
    from frumious.model.merkle import Tile, Tree
    from frumious.upstream.client import Client, Response

logger = logging.getLogger(__name__)

_MISSING: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})
_MAX_ENTRIES: Final = 2_000_000  # that are followed at once: three months of all of PyPI
_TILE_BYTES: Final = merkle.TILE_WIDTH * merkle.HASH_SIZE


class InvalidFeed(UpstreamUnavailable):
    """Objects of the feed do not belong together: some are damaged, or older than others."""

    reason = Reason.UPSTREAM_INVALID


class FeedRewritten(FrumiousError):
    """The feed shows another history than before; `proof` is what proves that."""

    reason = Reason.UPSTREAM_INVALID

    def __init__(self, text: str, proof: Proof) -> None:
        super().__init__(text)
        self.proof = proof


@dataclass(frozen=True, slots=True)
class Proof:
    """Two checkpoints, and the proof (RFC 9162, 2.1.4.1) from the first size to the second.

    It leads to the root of the second checkpoint, but not to that of the first: the same log has
    signed both.
    """

    first: str
    second: str
    hashes: tuple[str, ...]  # in base64


@dataclass(frozen=True, slots=True)
class FeedAnswer:
    """What the feed says."""

    position: Position  # to read on from
    # None: no changes are known, so that the root index has to be compared.
    changes: Changes | None = None
    problem: str = ""  # why the feed is not followed for now; empty: it is, or there never was one


class ChangeFeed:
    """The feed of one upstream; `key` is the public key that has to sign it, if any."""

    def __init__(self, client: Client, master: str, key: bytes) -> None:
        self._client = client
        self._url = f"{master}/changes/"
        self._key = key

    async def read(self, position: Position, now: float) -> FeedAnswer:
        """Return the changes behind a position; none at the beginning.

        While the feed is another one than before, or shorter, the position stays as it is, and
        says since when. One request if nothing has changed.

        Raises:
            FeedRewritten: it shows another history than before.
            InvalidCheckpoint: the checkpoint is none, or not signed by the key.
            InvalidEntry, InvalidFeed: the feed is damaged.
            UpstreamUnavailable: upstream did not respond in time, or with an error.
        """
        response = await self._fetch("checkpoint", checkpoint.MAX_BYTES, etag=position.etag)
        if response.status == HTTPStatus.NOT_MODIFIED and position.etag:
            return FeedAnswer(replace(position, regressed=0.0), Changes({}, {}, 0))
        if response.status in _MISSING:
            if position.origin:
                why = f"upstream's change feed is gone: {self._url}checkpoint is missing"
                return FeedAnswer(_regressed(position, now), problem=why)
            logger.warning(
                "upstream has no change feed: %scheckpoint is missing; its root index is compared",
                self._url,
            )
            return FeedAnswer(position)
        response.check_status()
        note = checkpoint.parse(response.body)
        if self._key:
            from frumious.signing.ed25519 import verify  # noqa: PLC0415 (computes tables)

            note.check_signature(self._key, verify)
        made, text, etag = note.checkpoint, response.body.decode(), etag_of(response)
        if not position.origin:
            tree = await self._edge(note)
            return FeedAnswer(Position.of(made.origin, tree, text, etag))
        if why := _replaced(made, position):
            return FeedAnswer(_regressed(position, now), problem=why)
        collected = _Collected()
        tree = await self._entries(position, made.size, collected)
        if tree.root != made.root:
            await self._explain(position, note, text)
        return FeedAnswer(Position.of(made.origin, tree, text, etag), collected.changes())

    async def _entries(self, position: Position, end: int, collected: _Collected) -> Tree:
        """Read the entries behind a position; return the tree that they lead to."""
        tree = position.tree
        if end - position.size > _MAX_ENTRIES:
            msg = (
                f"{self._url} has {end - position.size:,} changes since the last run, and at most"
                f" {_MAX_ENTRIES:,} are followed; compare all projects, with --reset-serials"
            )
            raise InvalidFeed(msg)
        for number, width in changes.bundles(position.size, end):
            path = changes.bundle_path(number, width)
            body = await self._read_grown(path, changes.bundle_path(number, merkle.TILE_WIDTH))
            lines = changes.split_lines(body, width)
            if len(lines) != width:
                msg = f"{self._url}{path} has {len(lines)} lines"
                raise InvalidFeed(msg)
            new = lines[max(position.size - number * merkle.TILE_WIDTH, 0) :]
            tree = tree.append(map(merkle.leaf_hash, new))
            collected.add(map(changes.parse_entry, new))
        return tree

    async def _edge(self, note: Note) -> Tree:
        """Return the tree of a checkpoint, whose entries nobody has read.

        Raises:
            InvalidFeed: its tiles are not those of the checkpoint.
        """
        made = note.checkpoint
        edge = {tile.level: await self._tile(tile) for tile in merkle.edge_tiles(made.size)}
        tree = merkle.tree_of(made.size, edge)
        if tree.root != made.root:
            msg = f"the tiles of {self._url} do not have the root of its checkpoint"
            raise InvalidFeed(msg)
        return tree

    async def _explain(self, position: Position, note: Note, text: str) -> None:
        """Find out why the entries do not lead to the checkpoint, and raise that.

        Raises:
            FeedRewritten: the tree does not contain the one before.
            InvalidFeed: it does, or its tiles are damaged as well.
        """
        made, tree = note.checkpoint, position.tree
        hashes: list[bytes] = []
        first, second = tree.root, made.root
        if 0 < tree.size < made.size:
            ranges = merkle.consistency_ranges(tree.size, made.size)
            own = merkle.Range(0, tree.size)
            needed = merkle.tiles_of([*ranges, own, merkle.Range(0, made.size)], made.size)
            tiles = {(tile.level, tile.number): await self._tile(tile) for tile in needed}
            hashes = [merkle.range_hash(each, tiles) for each in ranges]
            first = merkle.range_hash(own, tiles)
            second = merkle.range_hash(merkle.Range(0, made.size), tiles)
        elif tree.size == made.size:
            first = made.root
        if second != made.root or first == tree.root:
            msg = f"the entries of {self._url} do not have the root of its checkpoint"
            raise InvalidFeed(msg)
        encoded = tuple(b64encode(each).decode() for each in hashes)
        msg = (
            f"upstream has rewritten its history: {made.origin} had {tree.size} changes with the"
            f" root {b64encode(tree.root).decode()}, and its checkpoint of {made.size} changes does"
            " not contain them; nothing is followed until somebody has found out why, and begins"
            " anew with --reset-serials"
        )
        raise FeedRewritten(msg, Proof(position.checkpoint, text, encoded))

    async def _tile(self, tile: Tile) -> list[bytes]:
        body = await self._read_grown(tile.path, tile.full.path, _TILE_BYTES)
        hashes = merkle.split_hashes(body)[: tile.width]
        if len(hashes) != tile.width or len(hashes[-1]) != merkle.HASH_SIZE:
            msg = f"{self._url}{tile.path} has {len(body)} bytes"
            raise InvalidFeed(msg)
        return hashes

    async def _read_grown(
        self, path: str, full: str, limit: int = changes.MAX_BUNDLE_BYTES
    ) -> bytes:
        """Return an object, or the one that it has become.

        Raises:
            InvalidFeed: there is neither.
        """
        response = await self._fetch(path, limit)
        if response.status in _MISSING and path != full:
            response = await self._fetch(full, limit)
        if response.status in _MISSING:
            msg = f"{response.url} is missing"
            raise InvalidFeed(msg)
        response.check_status()
        return response.body

    async def _fetch(self, path: str, limit: int, *, etag: str = "") -> Response:
        etag = valid_etag(etag)  # it was stored
        headers = {"If-None-Match": etag} if etag else {}
        return await self._client.fetch(f"{self._url}{path}", limit=limit, headers=headers)


class _Collected:
    """What entries say, the last one of each project."""

    def __init__(self) -> None:
        self._projects: dict[NormalizedName, int] = {}
        self._digests: dict[NormalizedName, str] = {}
        self._removals: dict[NormalizedName, AllowedRemoval] = {}
        self._quarantined: set[NormalizedName] = set()
        self._serial = 0
        self._earliest: float | None = None

    def add(self, entries: Iterable[Entry]) -> None:
        for entry in entries:
            project, serial = entry.project, entry.serial or 0
            if serial >= self._projects.get(project, 0):
                self._projects[project] = serial
                self._digests[project] = entry.page
            if entry.outcome != Outcome.UPDATED:
                self._removals[project] = AllowedRemoval.PROJECT
            elif entry.removed or project in self._removals:
                self._removals[project] = AllowedRemoval.FILES
            self._quarantined.update([project] if entry.quarantined else ())
            self._serial = max(self._serial, entry.mirror_serial or 0)
            if self._earliest is None:
                with suppress(ValueError):
                    parsed = time.strptime(entry.time, "%Y-%m-%dT%H:%M:%SZ")
                    self._earliest = float(max(calendar.timegm(parsed), 0))

    def changes(self) -> Changes:
        return Changes(
            self._projects,
            self._removals,
            self._serial,
            frozenset(self._quarantined),
            self._earliest,
            {project: digest for project, digest in self._digests.items() if digest},
        )


def _replaced(made: Checkpoint, position: Position) -> str:
    """Return why a checkpoint is not one of the feed that is followed; empty: it may be."""
    if made.origin != position.origin:
        return f"upstream has another change feed, {made.origin}, than {position.origin} before"
    if made.size < position.size:
        return (
            f"upstream's change feed has {made.size:,} changes, and had {position.size:,}: it was"
            " restored from a backup, or caches keep an old checkpoint"
        )
    return ""


def _regressed(position: Position, now: float) -> Position:
    return replace(position, regressed=position.regressed or now)
