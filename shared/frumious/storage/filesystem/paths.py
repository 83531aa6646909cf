"""Where the object of a key is in the folder, and what in the folder is no object."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from frumious.model.snapshots import ROLLBACK
from frumious.storage.filesystem.atomic_write import INTERNAL, TEMP_NAME
from frumious.storage.filesystem.lock import LOCK
from frumious.storage.protocol import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Sequence

_ROLLBACK: Final = ROLLBACK.split("/")


def path_of(top: str, key: str) -> str:
    """Return the path of a key below `top`.

    Raises:
        StorageRefused: no file can have it.
    """
    segments = key.split("/")
    try:
        os.fsencode(key)
    except UnicodeEncodeError:
        problem = "cannot be encoded as a file name"
    else:
        if not {"", ".", ".."}.isdisjoint(segments):
            problem = "has a segment that is empty or dots, and could leave the mirror"
        elif "\0" in key:
            problem = "contains a NUL"
        elif _is_internal(segments):
            problem = "is reserved for the storage itself"
        else:
            return f"{top}/{key}"
    msg = f"the key {key!r:.200} {problem}"
    raise StorageRefused(msg)


def is_internal(key: bytes) -> bool:
    """Return whether what is at a key belongs to the storage itself."""
    return _is_internal(os.fsdecode(key).rstrip("/").split("/"))


def _is_internal(segments: Sequence[str]) -> bool:
    """Return whether a path is a lock, a marker or a temporary file, or below a rollback's link.

    All but the link occur at any depth: the diff-file's storage may be a folder in the mirror's.
    What is below the link is stored elsewhere.
    """
    return (
        INTERNAL in segments
        or segments[0] == LOCK
        or TEMP_NAME.fullmatch(segments[-1]) is not None
        or list(segments[:2]) == _ROLLBACK
    )
