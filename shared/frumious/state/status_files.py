"""What the mirror reads of its own reports; damaged ones count as absent, and are made again.

They are `status`, which bandersnatch may have left, and status.json.
"""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import TYPE_CHECKING, cast

import msgspec
from msgspec import Struct

from frumious.model import layout
from frumious.model.types import MAX_SERIAL, Count, RunName, Serial

if TYPE_CHECKING:
    from frumious.model.types import JsonObject
    from frumious.storage.protocol import Stored

logger = logging.getLogger(__name__)


class _Run(Struct):
    run: RunName


class _Status(Struct):
    """The keys of status.json that the mirror reads."""

    updated: datetime
    serial: Serial | None = None
    projects: Count = 0
    files: Count = 0
    bytes: Count = 0
    runs: list[_Run] = []


def parse_status(stored: Stored | None) -> JsonObject:
    """Return what status.json says; nothing, if there is none or it is damaged."""
    if stored is None:
        return {}
    try:
        payload = json.loads(stored.body)
        msgspec.convert(payload, _Status)
    except (ValueError, RecursionError) as error:
        logger.error("%r is damaged (%s): it is made again", layout.STATUS_JSON, error)  # noqa: TRY400
        return {}
    return cast("JsonObject", payload)


def parse_serial(stored: Stored | None) -> int | None:
    """Return the serial in `status`; None if there is none."""
    digits = stored.body.strip() if stored is not None else b""
    if digits.isdigit() and len(digits) <= len(str(MAX_SERIAL)):
        return int(digits)
    return None
