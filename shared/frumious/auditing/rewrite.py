"""Objects with wrong headers are written again with their own bytes."""

from __future__ import annotations

from contextlib import aclosing
from typing import TYPE_CHECKING, cast

from frumious.auditing.confirm import named_blobs
from frumious.auditing.headers_check import wrong_headers
from frumious.concurrency import in_groups
from frumious.model import layout
from frumious.model.audits import Kind
from frumious.model.checksums import FileStream, WrongBytes

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.audits import Finding
    from frumious.model.types import Key


async def rewrite(findings: Iterable[Finding], mirror: Mirror) -> frozenset[Key]:
    """Write objects with wrong headers again; return the files whose bytes turned out wrong.

    Raises:
        Conflict: another process has written a page since.
    """
    found = [each for each in findings if each.kind is Kind.WRONG_TYPE]
    are_right = await in_groups(_rewrite(each, mirror) for each in found)
    return frozenset(
        each.key for each, is_right in zip(found, are_right, strict=True) if not is_right
    )


async def has_wrong_headers(key: Key, mirror: Mirror) -> bool:
    """Return whether an object has wrong headers now."""
    head = await mirror.storage.head(key)
    return head is not None and wrong_headers(key, head.headers) != ""


async def _rewrite(finding: Finding, mirror: Mirror) -> bool:
    key, storage = finding.key, mirror.storage
    if not key.startswith(layout.FILES):
        stored = await storage.read(key)
        if stored is not None:
            await storage.write(key, stored.body, replacing=stored.etag)
        return True
    blobs = await named_blobs(cast("NormalizedName", finding.project), mirror)
    expected = blobs[key].expected if key in blobs else None
    opened = None if expected is None else await storage.stream(key)
    if opened is None or expected is None:  # no page names it any more
        return True
    async with aclosing(opened.chunks) as chunks:
        try:
            await storage.store(key, FileStream(chunks, expected, "the mirror"))
        except WrongBytes:
            return False
    return True
