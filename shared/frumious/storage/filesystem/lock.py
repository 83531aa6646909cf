"""File locks between the processes of one machine; a lock ends with its process."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from frumious.errors import FrumiousError
from frumious.storage.filesystem.os_errors import FULL, access_advice, storage_error
from frumious.storage.protocol import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from frumious.storage.filesystem.atomic_write import Folder

LOCK = ".lock"  # in the mirror's folder; bandersnatch locks the same file in the same way


class MirrorLocked(FrumiousError):
    """Another process uses the mirror."""


@contextmanager
def lock(folder: Folder) -> Iterator[None]:
    """Hold the mirror's lock during the block; its folder is created if there is none.

    A folder that was created for a block that then stored nothing is removed again.

    Raises:
        MirrorLocked: another process holds it.
        StorageRefused: the directory cannot be created or is not writable.
        StorageFull: the disk has no space for the lock's file.
    """
    path = folder.top / LOCK
    # `os.path` takes what cannot be looked at for missing; it is an error below.
    existing = next(each for each in folder.top.absolute().parents if os.path.exists(each))  # noqa: PTH110
    is_new = not os.path.exists(folder.top)  # noqa: PTH110
    try:
        descriptor = folder.create_in(folder.top, lambda: _acquire(path))
    except OSError as error:
        if error.errno in FULL:
            raise storage_error(error, LOCK, folder.top) from error
        msg = (
            f"cannot create the mirror's lock {str(path)!r}: {error.strerror};"
            f" {access_advice(str(path))}"
        )
        raise StorageRefused(msg) from error
    try:
        os.ftruncate(descriptor, 0)
        with suppress(OSError):  # `delete` makes space on a full disk, without a name in the lock
            os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.ftruncate(descriptor, 0)
        if is_new:
            _remove_unused(path, existing)
        os.close(descriptor)


def _remove_unused(path: Path, existing: Path) -> None:
    """Remove the lock's file and its folders below `existing`, if there is nothing else."""
    with suppress(OSError):  # whatever is there stays
        if [*path.parent.iterdir()] == [path]:
            path.unlink()
            for folder in (path.parent, *path.parent.parents):
                if folder == existing:
                    break
                folder.rmdir()


def open_locked(path: Path | str, mode: int) -> int:
    """Open a file and wait for its lock; closing the descriptor releases it.

    Raises:
        OSError: the file cannot be opened or locked, or its folder does not exist.
    """
    # Threads that share a descriptor would share the lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _acquire(path: Path) -> int:
    """Lock the file at a path, and make sure that it is still at the path afterwards."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_current(path, os.fstat(descriptor)):
                return descriptor
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder.isdecimal() else "another process"
            msg = f"{who} uses the mirror in {str(path.parent)!r}; try again when it has finished"
            raise MirrorLocked(msg) from error
        except BaseException:
            os.close(descriptor)
            raise
        # It was deleted before we locked it: a second process may have locked a new file.
        os.close(descriptor)


def _is_current(path: Path, opened: os.stat_result) -> bool:
    try:
        current = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(current.st_mode) and os.path.samestat(current, opened)
