"""What lies in a folder, in the order in which S3 lists keys, one directory at a time."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frumious.model.types import Key
from frumious.storage.protocol import Entry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    Identity = tuple[int, int]  # device and inode


@dataclass(frozen=True, slots=True)
class Walk:
    """One walk below `top`, by keys relative to it, as bytes: their order is that of UTF-8."""

    top: bytes
    prefix: bytes
    after: bytes
    hidden: Callable[[bytes], bool]  # whether a key, or a directory's, is not the mirror's

    @classmethod
    def of(cls, top: Path, prefix: str, after: str, hidden: Callable[[bytes], bool]) -> Walk:
        """Plan a walk over the keys with a prefix, from behind `after` on."""
        return cls(os.fsencode(top), os.fsencode(prefix), os.fsencode(after), hidden)

    def entries(self) -> Iterator[Entry]:
        """Give the files in order; what vanishes meanwhile is left out.

        Raises:
            OSError: a directory cannot be read.
        """
        folder = self.prefix[: self.prefix.rfind(b"/") + 1]
        yield from self._below(folder, ())

    def _below(self, folder: bytes, parents: tuple[Identity, ...]) -> Iterator[Entry]:
        """Give the files below a directory; its key is empty or ends with a slash."""
        found = self._found(folder)
        if found is None:
            return
        identity, names = found
        if identity in parents:
            return  # a link that leads back up: its files are listed where they are
        for name, size in names:
            key = folder + name
            if name.endswith(b"/"):
                yield from self._below(key, (*parents, identity))
            else:
                yield Entry(Key(os.fsdecode(key)), size)

    def _found(self, folder: bytes) -> tuple[Identity, list[tuple[bytes, int]]] | None:
        """Read a directory: the names that are wanted, and sizes; directories end with a slash.

        The slash belongs to the name when names are compared: `a-b` < `a/b` < `ab`.
        """
        path = os.path.join(self.top, folder)  # noqa: PTH118 - bytes
        names: list[tuple[bytes, int]] = []
        try:
            there = os.stat(path)  # noqa: PTH116 - bytes
            with os.scandir(path) as entries:
                for entry in entries:
                    is_directory = _is_directory(entry)
                    name = entry.name + b"/" if is_directory else entry.name
                    if not self._wanted(folder + name, is_directory=is_directory):
                        continue
                    size = 0 if is_directory else _size(entry)
                    if size is not None:
                        names.append((name, size))
        except (FileNotFoundError, NotADirectoryError):
            return None
        names.sort()
        return (there.st_dev, there.st_ino), names

    def _wanted(self, key: bytes, *, is_directory: bool) -> bool:
        if self.hidden(key):
            return False
        if is_directory:
            beside = key if len(key) <= len(self.prefix) else key[: len(self.prefix)]
            return self.prefix.startswith(beside) and (
                key > self.after or self.after.startswith(key)
            )
        return key.startswith(self.prefix) and key > self.after


def _is_directory(entry: os.DirEntry[bytes]) -> bool:
    try:
        return entry.is_dir()
    except OSError:
        return False  # a link to itself


def _size(entry: os.DirEntry[bytes]) -> int | None:
    """Return a file's size; None for what is no file, or no longer there."""
    try:
        there = entry.stat()
    except OSError:
        return None  # gone, or a link to nothing
    return there.st_size if stat.S_ISREG(there.st_mode) else None
