"""What pages name, as compact records in the mirror's storage.

Pages name files of all keys, and a listing returns them by key. Both meet in shards of the keys:
the first phase writes a batch of records for each shard, the second reads a shard's batches and
lists its keys. A record identifies a key by its hash, which is enough to find out which objects
are missing or have another size; the project's page has the rest.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from struct import Struct
from typing import TYPE_CHECKING, Final

from frumious.model import layout

if TYPE_CHECKING:
    from frumious.auditing.page_check import PageCheck
    from frumious.model.audits import NamedPage
    from frumious.model.types import Key
    from frumious.state.audit import AuditStore

HASH_SIZE: Final = 16  # bytes
RECORD: Final = Struct(">16sqI")  # hash of the key, size or -1, position of the page in its batch
_IN_SHARD: Final = 150_000  # objects; a shard of so many takes some 30 MB of memory
SHARDS: Final = (1, 16, 256)


def shards_for(files: int) -> int:
    """Return into how many shards the keys of a mirror with so many files are divided."""
    return next((each for each in SHARDS if files <= each * _IN_SHARD), SHARDS[-1])


def shard_of(key: Key, shards: int) -> int:
    """Return the shard of a file's key; keys of the mirror begin with hexadecimal digits."""
    return int(key[len(layout.FILES) : len(layout.FILES) + 2], 16) * shards // 256


def shard_start(shard: int, shards: int) -> str:
    """Return a text that is above all keys of earlier shards, and below those of this one.

    The first shard begins with everything that is listed, the last one ends with it.
    """
    return f"{layout.FILES}{shard * 256 // shards:02x}" if 0 < shard < shards else ""


def key_hash(key: str) -> bytes:
    """Return what identifies a key in records."""
    return hashlib.blake2b(key.encode(), digest_size=HASH_SIZE).digest()


@dataclass(slots=True)
class Batch:
    """Records of the pages since the last checkpoint."""

    shards: int
    pages: list[NamedPage] = field(default_factory=list)
    records: int = 0
    _buffers: dict[int, bytearray] = field(default_factory=dict)

    def add(self, check: PageCheck) -> None:
        """Add what a page names; objects below other prefixes are compared with it at once."""
        page = check.named_page
        if page is None:
            return
        position = len(self.pages)
        self.pages.append(page)
        for mirrored in check.files:
            for blob in mirrored.blobs:
                if blob.key.startswith(layout.FILES):
                    size = blob.expected.size if blob.expected is not None else None
                    record = RECORD.pack(key_hash(blob.key), -1 if size is None else size, position)
                    shard = shard_of(blob.key, self.shards)
                    self._buffers.setdefault(shard, bytearray()).extend(record)
                    self.records += 1

    async def write(self, number: int, store: AuditStore) -> None:
        """Keep the batch for the later phases."""
        await store.write_named_pages(number, self.pages)
        for shard, buffer in self._buffers.items():
            await store.write_records(number, shard, bytes(buffer))
