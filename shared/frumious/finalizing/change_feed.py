"""The change feed: what a tick's jobs changed, appended to a tree that never changes otherwise.

A commit is one write of the state, as it was read. Then its entries are published, its tiles, and
last its checkpoint, which replaces the one before. A finalizer that dies anywhere is followed by
one that publishes the same commit, and appends only reports that the commit does not cover.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from frumious.clock import utc
from frumious.concurrency import run_all
from frumious.model import changes, checkpoint, layout, merkle
from frumious.model.changes import Entry
from frumious.model.checkpoint import Checkpoint
from frumious.model.jobs import Outcome
from frumious.model.merkle import TILE_HEIGHT, TILE_WIDTH, Tile, Tree
from frumious.model.runs import run_id
from frumious.signing.checkpoints import sign_checkpoint
from frumious.state.changes import (
    FeedState,
    damaged,
    read_bundle,
    read_checkpoint,
    read_state,
    read_tile,
    restored_state,
)
from frumious.state.objects import render
from frumious.state.replacing import replace_object

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from frumious.config.changes import ChangesConfig
    from frumious.mirror import Mirror
    from frumious.model.jobs import Report, Result
    from frumious.model.types import Key
    from frumious.state.inbox import Inbox
    from frumious.storage.protocol import Storage


async def record_changes(
    accepted: Sequence[Report], consumed: Inbox, mirror_serial: int | None, mirror: Mirror
) -> None:
    """Append what the reports changed to the feed, if the configuration asks for one.

    Raises:
        Conflict: another finalizer is at work.
        LedgerCorrupt: what is published is damaged.
    """
    config = mirror.config.changes
    changed = [report for report in accepted if report.result.outcome.changed]
    if config is None or not changed:
        return
    feed = await _Feed.open(config, mirror.storage, mirror.clock.now())
    await feed.settle()
    known = frozenset(consumed.reports_of(feed.state.reports))
    time = utc(mirror.clock.now())
    new = (report for report in changed if report not in known)
    entries = [entry_of(report, time, mirror_serial) for report in new]
    entries = await feed.without_repeated(entries)
    if entries:
        await feed.commit(entries, consumed.keys)


def entry_of(report: Report, time: str, mirror_serial: int | None) -> Entry:
    """Return what a job changed as an entry."""
    result = report.result
    return Entry(
        project=result.project,
        serial=result.serial,
        outcome=result.outcome.value,
        run=report.job.run,
        time=time,
        upstream_time=result.uploaded,
        added=_files(result.added, result),
        removed=_files(result.removed, result),
        page=result.page,
        quarantined=report.job.quarantined or result.outcome is Outcome.QUARANTINED,
        mirror_serial=mirror_serial,
    )


def _files(keys: Iterable[Key], result: Result) -> Mapping[str, str]:
    """Return the names of files of releases, with their digests.

    Where some are known, the others were on no page any more: an earlier job was to delete them.
    """
    digests = dict(result.sha256)
    files = {layout.filename(key): digests.get(key, "") for key in keys if layout.is_file(key)}
    return {name: digest for name, digest in files.items() if digest} or files


@dataclass(slots=True)
class _Feed:
    """The feed as this tick read it, and as it leaves it."""

    config: ChangesConfig
    storage: Storage
    state: FeedState
    state_etag: str | None
    published: Checkpoint | None
    etag: str | None  # of the published checkpoint
    # The lines of the last bundle as it was read, and up to which entry.
    tail: tuple[int, Sequence[bytes]] = (0, ())

    @classmethod
    async def open(cls, config: ChangesConfig, storage: Storage, now: float) -> Self:
        """Read the state and the checkpoint; without both, a new feed begins.

        Raises:
            LedgerCorrupt: what is published is not what the state says.
        """
        state, state_etag = await read_state(storage)
        published, etag = await read_checkpoint(storage)
        if published is not None and (state is None or state.end < published.size):
            state = await restored_state(published, storage)  # lost, or an older one was restored
        if state is None:
            state = FeedState(origin=f"{config.name}/{run_id(now)}")
        if published is not None and published.origin != state.origin:
            problem = f"its checkpoint is of {published.origin!r}, and not of {state.origin!r}"
            raise damaged(problem)
        return cls(config, storage, state, state_etag, published, etag)

    async def settle(self) -> None:
        """Publish what an earlier tick has committed, if it was killed before it did so."""
        if self.published is None and not self.state.end:
            return
        if self.published is None or self.published.size != self.state.end:
            await self._publish()
        elif self.published.root != self.state.committed.root:
            problem = "its checkpoint has another root than its state"
            raise damaged(problem)

    async def without_repeated(self, entries: Iterable[Entry]) -> list[Entry]:
        """Return the entries without those of jobs that were done twice, of the last bundle."""
        lines = await self._read_tail(self.state.end)
        known = {_identity(changes.parse_entry(line)) for line in lines}
        return [entry for entry in entries if _identity(entry) not in known]

    async def commit(self, entries: Iterable[Entry], reports: Iterable[Key]) -> None:
        """Append entries, and publish them.

        Raises:
            Conflict: another finalizer has committed since the state was read.
        """
        lines = tuple(entry.render().decode() for entry in entries)
        state = self.state.committing(lines, tuple(reports))
        body = render(state)
        self.state_etag = await replace_object(layout.FEED, body, self.state_etag, self.storage)
        self.state = state
        await self._publish()

    async def _publish(self) -> None:
        """Publish the last commit: entries, tiles, and last the checkpoint."""
        state, committed = self.state, self.state.committed
        begin, end = state.size, committed.size
        lines = [*await self._read_tail(begin), *map(str.encode, state.lines)]
        tiles = await self._tiles(begin, list(map(merkle.leaf_hash, lines)))
        _check(committed, tiles)
        first = begin - begin % TILE_WIDTH
        bundles: dict[Key, bytes] = {}
        for each, count in changes.bundles(begin, end):
            start = each * TILE_WIDTH - first
            bundles[changes.bundle_key(each, count)] = changes.join_lines(
                lines[start : start + count]
            )
        await _write_all(bundles, self.storage)
        await _write_all(
            {changes.tile_key(tile): b"".join(hashes) for tile, hashes in tiles.items()},
            self.storage,
        )
        await self._write_checkpoint(Checkpoint(state.origin, end, committed.root))
        await self._delete_partial(begin, tiles)

    async def _read_tail(self, end: int) -> Sequence[bytes]:
        """Return the lines of the bundle that an entry would be appended to."""
        if self.tail[0] != end:
            number, width = divmod(end, TILE_WIDTH)
            lines = await read_bundle(number, width, self.storage) if width else ()
            self.tail = end, lines
        return self.tail[1]

    async def _tiles(self, begin: int, hashes: list[bytes]) -> dict[Tile, Sequence[bytes]]:
        """Return the tiles that change behind `begin`, the lowest first.

        The hashes are those of the leaves, from the beginning of a tile on.
        """
        tiles: dict[Tile, Sequence[bytes]] = {}
        level = 0
        while hashes:
            first = (begin >> (TILE_HEIGHT * level)) // TILE_WIDTH
            parts = [hashes[at : at + TILE_WIDTH] for at in range(0, len(hashes), TILE_WIDTH)]
            for number, part in enumerate(parts, first):
                tiles[Tile(level, number, len(part))] = part
            roots = [Tree().append(part).root for part in parts if len(part) == TILE_WIDTH]
            level += 1
            hashes = []
            if roots:
                number, width = divmod(begin >> (TILE_HEIGHT * level), TILE_WIDTH)
                before = Tile(level, number, width)
                hashes = [*(await read_tile(before, self.storage) if width else ()), *roots]
        return tiles

    async def _write_checkpoint(self, made: Checkpoint) -> None:
        body = checkpoint.render(made, await sign_checkpoint(made, self.config))
        self.etag = await replace_object(changes.CHECKPOINT, body, self.etag, self.storage)
        self.published = made

    async def _delete_partial(self, begin: int, tiles: Iterable[Tile]) -> None:
        """Delete the partial tiles and bundles of those that have become full."""
        prefixes: list[str] = []
        for tile in tiles:
            number, width = divmod(begin >> (TILE_HEIGHT * tile.level), TILE_WIDTH)
            if width and tile == Tile(tile.level, number):
                prefixes.append(changes.partial_tiles(tile))
                prefixes += [] if tile.level else [changes.partial_bundles(number)]
        old = [entry.key for prefix in prefixes async for entry in self.storage.list(prefix)]
        if old:
            await self.storage.delete(old)


def _check(committed: Tree, tiles: Mapping[Tile, Sequence[bytes]]) -> None:
    """Check that tiles continue what is published before they replace anything.

    Raises:
        LedgerCorrupt: an entry or a tile that was read is damaged.
    """
    rest = committed.hashes
    for tile in merkle.edge_tiles(committed.size):
        rest, own = rest[: -tile.width.bit_count()], rest[-tile.width.bit_count() :]
        if tile in tiles and Tree().append(tiles[tile]).hashes != own:
            problem = f"its objects before {tile.path} do not belong to its tree"
            raise damaged(problem)


def _identity(entry: Entry) -> tuple[str, ...]:
    return entry.run, entry.project, entry.outcome, entry.page


async def _write_all(objects: Mapping[Key, bytes], storage: Storage) -> None:
    await run_all(storage.write(key, body) for key, body in objects.items())
