"""State files: JSON with a version, validated when it is written and when it is read."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

import msgspec
from msgspec import Struct

from frumious.errors import FrumiousError
from frumious.model import layout

if TYPE_CHECKING:
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage, Stored

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)

VERSION: Final = 1  # of the format of every state file

_REPAIR: Final = "run 'frumious doctor --repair', or restore an earlier version of the object"
_OTHER_REPAIRS: Final = {
    layout.EXPORTS: "restore an earlier version of the object, or delete it and import a complete"
    " bundle into a new mirror",
    layout.IMPORT: "delete it, and import a complete bundle",
}


class LedgerCorrupt(FrumiousError):
    """An object of the ledger is missing, or is not what the mirror wrote."""


class NewerFormat(FrumiousError):
    """A later version of Frumious wrote an object of the ledger: this one leaves it alone."""


class InvalidState(FrumiousError):
    """A value that could not be read back if it was written: nothing is written."""


async def read_or_raise(key: Key, kind: type[T], storage: Storage) -> tuple[T | None, str | None]:
    """Return a state file and its etag; None: there is none.

    Raises:
        LedgerCorrupt: it is damaged.
    """
    stored = await storage.read(key)
    return (None, None) if stored is None else (parse(key, stored, kind), stored.etag)


async def read_or_set_aside(
    key: Key, kind: type[T], storage: Storage
) -> tuple[T | None, str | None]:
    """Return a state file and its etag; None: there is none.

    A damaged one counts as absent: a copy is kept, and what it knew is lost.
    """
    stored = await storage.read(key)
    if stored is None:
        return None, None
    try:
        return parse(key, stored, kind), stored.etag
    except LedgerCorrupt as error:
        await set_aside(key, stored, error, storage)
        return None, stored.etag


async def set_aside(key: Key, stored: Stored, error: Exception, storage: Storage) -> None:
    """Keep a copy of a damaged object, and log why it is not read."""
    kept_at = layout.damaged(key)
    logger.error("%s; it counts as absent, and a copy is kept as %r", error, kept_at)
    await storage.write(kept_at, stored.body)


def render(value: Struct) -> bytes:
    """Render a state file: the same value always has the same bytes.

    Raises:
        InvalidState: `parse` would refuse it.
    """
    payload = msgspec.to_builtins(value, order="deterministic")
    try:
        msgspec.convert(payload, type(value))
        return msgspec.json.encode({"version": VERSION, **payload})
    except ValueError as error:  # text that is not Unicode as well
        msg = f"a value of {type(value).__name__} is out of range: {error}"
        raise InvalidState(msg) from error


def parse(key: Key, stored: Stored, kind: type[T]) -> T:
    """Parse a state file, whose unknown keys are ignored.

    Raises:
        LedgerCorrupt: it is not what the mirror wrote.
        NewerFormat: a later version of Frumious wrote it.
    """
    try:
        payload = msgspec.json.decode(stored.body)
        version = payload.get("version")
        if not isinstance(version, int):
            payload = _upgraded(key, payload)
        elif version > VERSION:
            msg = (
                f"{key!r} has format version {version}, and this version of Frumious reads up to"
                f" {VERSION}; run the version that wrote it, or a later one"
            )
            raise NewerFormat(msg)
        return msgspec.convert(payload, kind)
    except (ValueError, LookupError, TypeError, AttributeError, RecursionError) as error:
        repair = _OTHER_REPAIRS.get(key, _REPAIR)
        msg = f"{key!r} is damaged ({type(error).__name__}: {error}): {repair}"
        raise LedgerCorrupt(msg) from error


def _upgraded(key: Key, payload: dict[str, Any]) -> dict[str, Any]:
    """Return a file of version 0, which had no version, as version 1 would have it."""
    if key == layout.LAGGING:
        return {"projects": payload}
    if key == layout.CURSOR:
        runs = [{**run, "own-results": True} for run in payload["runs"]]
        return {**payload, "runs": runs}
    return payload
