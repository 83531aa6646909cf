"""Durability: what a page names reaches the disk before the page does.

One system call (syncfs, of Linux) does it for all files that were written before, instead of one
for each file and each directory.
"""

from __future__ import annotations

import ctypes
import os
import threading
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from pathlib import Path

_SYNCFS: Final = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)

IS_SUPPORTED: Final = _SYNCFS is not None
"""Whether the system can flush a whole file system; else each file is flushed by itself."""


class Barrier:
    """Files that have not reached the disk yet, and the wait for all of them."""

    def __init__(self) -> None:
        self._unflushed: set[Path] = set()  # a directory on each disk
        self._changing = threading.Lock()
        self._flushing = threading.Lock()

    def add(self, disk: Path) -> None:
        """Note that files have to reach a disk; `disk` is a directory on it."""
        with self._changing:
            self._unflushed.add(disk)

    def wait(self) -> None:
        """Return when everything that was added before has reached the disk.

        Raises:
            OSError: it has not.
        """
        with self._flushing:  # others may be flushing what this caller waits for
            with self._changing:
                unflushed, self._unflushed = self._unflushed, set()
            try:
                for disk in unflushed:
                    flush_disk(disk)
            except OSError:
                with self._changing:
                    self._unflushed |= unflushed
                raise


def flush_disk(disk: Path) -> None:
    """Return when everything that was written to a disk has reached it.

    Raises:
        OSError: it has not.
    """
    descriptor = os.open(disk, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if _SYNCFS is not None and _SYNCFS(descriptor):
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(disk))
    finally:
        os.close(descriptor)
