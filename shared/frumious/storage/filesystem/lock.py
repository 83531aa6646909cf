"""Locks on files: they hold between processes of one machine, and end with the process."""

from __future__ import annotations

import fcntl
import os
import stat
from contextlib import contextmanager
from typing import TYPE_CHECKING

from frumious.errors import FrumiousError
from frumious.storage.protocol import StorageRefused

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

LOCK = ".lock"  # at the mirror's top; bandersnatch locks the same file in the same way


class MirrorLocked(FrumiousError):
    """Another process is at work on the mirror."""


@contextmanager
def lock(directory: Path) -> Iterator[None]:
    """Keep every other process that asks off the mirror, for as long as the block lasts.

    Raises:
        MirrorLocked: one is there already.
        StorageRefused: the directory cannot be made, or not be written to.
    """
    path = directory / LOCK
    try:
        directory.mkdir(parents=True, exist_ok=True)
        descriptor = _locked(path)
    except OSError as error:
        msg = (
            f"the mirror's lock {str(path)!r} cannot be made: {error.strerror};"
            " make 'directory' a folder that the mirror's user may write to"
        )
        raise StorageRefused(msg) from error
    try:
        os.ftruncate(descriptor, 0)
        os.write(descriptor, f"{os.getpid()}\n".encode())
        yield
    finally:
        os.ftruncate(descriptor, 0)
        os.close(descriptor)


def open_locked(path: Path, mode: int) -> int:
    """Open a file and wait for the lock on it, which ends when the descriptor is closed.

    Raises:
        OSError: the file cannot be opened or locked; its folder must be there.
    """
    # A descriptor for each holder: threads that share one would share the lock.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, mode)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _locked(path: Path) -> int:
    """Open and lock the file that has this name, and still has it once it is locked."""
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(path, os.fstat(descriptor)):
                return descriptor
        except BlockingIOError as error:
            holder = os.read(descriptor, 32).decode(errors="replace").strip()
            os.close(descriptor)
            who = f"process {holder}" if holder.isdecimal() else "another process"
            msg = f"{who} is at work on the mirror in {str(path.parent)!r}: wait for its end"
            raise MirrorLocked(msg) from error
        except BaseException:
            os.close(descriptor)
            raise
        # Whoever held it has deleted it: two processes could each hold a lock of the same name.
        os.close(descriptor)


def _is_at(path: Path, opened: os.stat_result) -> bool:
    try:
        there = path.stat()
    except FileNotFoundError:
        return False
    return stat.S_ISREG(there.st_mode) and os.path.samestat(there, opened)
