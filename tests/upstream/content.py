"""The bytes of a file, in memory or generated while they are read.

They can be read in ranges and hashed.
"""

from __future__ import annotations

import hashlib
import random
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

BLOCK = 1 << 20


class Content:
    """Bytes that can be read in ranges, with hashes that are computed at the first access."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size = len(data)

    def read(self, start: int = 0, stop: int | None = None) -> Iterator[bytes]:
        """Yield the bytes from `start` up to `stop` in blocks of at most 1 MiB."""
        end = self.size if stop is None else min(stop, self.size)
        for offset in range(start, end, BLOCK):
            yield self._slice(offset, min(offset + BLOCK, end))

    def _slice(self, start: int, stop: int) -> bytes:
        return self._data[start:stop]

    def _hash(self, algorithm: hashlib._Hash | hashlib.blake2b) -> str:
        for block in self.read():
            algorithm.update(block)
        return algorithm.hexdigest()

    @cached_property
    def sha256(self) -> str:
        return self._hash(hashlib.sha256())

    @cached_property
    def blake2b_256(self) -> str:
        return self._hash(hashlib.blake2b(digest_size=32))

    @cached_property
    def md5(self) -> str:
        return self._hash(hashlib.md5(usedforsecurity=False))


class GeneratedContent(Content):
    """`size` bytes that follow from `seed`; only one block is in memory.

    Every block is the same random block after its number, so that no two blocks are equal, and
    swapped or missing blocks change the hash.
    """

    def __init__(self, seed: str, size: int) -> None:
        super().__init__(b"")
        self.seed = seed
        self.size = size

    def _slice(self, start: int, stop: int) -> bytes:
        number, begin = divmod(start, BLOCK)
        end = begin + stop - start
        data = self._block(number)[begin:end]
        return data if end <= BLOCK else data + self._block(number + 1)[: end - BLOCK]

    def _block(self, number: int) -> bytes:
        return number.to_bytes(8, "big") + self._noise

    @cached_property
    def _noise(self) -> bytes:
        # The size also determines the bytes: a short result of randbytes is not a prefix of a
        # longer one.
        return random.Random(self.seed).randbytes(min(self.size, BLOCK - 8))
