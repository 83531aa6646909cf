"""An audit's state: how far it is, what it found, and what pages name.

All of it is in the mirror's own storage, so that any process can continue an audit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec
from msgspec import Struct

from frumious.model import layout
from frumious.model.audits import AuditProgress, Finding, NamedPage
from frumious.model.types import Key
from frumious.state.objects import LedgerCorrupt, parse, read_or_set_aside, render
from frumious.storage.protocol import delete_all

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from frumious.storage.protocol import Storage


class AuditDamaged(LedgerCorrupt):
    """What an audit has kept of its earlier phases is missing or damaged: it has to begin anew."""

    def __init__(self, key: Key) -> None:
        super().__init__(f"{key!r} is missing or damaged: an audit has to begin anew (--restart)")


class FoundFile(Struct):
    """An object with findings."""

    findings: list[Finding]


class AuditStore:
    """Reads and writes an audit's state; only one audit runs at a time."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def progress(self) -> AuditProgress | None:
        """Return how far the last audit is; None: there was none, or its state is damaged."""
        progress, _ = await read_or_set_aside(layout.AUDIT, AuditProgress, self._storage)
        return progress

    async def write_progress(self, progress: AuditProgress) -> None:
        """Keep how far the audit is."""
        await self._storage.write(layout.AUDIT, render(progress))

    async def findings(self, progress: AuditProgress) -> AsyncIterator[Finding]:
        """Yield what the audit has found so far.

        Raises:
            AuditDamaged: some of it is damaged.
        """
        for number in range(progress.reported):
            key = _findings(number)
            stored = await self._storage.read(key)
            if stored is not None:
                try:
                    found = parse(key, stored, FoundFile)
                except LedgerCorrupt as error:
                    raise AuditDamaged(key) from error
                for finding in found.findings:
                    yield finding

    async def write_findings(self, number: int, findings: Sequence[Finding]) -> None:
        """Keep some findings."""
        await self._storage.write(_findings(number), render(FoundFile([*findings])))

    async def named_pages(self, batch: int) -> list[NamedPage]:
        """Return a batch of pages, in the order in which they were checked.

        Raises:
            AuditDamaged: it is missing or damaged.
        """
        key = _batch(batch, "pages")
        stored = await self._storage.read(key)
        try:
            return msgspec.json.decode(stored.body if stored else b"", type=list[NamedPage])
        except ValueError as error:
            raise AuditDamaged(key) from error

    async def write_named_pages(self, batch: int, pages: Sequence[NamedPage]) -> None:
        """Keep a batch of pages."""
        await self._storage.write(_batch(batch, "pages"), msgspec.json.encode(pages))

    async def records(self, batch: int, shard: int, size: int) -> bytes:
        """Return what a batch of pages names in a shard: records of a size, in bytes.

        Raises:
            AuditDamaged: they are cut off.
        """
        key = _batch(batch, f"{shard:03}")
        stored = await self._storage.read(key)
        if stored is None:
            return b""
        if len(stored.body) % size:
            raise AuditDamaged(key)
        return stored.body

    async def write_records(self, batch: int, shard: int, records: bytes) -> None:
        """Keep what a batch of pages names in a shard."""
        await self._storage.write(_batch(batch, f"{shard:03}"), records)

    async def clear(self, prefix: str = layout.AUDIT_FOLDER) -> None:
        """Delete what an earlier audit has left."""
        await delete_all(prefix, self._storage)

    async def clear_batches(self) -> None:
        """Delete what pages name: the audit is over."""
        await self.clear(f"{layout.AUDIT_FOLDER}named/")


def _findings(number: int) -> Key:
    return Key(f"{layout.AUDIT_FOLDER}findings/{number:06}.json")


def damaged_batch(batch: int) -> AuditDamaged:
    """Return the error that says that a batch of pages does not have what records refer to."""
    return AuditDamaged(_batch(batch, "pages"))


def _batch(batch: int, part: str) -> Key:
    return Key(f"{layout.AUDIT_FOLDER}named/{batch:06}-{part}")
