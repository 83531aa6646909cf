"""Atomic writes: a file has a temporary name in `.frumious/` until all of it is written.

A killed process leaves its temporary files there. A file that belongs on another disk cannot be
moved to it, so that it is written where it belongs; a marker in `.frumious/`, a symbolic link of
the same name to its directory, is created first, and leads to it.
"""

from __future__ import annotations

import errno
import os
import re
import secrets
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Self, TypeVar

from frumious.storage.filesystem.lock import open_locked

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType

T = TypeVar("T")

INTERNAL = ".frumious"
"""The directory in the mirror's folder that holds temporary files and the writers' lock."""

TEMP_NAME = re.compile(r"\.frumious-[0-9a-f]{16}\.tmp")
"""The name of a temporary file, or of its marker."""

_COPIED_AT_ONCE = 1024**2  # bytes
_DISK_DEPTH = 2  # directories below the mirror's folder; another disk is mostly mounted there
_MAX_NUMBER = 2**64 - 1
_numbers = count(secrets.randbits(64))  # of temporary files; other processes begin elsewhere
_MAX_TRIES = 100  # to use a directory before another process removes it because it is empty
_UNSUPPORTED = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Folder:
    """The mirror's folder: its directories, its permissions and its writers' lock."""

    top: Path
    manage_permissions: bool  # make everything readable for all; False: apply the umask
    umask: int
    other_disks: set[Path]  # directories whose files are on other disks, as far as is known
    internal: str  # path of the directory of temporary files, markers and the lock

    @classmethod
    def at(cls, top: Path, *, manage_permissions: bool) -> Folder:
        """Describe a folder; reads the process's umask, which can only be done by setting it."""
        umask = os.umask(0o077)
        os.umask(umask)
        return cls(top, manage_permissions, umask, set(), str(top / INTERNAL))

    @property
    def needs_chmod(self) -> bool:
        """Whether the umask takes away what everybody is to have."""
        return self.manage_permissions and bool(self.umask & 0o755)

    @property
    def file_mode(self) -> int:
        """The mode of new files."""
        return 0o644 if self.manage_permissions else 0o666

    @contextmanager
    def write_lock(self) -> Iterator[None]:
        """Hold the lock of all writers on this machine."""
        path = f"{self.internal}/lock"
        descriptor = self.create_in(self.internal, lambda: open_locked(path, self.file_mode))
        try:
            yield
        finally:
            os.close(descriptor)

    def create_in(self, directory: Path | str, create: Callable[[], T], *, flush: bool = True) -> T:
        """Create a file in a directory that may not exist, or be removed at the same time.

        With `flush`, the directories that are created for it reach the disk.
        """
        for _ in range(_MAX_TRIES):
            try:
                return create()
            except FileNotFoundError:
                with suppress(FileNotFoundError):
                    self._create_directories(str(directory), flush=flush)
        return create()

    def _create_directories(self, directory: str, *, flush: bool) -> None:
        """Create a directory and its parents.

        Raises:
            FileNotFoundError: one of them was removed at the same time, or is a broken link.
        """
        try:
            self._create_directory(directory, flush=flush)
        except FileNotFoundError:
            self._create_directories(_parent(directory), flush=flush)
            self._create_directory(directory, flush=flush)

    def _create_directory(self, directory: str, *, flush: bool) -> None:
        try:
            os.mkdir(directory, 0o755 if self.manage_permissions else 0o777)  # noqa: PTH102
        except FileExistsError:
            return
        if self.needs_chmod:
            # The operator sets the bits above the permissions: an inherited group.
            created = Path(directory)
            created.chmod(created.stat().st_mode & 0o7000 | 0o755)
        if flush:
            flush_directory(_parent(directory))

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
        try:
            found = [
                path for path in Path(self.internal).iterdir() if TEMP_NAME.fullmatch(path.name)
            ]
        except FileNotFoundError:
            return 0
        removed = sum(not path.is_symlink() for path in found)
        for path in found:
            if path.is_symlink():
                directory = self.top / path.readlink()
                with suppress(FileNotFoundError, NotADirectoryError):
                    (directory / path.name).unlink()
                    removed += 1
                self.prune(directory)
            path.unlink(missing_ok=True)
        return removed

    def disk_of(self, path: str) -> Path:
        """Return a directory on the disk of a path, as far as other disks are known."""
        disks = tuple(self.other_disks)  # other threads may add some
        return next((disk for disk in disks if Path(path).is_relative_to(disk)), self.top)

    def note_other_disk(self, path: str) -> None:
        """Remember that all of a directory is on another disk: of `web/packages`, say."""
        parts = Path(path).relative_to(self.top).parts[:-1][:_DISK_DEPTH]
        self.other_disks.add(self.top.joinpath(*parts))


