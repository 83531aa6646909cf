"""Maps errors of the operating system to errors of a storage: temporary or permanent."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

from frumious.storage.protocol import StorageFull, StorageRefused, StorageUnavailable

if TYPE_CHECKING:
    from pathlib import Path

FULL = frozenset({errno.ENOSPC, errno.EDQUOT})
DENIED = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})
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
    if error.errno in FULL:
        return _full(error, top / key, size)
    msg = f"cannot access {key!r:.200} in the folder {str(top)!r}: {error.strerror or error}"
    if error.errno in DENIED:
        name = error.filename
        named = isinstance(name, (str, bytes, os.PathLike))
        return StorageRefused(f"{msg}; {access_advice(os.fsdecode(name) if named else str(top))}")
    return StorageRefused(msg) if error.errno in _INVALID else StorageUnavailable(msg)


def access_advice(path: str) -> str:
    """Return what to do where the process's user may not access a path, or create it."""
    while not os.path.lexists(path) and path != os.path.dirname(path):  # noqa: PTH120 (of bytes too)
        path = os.path.dirname(path)  # noqa: PTH120
    status, user = os.lstat(path), os.geteuid()
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        return f"the disk of {path!r} is mounted read-only"
    if status.st_uid == user:
        return f"user {user} owns {path!r}, and needs the permissions rwx: see chmod"
    return (
        f"{path!r} belongs to user {status.st_uid}, and this is user {user}: run as that user, give"
        " this one the permissions rwx, or choose another 'directory'"
    )


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
