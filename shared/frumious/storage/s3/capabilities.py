"""Which features of S3 a server other than AWS's supports, found by trying them once.

Some servers silently ignore conditions, so that nothing but a try shows it.
"""

from __future__ import annotations

import hashlib
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.model.checksums import WrongBytes
from frumious.storage.protocol import Conflict, StorageRefused

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from frumious.model.types import Key

    Put = Callable[..., Awaitable[str]]  # (key, body, **conditions) -> etag
    PutSigned = Callable[[Key, AsyncIterator[bytes], str, int], Awaitable[None]]

logger = logging.getLogger(__name__)

_WRONG_ETAG: Final = "0" * 32


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The features that the server supports."""

    if_none_match: bool = True
    if_match: bool = True
    quoted_etags: bool = True  # If-Match takes etags as the server returns them, in quotes
    signed_sha256: bool = True  # a body with another sha256 than the signed one is refused


async def probe(put: Put, put_signed: PutSigned, key: Key, endpoint: str) -> Capabilities:
    """Try the features on an object at `key`, which the caller deletes.

    Raises:
        StorageUnavailable: the server did not respond.
        StorageRefused: the object cannot be written at all.
    """
    was_created = await _try_put(put, key, IfNoneMatch="*")
    etag = await put(key, b"probe")
    if_none_match = was_created is True and await _try_put(put, key, IfNoneMatch="*") is False
    quoted_etags = await _compares_etags(put, key, etag, f'"{_WRONG_ETAG}"')
    if_match = quoted_etags or await _compares_etags(put, key, etag.strip('"'), _WRONG_ETAG)
    signed_sha256 = await _verifies_sha256(put_signed, key)
    capabilities = Capabilities(if_none_match, if_match, quoted_etags, signed_sha256)
    if not (if_none_match and if_match):
        logger.warning(
            "%s does not support conditional writes: let only one process write this mirror at a"
            " time",
            endpoint,
        )
    if not signed_sha256:
        logger.info("%s does not verify sha256; only the mirror itself does", endpoint)
    return capabilities


async def _compares_etags(put: Put, key: Key, right: str, wrong: str) -> bool:
    """Return whether If-Match accepts the right etag and refuses a wrong one."""
    return (
        await _try_put(put, key, IfMatch=wrong) is False
        and await _try_put(put, key, IfMatch=right) is True
    )


async def _try_put(put: Put, key: Key, **condition: str) -> bool | None:
    """Return whether a conditional write was done; None if the server refuses the condition."""
    try:
        await put(key, b"probe", **condition)
    except Conflict:
        return False
    except StorageRefused:
        return None
    return True


async def _verifies_sha256(put_signed: PutSigned, key: Key) -> bool:
    """Return whether the server refuses other bytes than the signed ones."""

    async def other() -> AsyncIterator[bytes]:
        yield b"other"

    try:
        await put_signed(key, other(), hashlib.sha256(b"probe").hexdigest(), len(b"other"))
    except (WrongBytes, StorageRefused):
        return True
    return False
