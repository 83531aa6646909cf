"""Finds out which features of S3 a server other than AWS's supports, by trying them.

Some servers silently ignore conditions, so that nothing but a try shows it. A response 400 to wrong
bytes shows nothing unless the server accepts the right ones.
"""

from __future__ import annotations

import hashlib
import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.model.checksums import ExpectedContent, WrongBytes
from frumious.storage.protocol import Conflict, StorageRefused, StorageUnavailable
from frumious.storage.s3.capabilities import Capabilities
from frumious.storage.s3.errors import NoSuchObject
from frumious.storage.s3.objects import Objects

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable

    from frumious.model.types import Key
    from frumious.storage.s3.bucket import Bucket

logger = logging.getLogger(__name__)

_BODY: Final = b"probe"
_SHA256: Final = hashlib.sha256(_BODY).hexdigest()
_EXPECTED: Final = ExpectedContent("sha256", _SHA256, len(_BODY))
_WRONG: Final = b"other"  # of the same size
_WRONG_ETAG: Final = "0" * 32
_REFUSALS: Final = (StorageRefused, Conflict, NoSuchObject, WrongBytes)
_MISSING: Final = {
    "checksums": "accept checksum headers; the signature alone covers the bytes",
    "signed_sha256": "verify sha256; only the mirror itself does",
    "delete_objects": "support DeleteObjects; objects are deleted one by one",
    "list_uploads": "list multipart uploads; those of killed processes stay",
}


async def probe(bucket: Bucket, key: Key) -> Capabilities:
    """Try the features on an object at `key`, and delete it.

    Raises:
        StorageUnavailable: the server did not respond.
        StorageRefused: the object cannot be written at all.
    """
    try:
        return await _try_all(bucket, key)
    finally:
        await Objects(bucket, Capabilities(delete_objects=False)).delete([key])


def log_missing(endpoint: str, capabilities: Capabilities) -> None:
    """Log what the server does not support."""
    if not (capabilities.if_none_match and capabilities.if_match):
        logger.warning(
            "%s does not support conditional writes: let only one process write this mirror at a"
            " time",
            endpoint,
        )
    for name, text in _MISSING.items():
        if not getattr(capabilities, name):
            logger.info("%s does not %s", endpoint, text)


async def _try_all(bucket: Bucket, key: Key) -> Capabilities:
    objects = Objects(bucket, Capabilities())
    was_created = await _try_put(objects, key, IfNoneMatch="*")
    etag = await objects.put(key, _BODY)
    if_none_match = was_created is True and await _try_put(objects, key, IfNoneMatch="*") is False
    quoted_etags = await _compares_etags(objects, key, etag, f'"{_WRONG_ETAG}"')
    if_match = quoted_etags or await _compares_etags(objects, key, etag.strip('"'), _WRONG_ETAG)
    capabilities = Capabilities(
        if_none_match,
        if_match,
        quoted_etags,
        list_uploads=await _accepts(bucket.list_uploads(key)),
    )
    if not await _accepts_checksums(Objects(bucket, capabilities), key):
        capabilities = replace(capabilities, checksums=False)
    return replace(
        capabilities,
        signed_sha256=await _verifies_sha256(Objects(bucket, capabilities), key),
        delete_objects=await _accepts(objects.delete([key])),
    )


async def _compares_etags(objects: Objects, key: Key, right: str, wrong: str) -> bool:
    """Return whether If-Match accepts the right etag and refuses a wrong one."""
    return (
        await _try_put(objects, key, IfMatch=wrong) is False
        and await _try_put(objects, key, IfMatch=right) is True
    )


async def _try_put(objects: Objects, key: Key, **condition: str) -> bool | None:
    """Return whether a conditional write was done; None if the server refuses the condition."""
    try:
        await objects.put(key, _BODY, **condition)
    except Conflict:
        return False
    except StorageRefused:
        return None
    return True


async def _accepts_checksums(objects: Objects, key: Key) -> bool:
    """Return whether every request with a checksum is accepted; some servers accept a few."""
    return (
        await _accepts(objects.put_signed(key, _chunks(_BODY), _SHA256, len(_BODY)))
        and await _finds(objects, key)
        and await _accepts(objects.put_in_parts(key, _chunks(_BODY), _EXPECTED))
    )


async def _verifies_sha256(objects: Objects, key: Key) -> bool:
    """Return whether the server refuses other bytes than the signed ones, and only those."""
    if not await _accepts(objects.put_signed(key, _chunks(_BODY), _SHA256, len(_BODY))):
        return False
    try:
        return not await _accepts(objects.put_signed(key, _chunks(_WRONG), _SHA256, len(_WRONG)))
    except StorageUnavailable:
        return False  # this does not say why


async def _finds(objects: Objects, key: Key) -> bool:
    try:
        return await objects.head(key) is not None
    except _REFUSALS:
        return False


async def _accepts(request: Awaitable[object]) -> bool:
    try:
        await request
    except _REFUSALS as error:
        logger.debug("a probe is refused: %s", error)
        return False
    return True


async def _chunks(body: bytes) -> AsyncIterator[bytes]:
    yield body
