"""What an S3 server that is not AWS's does of what S3 promises: asked once, by trying.

Some servers ignore conditions without a word, so that only trying tells.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.model.checksums import WrongBytes
from frumious.storage.protocol import Conflict, Guarantees, StorageRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from frumious.model.types import Key

    Put = Callable[..., Awaitable[str]]  # (key, body, **conditions) -> tag
    PutSigned = Callable[[Key, AsyncIterator[bytes], str, int], Awaitable[None]]

LOGGER: Final = logging.getLogger(__name__)

_WRONG_TAG: Final = "0" * 32


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the server does."""

    creates: bool = True  # If-None-Match: * keeps what is there
    replaces: bool = True  # If-Match keeps what is not as it was read
    quotes: bool = True  # the tags in If-Match are as the server gives them, in quotes
    verifies: bool = True  # bytes of another sha256 than the signed one are refused

    @property
    def guarantees(self) -> Guarantees:
        """What follows from it."""
        return Guarantees(
            conditional_writes=self.creates and self.replaces, verified_uploads=self.verifies
        )


async def probe(put: Put, put_signed: PutSigned, key: Key, where: str) -> Capabilities:
    """Try on an object of its own at `key`, which is left for the caller to delete.

    Raises:
        StorageUnavailable: the server did not answer.
        StorageRefused: the object cannot be written at all.
    """
    created = await _tried(put, key, IfNoneMatch="*")
    tag = await put(key, b"probe")
    creates = created is True and await _tried(put, key, IfNoneMatch="*") is False
    quotes = await _tells_apart(put, key, tag, f'"{_WRONG_TAG}"')
    replaces = quotes or await _tells_apart(put, key, tag.strip('"'), _WRONG_TAG)
    found = Capabilities(creates, replaces, quotes, await _verifies(put_signed, key))
    if not found.guarantees.conditional_writes:
        LOGGER.warning(
            "%s does not keep two apart that write the same object: let only one process write"
            " this mirror at a time",
            where,
        )
    if not found.verifies:
        LOGGER.info("%s does not verify sha256; the mirror itself does, as the bytes pass", where)
    return found


async def _tells_apart(put: Put, key: Key, right: str, wrong: str) -> bool:
    """Say whether a write over the right tag is done and one over a wrong tag is not."""
    return (
        await _tried(put, key, IfMatch=wrong) is False
        and await _tried(put, key, IfMatch=right) is True
    )


async def _tried(put: Put, key: Key, **condition: str) -> bool | None:
    """Write under a condition: True: it was done, False: it was not, None: it cannot be asked."""
    try:
        await put(key, b"probe", **condition)
    except Conflict:
        return False
    except StorageRefused:
        return None
    return True


async def _verifies(put_signed: PutSigned, key: Key) -> bool:
    """Send other bytes than the signed ones."""

    async def other() -> AsyncIterator[bytes]:
        yield b"other"

    try:
        await put_signed(key, other(), hashlib.sha256(b"probe").hexdigest(), len(b"other"))
    except (WrongBytes, StorageRefused):
        return True
    return False
