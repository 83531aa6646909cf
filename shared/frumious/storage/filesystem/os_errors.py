"""Maps errors of the operating system to errors of a storage: temporary or permanent."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from frumious.storage.protocol import StorageFull, StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from pathlib import Path

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
_DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
# No file can have this key: another file is in its path, or the name is invalid.
_INVALID = frozenset(
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


def storage_error(
    error: OSError, key: str, top: Path, size: int | None = None
) -> StorageUnavailable | StorageRefused:
    """Return the error for a failed access to a key of the mirror in `top`.

    `size` is how many bytes were to be written.
    """
    if error.errno in _FULL:
        return _full(error, top / key, size)
    msg = f"cannot access {key!r:.200} in the folder {str(top)!r}: {error.strerror or error}"
    if error.errno in _DENIED:
        name = error.filename
        path = os.fsdecode(name) if isinstance(name, (str, bytes, os.PathLike)) else str(top)
        return StorageRefused(
            f"{msg}; give the process's user (id {os.geteuid()}) read and write access to {path!r}"
        )
    return StorageRefused(msg) if error.errno in _INVALID else StorageUnavailable(msg)


def _full(error: OSError, path: Path, size: int | None) -> StorageFull:
    """Return the error for a disk without space, or a user without quota."""
    disk = next(each for each in path.parents if each.exists())
    figures = os.statvfs(disk)
    free = f"{figures.f_bavail * figures.f_frsize} bytes are free on its disk"
    needed = "" if size is None else f"it needs {size} bytes, and "
    return StorageFull(
        f"cannot write {str(path)!r:.300}: {error.strerror or error}; {needed}{free};"
        " make some space and run again"
    )
