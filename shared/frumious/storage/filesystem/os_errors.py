"""What an error of the operating system means for the mirror: it passes, or it stays."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from frumious.storage.protocol import StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# The key itself cannot be here: something else is in its way, or the name is not possible.
_IMPOSSIBLE = frozenset(
    {
        errno.EEXIST,
        errno.EFBIG,
        errno.EILSEQ,
        errno.EINVAL,
        errno.EISDIR,
        errno.ELOOP,
        errno.ENAMETOOLONG,
        errno.ENOTDIR,
    }
)


def storage_error(error: OSError, key: str, top: Path) -> StorageUnavailable | StorageRefused:
    """Make the error for what could not be done at a key of the mirror in `top`."""
    where = f"{key!r:.200} in the folder {str(top)!r}"
    said = error.strerror or str(error)
    if error.errno in _DENIED:
        named = error.filename
        path = os.fsdecode(named) if isinstance(named, (str, bytes, os.PathLike)) else str(top)
        return StorageRefused(
            f"{where}: {said}; let the user with the id {os.geteuid()}, whose process this is,"
            f" read and write {path!r}"
        )
    if error.errno in _IMPOSSIBLE:
        return StorageRefused(f"{where} is not possible: {said}")
    return StorageUnavailable(f"{where} cannot be had for now: {said}")
