"""Checksums of a file, verified while its bytes are streamed."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

from frumious.errors import FrumiousError, Reason
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping


MAX_FILE_SIZE: Final = 5 * 1024**4  # bytes; S3's limit for one object


class WrongBytes(FrumiousError):
    """Upstream sent bytes that differ from what its project page announces."""

    reason = Reason.FILE_DIFFERS


DIGEST_LENGTHS: Final = {
    name: hashlib.new(name).digest_size * 2
    for name in sorted(hashlib.algorithms_guaranteed)
    if not name.startswith("shake")  # their digests have any length
}
"""The algorithms that can verify a file, and the lengths of their hexadecimal digests."""

WEAK_HASHES: Final = frozenset({"md5", "sha1"})
"""Algorithms for which different files with the same digest can be made."""


def md5(body: bytes) -> str:
    """Return the MD5 of an object, in hexadecimal as listings have it: no proof of its content."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def strong_hashes(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes that can prove which bytes a file has."""
    names = hashes.keys() & DIGEST_LENGTHS.keys() - WEAK_HASHES
    return {name: hashes[name] for name in names}


class ExpectedContent(Value, frozen=True):
    """The digest and the size that a file must have."""

    algorithm: str  # one of DIGEST_LENGTHS
    digest: str  # lower-case hexadecimal
    size: int | None = None  # bytes; None: unknown
    max_size: int = MAX_FILE_SIZE  # bytes; the limit for a file of unknown size
    blake2b_256: str | None = None  # from the file's key

    @classmethod
    def of(
        cls, hashes: Mapping[str, str], size: int | None = None, max_size: int = MAX_FILE_SIZE
    ) -> ExpectedContent:
        """Choose the hash to verify with: sha256, else the longest.

        Raises:
            ValueError: no hash has a known algorithm.
        """
        known = [name for name in hashes if name in DIGEST_LENGTHS]
        best = max(known, key=lambda name: (name == "sha256", DIGEST_LENGTHS[name]))
        return cls(best, hashes[best], size, max_size)

    @property
    def sha256(self) -> str | None:
        """The sha256, if upstream published one."""
        return self.digest if self.algorithm == "sha256" else None


class FileStream:
    """A file on its way into a storage: its chunks, and what they have to be together.

    The storage verifies it: with `verified_chunks`, or with `update` and `finish` in a thread of
    its own. `url` is where the chunks come from.
    """

    def __init__(self, chunks: AsyncIterator[bytes], expected: ExpectedContent, url: str) -> None:
        self.chunks = chunks
        self.expected = expected
        self._url = url
        self._size = 0
        self._digest = hashlib.new(expected.algorithm)
        self._sha256 = self._digest if expected.algorithm == "sha256" else hashlib.sha256()
        with_blake2b = expected.blake2b_256 is not None
        self._blake2b = hashlib.blake2b(digest_size=32) if with_blake2b else None

    @property
    def sha256(self) -> str:
        """The sha256 of the chunks that have passed."""
        return self._sha256.hexdigest()

    async def verified_chunks(self) -> AsyncGenerator[bytes, None]:
        """Yield the chunks, the last one only after size and digest are verified.

        Raises:
            WrongBytes: size or digest differs; the last chunk was not yielded.
        """
        last_chunk = b""
        async for chunk in self.chunks:
            self.update(chunk)
            if last_chunk:
                yield last_chunk
            last_chunk = chunk
        self.finish()
        if last_chunk:
            yield last_chunk

    def update(self, chunk: bytes) -> None:
        """Hash a chunk.

        Raises:
            WrongBytes: there are more bytes than expected.
        """
        expected = self.expected
        self._size += len(chunk)
        if expected.size is None and self._size > expected.max_size:
            msg = f"{self._url} sent more than {expected.max_size} bytes"
            raise WrongBytes(msg)
        if expected.size is not None and self._size > expected.size:
            raise self._wrong_size(more=True)
        self._digest.update(chunk)
        if self._sha256 is not self._digest:
            self._sha256.update(chunk)
        if self._blake2b is not None:
            self._blake2b.update(chunk)

    def finish(self) -> None:
        """Verify the size and the digests of all chunks.

        Raises:
            WrongBytes: they are not as expected.
        """
        expected, digest = self.expected, self._digest.hexdigest()
        if expected.size not in {None, self._size}:
            raise self._wrong_size(more=False)
        if digest != expected.digest:
            msg = (
                f"{self._url} sent {self._size} bytes with the {expected.algorithm} {digest},"
                f" but its page announces {expected.digest}"
            )
            raise WrongBytes(msg)
        if self._blake2b is not None and self._blake2b.hexdigest() != expected.blake2b_256:
            msg = f"{self._url} sent bytes that differ from the blake2b-256 in the URL"
            raise WrongBytes(msg)

    def _wrong_size(self, *, more: bool) -> WrongBytes:
        how = "more" if more else "less"
        return WrongBytes(
            f"{self._url} sent {how} than the {self.expected.size} bytes that its page announces"
        )