class TempFile:
    """A file that becomes `target` when it is published; a context manager that discards it.

    Its paths are texts: operations on `Path` take as long as the system calls.
    """

    def __init__(self, folder: Folder, target: str) -> None:
        self._folder = folder
        self._target = target
        self._directory = _parent(target)
        self._path = ""  # empty: it does not exist
        self._marker: Path | None = None
        self._descriptor = -1

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
        if not self._path:
            self._create(elsewhere=self._folder.disk_of(self._target) != self._folder.top)
        unwritten = memoryview(body)
        while unwritten:
            unwritten = unwritten[os.write(self._descriptor, unwritten) :]

    def flush(self) -> None:
        """Flush the bytes to the disk.

        If the name reached the disk first, a power failure would leave an empty file, or page,
        that counts as verified.
        """
        os.fsync(self._descriptor)

    def publish(self, *, flush: bool) -> None:
        """Rename the file to its target; replace a link there instead of following it.

        With `flush`, the name reaches the disk.
        """
        try:
            self._folder.create_in(self._directory, self._rename, flush=flush)
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            self._folder.note_other_disk(self._target)
            self._move_to_other_disk()
            self._folder.create_in(self._directory, self._rename, flush=flush)
        self._path = ""
        if flush:
            flush_directory(self._directory)

    def discard(self) -> None:
        """Close the file; remove it unless it was published, and its marker."""
        if self._descriptor >= 0:
            os.close(self._descriptor)
            self._descriptor = -1
        if self._path:
            path = Path(self._path)
            path.unlink(missing_ok=True)
            if self._marker is not None:
                self._folder.prune(path.parent)
            self._path = ""
        if self._marker is not None:
            self._marker.unlink(missing_ok=True)
            self._marker = None

    def _rename(self) -> None:
        if self._path:
            os.replace(self._path, self._target)  # noqa: PTH105 (texts)

    def _create(self, *, elsewhere: bool) -> None:
        name = f".frumious-{next(_numbers) & _MAX_NUMBER:016x}.tmp"
        directory = self._directory if elsewhere else self._folder.internal
        if elsewhere:
            self._marker = self._create_marker(Path(self._folder.internal, name))
        path = f"{directory}/{name}"
        flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC

        def create() -> int:
            return os.open(path, flags, self._folder.file_mode)

        try:
            self._descriptor = self._folder.create_in(directory, create, flush=elsewhere)
        except BaseException:
            self.discard()
            raise
        self._path = path
        if self._folder.needs_chmod:
            os.fchmod(self._descriptor, self._folder.file_mode)

    def _create_marker(self, marker: Path) -> Path:
        def create() -> None:
            marker.symlink_to(Path(self._directory).relative_to(self._folder.top))

        try:
            self._folder.create_in(marker.parent, create)
        except OSError as error:
            if error.errno not in _UNSUPPORTED:
                raise
            # The file system has no links. (A missing permission fails right below.)
        return marker

    def _move_to_other_disk(self) -> None:
        """Write the file anew where it belongs."""
        descriptor, path = self._descriptor, self._path
        self._create(elsewhere=True)
        try:
            offset = 0
            while block := os.pread(descriptor, _COPIED_AT_ONCE, offset):
                self.write(block)
                offset += len(block)
            os.fsync(self._descriptor)
        finally:
            os.close(descriptor)
            if path:
                os.unlink(path)  # noqa: PTH108 (a text)


def _parent(path: str) -> str:
    return path.rpartition("/")[0] or "/"


def flush_directory(directory: Path | str) -> None:
    """Flush the names in a directory to the disk; if it was removed, those in its parent."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        flush_directory(_parent(str(directory)))
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _UNSUPPORTED:  # by some network file systems
            raise
    finally:
        os.close(descriptor)
