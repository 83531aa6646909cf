"""The bytes of a file, held in memory or generated as they are read.

Knows how to read a range of bytes and to hash them. Does not know what they mean.
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
    """Bytes that can be read in blocks from anywhere, and their hashes.

    The hashes are computed by streaming, once, when they are first asked for.
    """

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
    """`size` bytes that follow from `seed`, of which no more than one block is ever held.

    Every block is the same random block behind its own number, so that no two are equal and
    blocks that were swapped or dropped change the hash.
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
        # randbytes of a shorter length is not a prefix of a longer one; the size is part of
        # what determines the bytes, which is fine: it never changes.
        return random.Random(self.seed).randbytes(min(self.size, BLOCK - 8))
