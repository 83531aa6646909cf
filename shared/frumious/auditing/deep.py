"""Reads the files that pages name, and compares all bytes with their hashes."""

from __future__ import annotations

import asyncio
import random
from typing import TYPE_CHECKING, Final

from frumious.auditing.confirm import read_blob
from frumious.auditing.records import key_hash
from frumious.concurrency import run_all
from frumious.config.choices import Backend
from frumious.model import layout
from frumious.model.audits import Kind

if TYPE_CHECKING:
    from frumious.auditing.audit import AuditSettings
    from frumious.auditing.page_check import PageCheck
    from frumious.mirror import Mirror
    from frumious.model.audits import Finding
    from frumious.model.blobs import Blob
    from frumious.model.types import Key


_FOUND_BY_READING: Final = frozenset(
    {Kind.WRONG_HASH, Kind.WRONG_METADATA, Kind.WRONG_PROVENANCE, Kind.WRONG_TYPE}
)


class Reader:
    """Reads files of projects, several at a time, and no faster than it may."""

    def __init__(self, mirror: Mirror, settings: AuditSettings) -> None:
        self._mirror = mirror
        self._settings = settings
        self._slots = asyncio.Semaphore(settings.workers)
        self._salt = random.randbytes(8).hex()  # noqa: S311 (another sample each time)
        self._read = 0
        self._next = 0.0  # when the next chunk may be read, by the clock's monotonic time

    def pop(self) -> int:
        """Return how many bytes were read since the last call."""
        read, self._read = self._read, 0
        return read

    async def read(self, check: PageCheck) -> list[Finding]:
        """Read what a project's page names, or the sample of it.

        What is missing or has another size is left to the listing, which finds it as well, and so
        are wrong types of files on Swift.
        """
        if not self._settings.deep:
            return []
        blobs = [blob for each in check.files for blob in each.blobs if self._is_sampled(blob.key)]
        found = await run_all(self._read_blob(check, blob) for blob in blobs)
        return [each for each in found if each is not None and self._is_new(each)]

    def _is_new(self, finding: Finding) -> bool:
        lists_types = self._mirror.config.backend is Backend.SWIFT
        if lists_types and finding.kind is Kind.WRONG_TYPE:
            return not finding.key.startswith(layout.FILES)
        return finding.kind in _FOUND_BY_READING

    async def _read_blob(self, check: PageCheck, blob: Blob) -> Finding | None:
        async with self._slots:
            return await read_blob(check.project, blob, self._mirror, self._on_chunk)

    def _is_sampled(self, key: Key) -> bool:
        number = int.from_bytes(key_hash(self._salt + key)[:8])
        return number < self._settings.sample * 2**64

    async def _on_chunk(self, size: int) -> None:
        """Count a chunk, and wait until the next one may be read."""
        self._read += size
        clock = self._mirror.clock
        now = clock.monotonic()
        self._next = max(self._next, now) + size / self._settings.max_rate
        if self._next > now + 0.01:
            await clock.sleep(self._next - now)
