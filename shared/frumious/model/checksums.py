"""A file's bytes on their way, hashed as they pass.

The last chunk is held back until everything before it, and it, has been found right. Whoever
writes the bytes away is thus never given a whole wrong file, whatever the storage checks.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping


LARGEST_FILE: Final = 5 * 1024**4  # bytes, what S3 takes as one object


class WrongBytes(FrumiousError):
    """Upstream sent other bytes than its project page promises."""


DIGEST_LENGTHS: Final = {
    name: hashlib.new(name).digest_size * 2
    for name in sorted(hashlib.algorithms_guaranteed)
    if not name.startswith("shake")  # their digests have any length
}
"""The algorithms that can verify a file, and the length of their digests in hexadecimal."""


@dataclass(frozen=True, slots=True)
class ExpectedContent:
    """What a file must turn out to be."""

    algorithm: str  # one of DIGEST_LENGTHS
    digest: str  # lower-case hexadecimal
    size: int | None = None  # bytes; None: upstream did not say
    max_size: int = LARGEST_FILE  # bytes that are taken where the size is not known
    blake2b_256: str | None = None  # that the file's place promises as well

    @classmethod
    def of(
        cls, hashes: Mapping[str, str], size: int | None = None, max_size: int = LARGEST_FILE
    ) -> ExpectedContent:
        """Choose the hash to verify by: sha256, else the longest.

        Raises:
            ValueError: there is none that can verify.
        """
        known = [name for name in hashes if name in DIGEST_LENGTHS]
        best = max(known, key=lambda name: (name == "sha256", DIGEST_LENGTHS[name]))
        return cls(best, hashes[best], size, max_size)

    @property
    def sha256(self) -> str | None:
        """The sha256, where it is the one that upstream published."""
        return self.digest if self.algorithm == "sha256" else None


async def verified_chunks(
    chunks: AsyncIterator[bytes], expected: ExpectedContent, url: str
) -> AsyncGenerator[bytes, None]:
    """Pass the chunks on, the last one only when size and digest are as expected.

    Raises:
        WrongBytes: they are not; the last chunk was not passed on.
    """
    digest = hashlib.new(expected.algorithm)
    promised = hashlib.blake2b(digest_size=32) if expected.blake2b_256 is not None else None
    seen = 0
    held = b""
    async for chunk in chunks:
        digest.update(chunk)
        if promised is not None:
            promised.update(chunk)
        seen += len(chunk)
        if seen > (expected.max_size if expected.size is None else expected.size):
            break
        if held:
            yield held
        held = chunk
    if expected.size is None and seen > expected.max_size:
        msg = f"{url} sent more than {expected.max_size} bytes"
        raise WrongBytes(msg)
    if expected.size is not None and seen != expected.size:
        more = "more" if seen > expected.size else "less"
        msg = f"{url} sent {more} than the {expected.size} bytes that its page promises"
        raise WrongBytes(msg)
    if digest.hexdigest() != expected.digest:
        msg = (
            f"{url} sent {seen} bytes with the {expected.algorithm} {digest.hexdigest()},"
            f" its page promises {expected.digest}"
        )
        raise WrongBytes(msg)
    if promised is not None and promised.hexdigest() != expected.blake2b_256:
        msg = f"{url} sent other bytes than the blake2b-256 in its address promises"
        raise WrongBytes(msg)
    if held:
        yield held
