"""Lists a folder in the order of S3, one directory at a time."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from frumious.model.types import Key
from frumious.storage.protocol import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    Identity = tuple[int, int]  # device and inode


class _Name(NamedTuple):
    """A file or a directory."""

    name: bytes  # relative to its directory
    size: int  # bytes
    modified: float  # seconds since the epoch


@dataclass(frozen=True, slots=True)
class Walk:
    """A listing of the files below `top`. Keys are relative to it, and bytes, to sort as UTF-8."""

    top: bytes
    prefix: bytes
    after: bytes
    is_internal: Callable[[bytes], bool]  # whether to leave out a key, or a directory's

    def entries(self, folder: bytes, parents: tuple[Identity, ...] = ()) -> Iterator[Entry]:
        """Yield the files below a directory in order; its key is empty or ends with a slash.

        Raises:
            OSError: a directory cannot be read.
        """
        contents = self._read_directory(folder)
        if contents is None:
            return
        identity, names = contents
        if identity in parents:
            return  # a link to a parent, whose files are listed there
        for name, size, modified in names:
            key = folder + name
            if name.endswith(b"/"):
                yield from self.entries(key, (*parents, identity))
            else:
                yield Entry(Key(os.fsdecode(key)), size, modified)

    def _read_directory(self, folder: bytes) -> tuple[Identity, list[_Name]] | None:
        """Return the names to list, sorted; None if the directory is gone.

        The names of directories end with a slash, which counts in the order: `a-b` < `a/b` < `ab`.
        """
        path = os.path.join(self.top, folder)  # noqa: PTH118 - bytes
        names: list[_Name] = []
        try:
            directory = os.stat(path)  # noqa: PTH116 - bytes
            with os.scandir(path) as entries:
                for entry in entries:
                    is_directory = _is_directory(entry)
                    name = entry.name + b"/" if is_directory else entry.name
                    if not self._matches(folder + name, is_directory=is_directory):
                        continue
                    if is_directory:
                        names.append(_Name(name, 0, 0.0))
                    elif (status := _status(entry)) is not None:
                        names.append(_Name(name, status.st_size, status.st_mtime))
        except (FileNotFoundError, NotADirectoryError):
            return None
        names.sort()
        return (directory.st_dev, directory.st_ino), names

    def _matches(self, key: bytes, *, is_directory: bool) -> bool:
        if self.is_internal(key):
            return False
        if is_directory:
            return self.prefix.startswith(key[: len(self.prefix)]) and (
                key > self.after or self.after.startswith(key)
            )
        return key.startswith(self.prefix) and key > self.after


def _is_directory(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def _status(entry: os.DirEntry[bytes]) -> os.stat_result | None:
    """Return a file's status; None if it is no regular file, or gone."""
    try:
        status = entry.stat()
    except OSError:
        return None  # gone, or a broken link
    return status if stat.S_ISREG(status.st_mode) else None
