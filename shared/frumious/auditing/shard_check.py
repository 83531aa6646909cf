"""The shards of the root index, against its JSON page."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from frumious.auditing.file_check import MAX_JOB_AGE
from frumious.auditing.headers_check import wrong_headers
from frumious.concurrency import in_groups
from frumious.errors import FrumiousError
from frumious.model.audits import Finding, Kind
from frumious.model.root_shards import HEAD, SHARDS, is_shard
from frumious.simple import root_index
from frumious.simple.root_shards import Shards
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import Container

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.storage.protocol import Stored

_ATTEMPTS: Final = 3
_PAUSE: Final = 20.0  # seconds: a finalizer writes shards before the JSON page
_MAX_LEFTOVERS: Final = 1000  # a person may have put anything there


async def check_shards(mirror: Mirror) -> list[Finding]:
    """Return shards that are wrong, missing or superfluous, and what else is in their folder.

    What is wrong is looked at again while a finalizer may be publishing it.
    """
    if not mirror.config.root_index_shards:
        return []
    etag, findings = await _compare(mirror, None)
    for _ in range(_ATTEMPTS - 1):
        suspects = {each.key for each in findings if each.kind.is_damage}
        if not suspects or not await _is_changing(etag, mirror):
            break
        await mirror.clock.sleep(_PAUSE)
        etag, findings = await _compare(mirror, suspects)
    return findings


async def _is_changing(etag: str, mirror: Mirror) -> bool:
    """Return whether a run is open, or the root index was replaced since it had an ETag."""
    head = await mirror.storage.head(mirror.pages.layout.root_manifest)
    if head is None or head.etag != etag:
        return True
    try:
        return bool((await mirror.ledger.cursor()).runs)
    except FrumiousError:
        return False


async def _compare(mirror: Mirror, suspects: Container[Key] | None) -> tuple[str, list[Finding]]:
    """Compare shards with the root index as both are now; without suspects, all of them.

    Returns the ETag of the root index as well.
    """
    storage, number = mirror.storage, mirror.config.root_index_shards
    key, stored = await mirror.pages.read_root_index()
    if stored is None:
        return "", []
    etag = stored.etag
    try:
        serial = root_index.meta(stored.body, key)["_last-serial"]
        shards = await asyncio.to_thread(Shards, root_index.batches(stored.body, key), number)
    except InvalidPage:
        return etag, []  # that is found by itself
    stored = None  # it is large
    if await storage.head(HEAD) is None:
        detail = "it is missing, perhaps with all shards"
        return etag, [Finding(Kind.WRONG_ROOT, HEAD, detail=detail)]
    others = {entry.key: entry async for entry in storage.list(SHARDS)}

    async def check(key: Key, body: bytes) -> list[Finding]:
        others.pop(key, None)
        if suspects is not None and key not in suspects:
            return []
        return _problem(key, body, await storage.read(key))

    findings = await check(HEAD, shards.head(serial if isinstance(serial, int) else None))
    for found in await in_groups(check(key, body) for key, body in shards.pages()):
        findings += found
    oldest = mirror.clock.now() - MAX_JOB_AGE
    for entry in [*others.values()][:_MAX_LEFTOVERS]:
        if is_shard(entry.key):
            detail = f"there are {number} shards, and it is none of them"
            findings.append(Finding(Kind.WRONG_ROOT, entry.key, detail=detail))
        elif entry.modified is None or entry.modified <= oldest:
            findings.append(Finding(Kind.LEFTOVER, entry.key))
    return etag, findings


def _problem(key: Key, body: bytes, stored: Stored | None) -> list[Finding]:
    if stored is None:
        return [Finding(Kind.WRONG_ROOT, key, detail="it is missing")]
    if stored.body != body:
        return [Finding(Kind.WRONG_ROOT, key, detail="it is not what the root index says")]
    if problem := wrong_headers(key, stored.headers):
        return [Finding(Kind.WRONG_TYPE, key, detail=problem)]
    return []
