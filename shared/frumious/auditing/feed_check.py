"""The published change feed: all of its objects are there, and belong to its checkpoint."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from frumious.model import changes, layout, merkle
from frumious.model.audits import Finding, Kind
from frumious.model.merkle import HASH_SIZE, TILE_HEIGHT, TILE_WIDTH, Tile, Tree
from frumious.state.changes import (
    FeedState,
    read_bundle,
    read_checkpoint,
    read_tile,
    restored_state,
)
from frumious.state.objects import LedgerCorrupt, parse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.model.checkpoint import Checkpoint
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

_PATH: Final = re.compile(
    r"(?:entries|tile/(?P<level>\d{1,2}))/(?P<number>[x\d/]+?)(?P<p>\.p/\d+)?"
)


async def check_feed(storage: Storage, *, deep: bool) -> list[Finding]:
    """Return what is missing, damaged or left over; `deep` reads all entries and tiles."""
    stored = await storage.read(layout.FEED)
    try:
        published, _ = await read_checkpoint(storage)
        if published is None:
            return [] if stored is None else [_damaged(changes.CHECKPOINT, "it is missing")]
        await restored_state(published, storage)
        if stored is not None:
            with suppress(LedgerCorrupt):  # the doctor's finding
                if parse(layout.FEED, stored, FeedState).origin != published.origin:
                    return [_damaged(changes.CHECKPOINT, "it is of another feed")]
    except LedgerCorrupt as error:
        return [_damaged(changes.CHECKPOINT, str(error))]
    findings = await _check_listing(published, storage)
    if not any(finding.kind is Kind.DAMAGED_FEED for finding in findings):
        findings += await _check_entries(published, storage, deep=deep)
    return findings


async def _check_listing(published: Checkpoint, storage: Storage) -> list[Finding]:
    """Compare the keys with those that the checkpoint demands.

    Behind its last entry there may be what a finalizer is about to publish.
    """
    expected = _full_objects(published.size)
    findings: list[Finding] = []
    async for entry in storage.list(layout.CHANGES):
        if entry.key in expected:
            size = expected.pop(entry.key)
            if size is not None and entry.size != size:
                findings.append(_damaged(entry.key, f"it has {entry.size} bytes"))
        elif entry.key != changes.CHECKPOINT and not _may_be_there(entry.key, published.size):
            findings.append(Finding(Kind.LEFTOVER, entry.key))
    return [*findings, *(_damaged(key, "it is missing") for key in expected)]


def _full_objects(size: int) -> dict[Key, int | None]:
    """Return the keys of all full tiles and bundles, with their sizes."""
    objects: dict[Key, int | None] = {}
    level, count = 0, size // TILE_WIDTH
    while count:
        for number in range(count):
            objects[changes.tile_key(Tile(level, number))] = TILE_WIDTH * HASH_SIZE
            if not level:
                objects[changes.bundle_key(number)] = None
        level, count = level + 1, count // TILE_WIDTH
    return objects


def _may_be_there(key: Key, size: int) -> bool:
    match = _PATH.fullmatch(key.removeprefix(layout.CHANGES))
    if match is None:
        return False
    level, digits = int(match["level"] or 0), match["number"].replace("/", "").replace("x", "")
    return bool(digits) and int(digits) >= size >> (TILE_HEIGHT * (level + 1))


async def _check_entries(published: Checkpoint, storage: Storage, *, deep: bool) -> list[Finding]:
    """Compare the last bundle with its tile; if `deep`, all bundles, and all tiles above."""
    findings: list[Finding] = []
    numbers = [*changes.bundles(0, published.size)]
    roots: list[bytes] = []
    for number, width in numbers if deep else numbers[-1:]:
        tile = Tile(0, number, width)
        try:
            hashes = await read_tile(tile, storage)
            lines = await read_bundle(number, width, storage)
        except LedgerCorrupt as error:
            findings.append(_damaged(changes.tile_key(tile), str(error)))
            continue
        if [*map(merkle.leaf_hash, lines)] != hashes:
            detail = "its entries are not those of the tree"
            findings.append(_damaged(changes.bundle_key(number, width), detail))
        if width == TILE_WIDTH:
            roots.append(Tree().append(hashes).root)
    if deep and not findings:
        findings += await _check_tiles(1, roots, storage)
    return findings


async def _check_tiles(level: int, hashes: Sequence[bytes], storage: Storage) -> list[Finding]:
    """Compare the tiles of a level with the roots of the tiles below."""
    roots: list[bytes] = []
    for number, width in changes.bundles(0, len(hashes)):
        tile = Tile(level, number, width)
        own = [*hashes[number * TILE_WIDTH : number * TILE_WIDTH + width]]
        try:
            problem = "" if await read_tile(tile, storage) == own else "it is not of the tree"
        except LedgerCorrupt as error:
            problem = str(error)
        if problem:
            return [_damaged(changes.tile_key(tile), problem)]
        if width == TILE_WIDTH:
            roots.append(Tree().append(own).root)
    return await _check_tiles(level + 1, roots, storage) if roots else []


def _damaged(key: Key, detail: str) -> Finding:
    return Finding(Kind.DAMAGED_FEED, key, detail=detail[:500])
