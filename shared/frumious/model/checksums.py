"""Checksums of a file, verified while its bytes are streamed.

The last chunk is passed on only after size and digest are verified. The consumer thus never
receives a complete file with wrong content, whatever the storage itself checks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.errors import FrumiousError, Reason

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


def strong_hashes(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes that can prove which bytes a file has."""
    names = hashes.keys() & DIGEST_LENGTHS.keys() - WEAK_HASHES
    return {name: hashes[name] for name in names}


@dataclass(frozen=True, slots=True)
class ExpectedContent:
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


async def verified_chunks(
    chunks: AsyncIterator[bytes], expected: ExpectedContent, url: str
) -> AsyncGenerator[bytes, None]:
    """Yield the chunks, the last one only after size and digest are verified.

    Raises:
        WrongBytes: size or digest differs; the last chunk was not yielded.
    """
    digest = hashlib.new(expected.algorithm)
    blake2b = hashlib.blake2b(digest_size=32) if expected.blake2b_256 is not None else None
    received = 0
    last_chunk = b""
    async for chunk in chunks:
        digest.update(chunk)
        if blake2b is not None:
            blake2b.update(chunk)
        received += len(chunk)
        if received > (expected.max_size if expected.size is None else expected.size):
            break
        if last_chunk:
            yield last_chunk
        last_chunk = chunk
    if expected.size is None and received > expected.max_size:
        msg = f"{url} sent more than {expected.max_size} bytes"
        raise WrongBytes(msg)
    if expected.size is not None and received != expected.size:
        more = "more" if received > expected.size else "less"
        msg = f"{url} sent {more} than the {expected.size} bytes that its page announces"
        raise WrongBytes(msg)
    if digest.hexdigest() != expected.digest:
        msg = (
            f"{url} sent {received} bytes with the {expected.algorithm} {digest.hexdigest()},"
            f" but its page announces {expected.digest}"
        )
        raise WrongBytes(msg)
    if blake2b is not None and blake2b.hexdigest() != expected.blake2b_256:
        msg = f"{url} sent bytes that differ from the blake2b-256 in the URL"
        raise WrongBytes(msg)
    if last_chunk:
        yield last_chunk
