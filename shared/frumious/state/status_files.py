"""What the mirror reads of its own reports; damaged ones count as absent, and are made again.

They are `status`, which bandersnatch may have left, and status.json.
"""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from datetime import datetime
from typing import TYPE_CHECKING, Final, cast

import msgspec
from msgspec import Struct

from frumious.model import layout
from frumious.model.types import MAX_SERIAL, Count, RunName, Serial
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from frumious.model.audits import AuditProgress, Kind
    from frumious.model.types import JsonObject
    from frumious.storage.protocol import Storage, Stored

logger = logging.getLogger(__name__)

_ATTEMPTS: Final = 5


class _Run(Struct):
    run: RunName


class _Notices(Struct):
    revision: Count


class _Status(Struct):
    """The keys of status.json that the mirror reads."""

    updated: datetime
    serial: Serial | None = None
    projects: Count = 0
    files: Count = 0
    bytes: Count = 0
    resets: Count = 0
    runs: list[_Run] = []
    notices: _Notices | None = None


def parse_status(stored: Stored | None) -> JsonObject:
    """Return what status.json says; nothing, if there is none or it is damaged."""
    if stored is None:
        return {}
    try:
        payload = msgspec.json.decode(stored.body)  # which refuses Infinity, unlike json.loads
        msgspec.convert(payload, _Status)
    except (ValueError, RecursionError) as error:
        logger.error("%r is damaged (%s): it is made again", layout.STATUS_JSON, error)  # noqa: TRY400
        return {}
    return cast("JsonObject", payload)


async def publish_audit(
    progress: AuditProgress, left: Mapping[Kind, int], repaired: int, storage: Storage
) -> None:
    """Say in status.json what an audit has found and what of it is left, by kind.

    A mirror that has no status.json yet gets none.

    Raises:
        Conflict: others wrote it again and again.
    """
    audit = {
        "finished": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(progress.finished)),
        "deep": progress.deep,
        "sample": progress.sample,
        "projects": progress.projects,
        "objects": progress.objects,
        "found": dict(progress.counts),
        "repaired": repaired,
        "left": dict(left),
    }

    async def values(_: JsonObject) -> Mapping[str, object]:
        return {"audit": audit}

    await amend(values, storage)


async def amend(
    values: Callable[[JsonObject], Awaitable[Mapping[str, object]]], storage: Storage
) -> None:
    """Replace values of status.json; if there is none, the finalizer will make one.

    `values` reads them after status.json was read: older ones never replace newer ones.

    Raises:
        Conflict: others wrote it again and again.
    """
    for _ in range(_ATTEMPTS):
        stored = await storage.read(layout.STATUS_JSON)
        before = parse_status(stored)
        if stored is None or not before:
            return
        after = {**before, **await values(before)}
        if after == before:
            return
        with suppress(Conflict):
            body = json.dumps(after, indent=1).encode()
            await storage.write(layout.STATUS_JSON, body, replacing=stored.etag)
            return
    msg = f"{layout.STATUS_JSON!r} was replaced by others {_ATTEMPTS} times in a row"
    raise Conflict(msg)


def parse_serial(stored: Stored | None) -> int | None:
    """Return the serial in `status`; None if there is none."""
    digits = stored.body.strip() if stored is not None else b""
    if digits.isdigit() and len(digits) <= len(str(MAX_SERIAL)):
        return int(digits)
    return None
