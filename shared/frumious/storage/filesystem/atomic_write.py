"""A file on its way into a folder: under a name of its own until it is whole, and on the disk.

A killed process leaves its drafts behind. To find them without a walk over millions of
directories, each is noted before it is made: by a link of the same name in `.frumious/`, that says
in which directory the draft lies.
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

OURS = ".frumious"
"""The directory at the mirror's top that holds the notes, and the lock of writers."""

DRAFT = re.compile(r"\.frumious-[0-9a-f]{16}\.tmp")
"""What a draft is called."""

_TRIES = 100  # to be in a directory before somebody removes it because it is empty
_CANNOT = frozenset({errno.EINVAL, errno.ENOSYS, errno.EOPNOTSUPP, errno.EPERM, errno.EACCES})


@dataclass(frozen=True, slots=True)
class Folder:
    """The mirror's folder: makes and removes the directories in it, and locks its writers out."""

    top: Path
    manage_permissions: bool  # readable for all, whatever the umask; else as the umask has it

    @property
    def file_mode(self) -> int:
        """What files are made with."""
        return 0o644 if self.manage_permissions else 0o666

    @property
    def notes(self) -> Path:
        """Where drafts are noted."""
        return self.top / OURS

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the lock under which what is at a key changes, in any process of this machine."""
        path = self.notes / "lock"
        descriptor = self.make_in(self.notes, lambda: open_locked(path, self.file_mode))
        try:
            yield
        finally:
            os.close(descriptor)

    def make(self, directory: Path) -> None:
        """Make a directory and those above it, to last.

        Raises:
            FileNotFoundError: one of them was removed meanwhile, or is a link to nothing.
        """
        try:
            self._make(directory)
        except FileNotFoundError:
            self.make(directory.parent)
            self._make(directory)

    def make_in(self, directory: Path, make: Callable[[], T]) -> T:
        """Make something in a directory that may be missing, or be removed under our hands."""
        for _ in range(_TRIES):
            try:
                return make()
            except FileNotFoundError:
                with suppress(FileNotFoundError):
                    self.make(directory)
        return make()

    def _make(self, directory: Path) -> None:
        try:
            directory.mkdir(0o755 if self.manage_permissions else 0o777)
        except FileExistsError:
            return
        if self.manage_permissions:
            # What is set beyond the nine bits is the operator's: a group that is handed down.
            directory.chmod(directory.stat().st_mode & 0o7000 | 0o755)
        flush(directory.parent)

    def prune(self, directory: Path) -> Path:
        """Remove a directory and those above it while they are empty; return what stays."""
        while directory != self.top:
            try:
                directory.rmdir()
            except FileNotFoundError:
                pass
            except OSError:
                break  # not empty, a link to another disk, or where one is mounted
            directory = directory.parent
        return directory

    def sweep(self) -> int:
        """Remove the drafts of processes that are no more, and return how many there were.

        Only for whoever holds the mirror's lock: a draft does not tell whether it is under way.
        """
        swept = 0
        try:
            notes = [path for path in self.notes.iterdir() if DRAFT.fullmatch(path.name)]
        except FileNotFoundError:
            return 0
        for note in notes:
            directory = self.top / note.readlink()
            with suppress(FileNotFoundError, NotADirectoryError):
                (directory / note.name).unlink()
                swept += 1
            self.prune(directory)
            note.unlink(missing_ok=True)
        return swept


class Draft:
    """What will be at `target`; a context manager that leaves nothing of it but that."""

    def __init__(self, folder: Folder, target: Path) -> None:
        name = f".frumious-{secrets.token_hex(8)}.tmp"
        self._folder = folder
        self._target = target
        self._path = target.parent / name
        self._note = folder.notes / name
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
        """Add to the draft; the first time makes it."""
        if self._descriptor is None:
            self._descriptor = self._open()
        rest = memoryview(body)
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]

    def settle(self) -> None:
        """Bring the draft's bytes to the disk.

        A name that reaches the disk before its bytes would, after a power failure, be an empty
        file that counts as verified, or a page that reads as nothing.
        """
        self.write(b"")
        if self._descriptor is not None:
            os.fsync(self._descriptor)

    def publish(self) -> None:
        """Put the draft in its place; a link that is there is replaced, not followed."""
        self._path.replace(self._target)

    def discard(self) -> None:
        """Remove what is left: all of it, or the note where the draft was published."""
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
        self._note.unlink(missing_ok=True)

    def _open(self) -> int:
        def note() -> None:
            self._note.symlink_to(self._path.parent.relative_to(self._folder.top))

        def make() -> int:
            flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
            return os.open(self._path, flags, self._folder.file_mode)

        try:
            self._folder.make_in(self._note.parent, note)
        except OSError as error:
            if error.errno not in _CANNOT:
                raise
            # No links on this file system (or no right to write, as will be told at once).
        try:
            descriptor = self._folder.make_in(self._path.parent, make)
        except BaseException:
            self._note.unlink(missing_ok=True)
            raise
        if self._folder.manage_permissions:
            os.fchmod(descriptor, self._folder.file_mode)
        return descriptor


def flush(directory: Path) -> None:
    """Bring the names in a directory to the disk; where it is gone, those of what held it."""
    try:
        descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        flush(directory.parent)
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT:  # some network file systems have no such thing
            raise
    finally:
        os.close(descriptor)
