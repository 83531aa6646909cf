"""The files that pages name, against a listing of the files that are stored."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from contextlib import aclosing
from dataclasses import dataclass, field
from itertools import accumulate
from typing import TYPE_CHECKING, Final, Self, cast

from frumious.auditing.headers_check import wrong_type
from frumious.auditing.page_check import is_placeholder
from frumious.auditing.records import HASH_SIZE, RECORD, key_hash, shard_start
from frumious.model import layout
from frumious.model.audits import NamedPage
from frumious.state.audit import damaged_batch

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.state.audit import AuditStore

MAX_JOB_AGE: Final = 24 * 3600.0  # seconds; younger files may belong to a page that is not written


@dataclass(slots=True)
class ShardCheck:
    """What the listing of one shard has shown."""

    objects: int = 0
    # Projects and hashes of keys that are missing, or have another size or content type.
    suspects: defaultdict[NormalizedName, set[bytes]] = field(
        default_factory=lambda: defaultdict(set)
    )
    candidates: list[Key] = field(default_factory=list)  # that nothing names


async def check_shard(
    shard: int, shards: int, batches: int, mirror: Mirror, store: AuditStore
) -> ShardCheck:
    """List a shard of the stored files, and compare it with what pages name there."""
    named = await _Named.read(shard, batches, store)
    check = ShardCheck()
    suspects: list[int] = []
    oldest = mirror.clock.now() - MAX_JOB_AGE
    begin, end = shard_start(shard, shards), shard_start(shard + 1, shards)
    async with aclosing(mirror.storage.list(layout.FILES, after=begin)) as listing:
        async for entry in listing:
            if end and entry.key >= end:
                break
            check.objects += 1
            position = named.pop(entry.key)
            if position is None:
                is_old = entry.modified is None or entry.modified <= oldest
                if is_old and not is_placeholder(entry.key):
                    check.candidates.append(entry.key)
                continue
            if named.size(position) not in {-1, entry.size} or wrong_type(entry):
                suspects.append(position)
    await named.add_suspects(suspects, check.suspects, store)
    return check


class _Named:
    """What pages name in a shard: records in one buffer, found by the hashes of their keys."""

    def __init__(self, batches: Sequence[bytes]) -> None:
        self._buffer = b"".join(batches)
        self._ends = [*accumulate(map(len, batches))]
        self._positions = {
            self._buffer[start : start + HASH_SIZE]: start
            for start in range(0, len(self._buffer), RECORD.size)
        }

    @classmethod
    async def read(cls, shard: int, batches: int, store: AuditStore) -> Self:
        return cls([await store.records(batch, shard, RECORD.size) for batch in range(batches)])

    def pop(self, key: Key) -> int | None:
        """Take the record of a key, and return its position; None: no page names the key."""
        return self._positions.pop(key_hash(key), None)

    def size(self, position: int) -> int:
        size: int = RECORD.unpack_from(self._buffer, position)[1]
        return size

    async def add_suspects(
        self,
        positions: Iterable[int],
        suspects: defaultdict[NormalizedName, set[bytes]],
        store: AuditStore,
    ) -> None:
        """Add records that are not as they should be, and those that were not listed."""
        batch, pages = -1, list[NamedPage]()
        for position in sorted([*positions, *self._positions.values()]):
            found = bisect_right(self._ends, position)
            if found != batch:
                batch, pages = found, await store.named_pages(found)
            digest, _, page = RECORD.unpack_from(self._buffer, position)
            if page >= len(pages):
                raise damaged_batch(batch)
            suspects[cast("NormalizedName", pages[page].project)].add(digest)
