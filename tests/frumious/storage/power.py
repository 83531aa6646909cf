"""A disk that forgets: what a folder may contain after the power was cut at any moment.

The folder's operations are recorded. What was flushed to the disk has survived; of the rest,
anything may have: each name that was created, moved or removed, and any part of a file's bytes.
"""

from __future__ import annotations

import os
import posixpath
import threading
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frumious.storage.filesystem import barrier

if TYPE_CHECKING:
    import random
    from collections.abc import Callable, Iterable

    import pytest


@dataclass(frozen=True, slots=True)
class Operation:
    """A change of a name or of a file's bytes, or a flush. Paths are relative to the folder."""

    kind: str  # create, move, remove, mkdir; write; flush, flush-names, flush-all
    path: str = ""
    source: str = ""  # of a move
    file: int = 0  # the same for all names of a file; 0: a directory
    data: bytes = b""

    @property
    def directory(self) -> str:
        return posixpath.dirname(self.path)


@dataclass(slots=True)
class Recorder:
    """Records what this process does in a folder."""

    top: Path
    operations: list[Operation] = field(default_factory=list)
    _files: dict[str, int] = field(default_factory=dict)  # path -> file
    _opened: dict[int, str] = field(default_factory=dict)  # descriptor -> path
    _lock: threading.RLock = field(default_factory=threading.RLock)

    def attach(self, patch: pytest.MonkeyPatch) -> None:
        """Record from now on."""
        for name in ("open", "close", "write", "fsync", "replace", "mkdir", "rmdir", "unlink"):
            patch.setattr(os, name, self._recorded(getattr(os, name), getattr(self, f"on_{name}")))
        patch.setattr(
            barrier, "flush_disk", lambda _: self.operations.append(Operation("flush-all"))
        )

    def _recorded(
        self, call: Callable[..., Any], record: Callable[..., None]
    ) -> Callable[..., Any]:
        def recorded(*arguments: Any, **options: Any) -> Any:
            with self._lock:  # so that the order is that of the operations
                result = call(*arguments, **options)
                record(result, *arguments)
                return result

        return recorded

    def _key(self, path: str | Path) -> str | None:
        try:
            key = Path(path).relative_to(self.top).as_posix()
        except (TypeError, ValueError):
            return None  # not in the folder
        return "" if key == "." else key

    def on_open(self, descriptor: int, path: str | Path, flags: int, *_: object) -> None:
        key = self._key(path)
        if key is None:
            return
        self._opened[descriptor] = key
        if flags & os.O_CREAT and key not in self._files:
            self._files[key] = len(self.operations) + 1
            self.operations.append(Operation("create", key, file=self._files[key]))

    def on_close(self, _: None, descriptor: int) -> None:
        self._opened.pop(descriptor, None)

    def on_write(self, written: int, descriptor: int, data: memoryview) -> None:
        if key := self._opened.get(descriptor):
            body = bytes(data[:written])
            self.operations.append(Operation("write", key, file=self._files[key], data=body))

    def on_fsync(self, _: None, descriptor: int) -> None:
        key = self._opened.get(descriptor)
        if key in self._files:
            self.operations.append(Operation("flush", key, file=self._files[key]))
        elif key is not None:
            self.operations.append(Operation("flush-names", key))

    def on_replace(self, _: None, source: Path, target: Path) -> None:
        old, new = self._key(source), self._key(target)
        if old is not None and new is not None:
            file = self._files[new] = self._files.pop(old, 0)  # a link has no bytes
            self.operations.append(Operation("move", new, source=old, file=file))
            for descriptor, key in self._opened.items():
                if key == old:
                    self._opened[descriptor] = new

    def on_mkdir(self, _: None, path: Path, *__: object) -> None:
        if key := self._key(path):
            self.operations.append(Operation("mkdir", key))

    def on_rmdir(self, _: None, path: Path) -> None:
        if (key := self._key(path)) is not None:
            self.operations.append(Operation("remove", key))

    def on_unlink(self, _: None, path: Path) -> None:
        if (key := self._key(path)) is not None:
            self._files.pop(key, None)
            self.operations.append(Operation("remove", key))


def after_power_cut(operations: Iterable[Operation], chance: random.Random) -> dict[str, bytes]:
    """Return what may be in the folder, by path, after the operations and a loss of power."""
    written: dict[int, bytes] = {}
    flushed: dict[int, bytes] = {}
    names: list[Operation] = []
    certain: set[int] = set()  # indexes of names that have reached the disk
    for operation in operations:
        match operation.kind:
            case "write":
                written[operation.file] = written.get(operation.file, b"") + operation.data
            case "flush":
                flushed[operation.file] = written.get(operation.file, b"")
            case "flush-names":
                certain |= {n for n, name in enumerate(names) if name.directory == operation.path}
            case "flush-all":
                flushed |= written
                certain |= set(range(len(names)))
            case _:
                names.append(operation)
    found: dict[str, int] = {"": 0}
    for number, name in enumerate(names):
        if (number in certain or chance.random() < 0.5) and name.directory in found:
            _rename(name, found)
    return {
        path: _survived(written.get(file, b""), flushed.get(file, b""), chance)
        for path, file in found.items()
        if file
    }


def _rename(operation: Operation, found: dict[str, int]) -> None:
    """Create, move or remove a name among those that are `found`."""
    if operation.kind == "remove":
        inside = f"{operation.path}/"
        for path in [path for path in found if f"{path}/".startswith(inside)]:
            del found[path]
        return
    if operation.kind == "move":
        found.pop(operation.source, None)
    found[operation.path] = operation.file


def _survived(written: bytes, flushed: bytes, chance: random.Random) -> bytes:
    if written == flushed:
        return written
    return written[: chance.choice([0, len(flushed), len(written) // 2, len(written)])]
