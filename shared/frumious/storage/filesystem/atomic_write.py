"""Atomic writes: a file has a temporary name until all of it is on the disk.

A killed process leaves its temporary files behind. To find them without a walk over millions of
directories, each has a marker: a symbolic link of the same name in `.frumious/` that points to the
temporary file's directory, and is created first.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self, TypeVar

from frumious.storage.filesystem.lock import open_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import TracebackType

T = TypeVar("T")

INTERNAL = ".frumious"
"""The directory in the mirror's folder that holds the markers and the writers' lock."""

TEMP_NAME = re.compile(r"\.frumious-[0-9a-f]{16}\.tmp")
"""The name of a temporary file, and of its marker."""

_MAX_TRIES = 100  # to use a directory before another process removes it because it is empty
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Folder:
    """The mirror's folder: its directories, its permissions and its writers' lock."""

    top: Path
    manage_permissions: bool  # make everything readable for all; False: apply the umask

    @property
    def file_mode(self) -> int:
        """The mode of new files."""
        return 0o644 if self.manage_permissions else 0o666

    @property
    def internal(self) -> Path:
        """The directory of the markers and the lock."""
        return self.top / INTERNAL

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Hold the lock of all writers on this machine."""
        path = self.internal / "lock"
        descriptor = self.create_in(self.internal, lambda: open_locked(path, self.file_mode))
        try:
            yield
        finally:
            os.close(descriptor)

    def create_in(self, directory: Path, create: Callable[[], T]) -> T:
        """Create a file in a directory that may not exist, or be removed at the same time."""
        for _ in range(_MAX_TRIES):
            try:
                return create()
            except FileNotFoundError:
                with suppress(FileNotFoundError):
                    self._create_directories(directory)
        return create()

    def _create_directories(self, directory: Path) -> None:
        """Create a directory and its parents, and flush them to the disk.

        Raises:
            FileNotFoundError: one of them was removed at the same time, or is a broken link.
        """
        try:
            self._create_directory(directory)
        except FileNotFoundError:
            self._create_directories(directory.parent)
            self._create_directory(directory)

    def _create_directory(self, directory: Path) -> None:
        try:
            directory.mkdir(0o755 if self.manage_permissions else 0o777)
        except FileExistsError:
            return
        if self.manage_permissions:
            # The operator sets the bits above the permissions: an inherited group.
            directory.chmod(directory.stat().st_mode & 0o7000 | 0o755)
        flush_directory(directory.parent)

    def prune(self, directory: Path) -> Path:
        """Remove a directory and its parents while they are empty; return the one that remains."""
        while directory != self.top:
            try:
                directory.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                break  # not empty, a link to another disk, or a mount point
            directory = directory.parent
        return directory

    def remove_leftovers(self) -> int:
        """Remove the temporary files of killed processes, and return how many there were.

        The caller must hold the mirror's lock: a temporary file may still be in use.
        """
        removed = 0
        try:
            markers = [path for path in self.internal.iterdir() if TEMP_NAME.fullmatch(path.name)]
        except FileNotFoundError:
            return 0
        for marker in markers:
            directory = self.top / marker.readlink()
            with suppress(FileNotFoundError, NotADirectoryError):
                (directory / marker.name).unlink()
                removed += 1
            self.prune(directory)
            marker.unlink(missing_ok=True)
        return removed


class TempFile:
    """A file that becomes `target` when it is published; a context manager that discards it."""

    def __init__(self, folder: Folder, target: Path) -> None:
        name = f".frumious-{secrets.token_hex(8)}.tmp"
        self._folder = folder
        self._target = target
        self._path = target.parent / name
        self._marker = folder.internal / name
        self._descriptor: int | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def write(self, body: bytes) -> None:
        """Append to the file; the first call creates it."""
        if self._descriptor is None:
            self._descriptor = self._open()
        unwritten = memoryview(body)
        while unwritten:
            unwritten = unwritten[os.write(self._descriptor, unwritten) :]

    def flush(self) -> None:
        """Flush the bytes to the disk.

        If the name reached the disk first, a power failure would leave an empty file, or page,
        that counts as verified.
        """
        self.write(b"")
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def publish(self) -> None:
        """Rename the file to its target; replace a link there instead of following it."""
        self._path.replace(self._target)

    def discard(self) -> None:
        """Remove the file unless it was published, and its marker."""
        if self._descriptor is None:
            return
        os.close(self._descriptor)
        self._descriptor = None
        try:
            self._path.unlink()
        except FileNotFoundError:
            pass
        else:
            self._folder.prune(self._path.parent)
        self._marker.unlink(missing_ok=True)

    def _open(self) -> int:
        def create_marker() -> None:
            self._marker.symlink_to(self._path.parent.relative_to(self._folder.top))

        def create() -> int:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(self._path, flags, self._folder.file_mode)

        try:
            self._folder.create_in(self._marker.parent, create_marker)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            # The file system has no links. (A missing permission fails right below.)
        try:
            descriptor = self._folder.create_in(self._path.parent, create)
        except BaseException:
            self._marker.unlink(missing_ok=True)
            raise
        if self._folder.manage_permissions:
            os.fchmod(descriptor, self._folder.file_mode)
        return descriptor


def flush_directory(directory: Path) -> None:
    """Flush the names in a directory to the disk; if it was removed, those in its parent."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        flush_directory(directory.parent)
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # by some network file systems
            raise
    finally:
        os.close(descriptor)
