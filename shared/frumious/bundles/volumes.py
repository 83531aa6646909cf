"""Volumes: tar files of at most a given size, with the objects of a bundle.

`tar` shows what is in them, but importing needs only the offsets that the manifest has. An object
that does not fit into the rest of a volume goes on in the next one.
"""

from __future__ import annotations

import os
import tarfile
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from frumious.bundles.errors import InvalidBundle
from frumious.bundles.manifest import Part

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterable, Callable, Sequence
    from io import BufferedRandom
    from pathlib import Path

    from frumious.bundles.manifest import Volume

_BLOCK: Final = 512  # bytes: tar pads everything to it
_END: Final = b"\0" * (2 * _BLOCK)
_MIN_PART: Final = 64 * 1024  # bytes: less than that is not worth a part

MIN_VOLUME: Final = 1024**2


def volume_name(kind: str, number: int) -> str:
    """Return the name of a volume."""
    return f"{kind}-{number:03}.tar"


class VolumeWriter:
    """Writes the volumes of one kind to local files; continues at `number` and `position`."""

    def __init__(
        self, folder: Path, kind: str, limit: int, number: int = 1, position: int = 0
    ) -> None:
        self.number = number
        self.position = position
        self._folder = folder
        self._kind = kind
        self._limit = limit
        self._file = self._open()

    def _open(self) -> BufferedRandom:
        path = self._folder / volume_name(self._kind, self.number)
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        file = open(descriptor, "r+b")  # noqa: PTH123, SIM115 (a descriptor; closed with the volume)
        file.truncate(self.position)
        file.seek(self.position)
        return file

    async def add(self, key: str, size: int, chunks: AsyncIterable[bytes]) -> tuple[Part, ...]:
        """Append an object of exactly `size` bytes; return where it is."""
        self._pad()  # after an object that could not be read to its end
        parts: list[Part] = []
        received = b""
        room = self._begin(key, size, 0, parts)
        missing = size
        async for received in chunks:
            chunk = received
            if len(chunk) > missing:
                break
            while len(chunk) > room:
                self._write(chunk[:room])
                missing -= room
                chunk = chunk[room:]
                self._pad()
                room = self._begin(key, missing, len(parts), parts)
            self._write(chunk)
            room -= len(chunk)
            missing -= len(chunk)
        else:
            received = b""
        if missing or received:
            msg = f"{key!r} does not have {size} bytes any more"
            raise InvalidBundle(msg)
        self._pad()
        return tuple(parts)

    def _begin(self, key: str, size: int, number: int, parts: list[Part]) -> int:
        """Begin a part, in the next volume if this one is full; return its size."""
        header = _header(key if not number else f"{key}.part{number + 1}", size)
        overhead = len(header) + len(_END) + 2 * _BLOCK
        free = self._limit - self.position - overhead
        if free < min(size, _MIN_PART):
            self._finish()
            self.number += 1
            self.position = 0
            self._file = self._open()
            free = self._limit - overhead
        size = min(size, free // _BLOCK * _BLOCK)
        self._write(_header(key if not number else f"{key}.part{number + 1}", size))
        parts.append(Part(self.number, self.position, size))
        return size

    def _write(self, data: bytes) -> None:
        self._file.write(data)
        self.position += len(data)

    def _pad(self) -> None:
        self._write(b"\0" * (-self.position % _BLOCK))

    def flush(self) -> None:
        """Let everything reach the disk."""
        self._file.flush()
        os.fsync(self._file.fileno())

    def _finish(self) -> None:
        self._file.write(_END)
        self.flush()
        self._file.close()

    def close(self) -> int:
        """End the last volume; return how many there are."""
        if not self.position:
            self._file.close()
            (self._folder / volume_name(self._kind, self.number)).unlink()
            return self.number - 1
        self._finish()
        return self.number

    def abandon(self) -> None:
        """Close the file as it is."""
        self._file.close()


def _header(name: str, size: int) -> bytes:
    info = tarfile.TarInfo(name)
    info.size = size
    info.mode = 0o644
    return info.tobuf(tarfile.PAX_FORMAT)


class VolumeReader:
    """Reads objects in the order in which they were written; going back opens a volume anew."""

    def __init__(
        self,
        kind: str,
        volumes: Sequence[Volume],
        open_volume: Callable[[str], AsyncGenerator[bytes, None]],
    ) -> None:
        self._kind = kind
        self._names = frozenset(volume.name for volume in volumes)
        self._open_volume = open_volume
        self._number = 0
        self._position = 0
        self._chunks: AsyncGenerator[bytes, None] | None = None
        self._rest = b""

    async def read(self, parts: Sequence[Part]) -> AsyncGenerator[bytes, None]:
        """Yield the bytes of an object.

        Raises:
            InvalidBundle: while iterating; a volume is missing or ends early.
        """
        for part in parts:
            if part.volume != self._number or part.offset < self._position:
                await self.close()
                self._number, self._position, self._rest = part.volume, 0, b""
                name = volume_name(self._kind, part.volume)
                if name not in self._names:
                    raise _damaged(name, "is not in the bundle")
                self._chunks = self._open_volume(name)
            async for _ in self._take(part.offset - self._position):
                pass
            async for chunk in self._take(part.size):
                yield chunk

    async def _take(self, size: int) -> AsyncGenerator[bytes, None]:
        missing = size
        while missing:
            if not self._rest:
                chunk = b"" if self._chunks is None else await anext(self._chunks, b"")
                if not chunk:
                    name = volume_name(self._kind, self._number)
                    raise _damaged(name, "ends early: it was not copied completely")
                self._rest = chunk
            piece, self._rest = self._rest[:missing], self._rest[missing:]
            self._position += len(piece)
            missing -= len(piece)
            yield piece

    async def close(self) -> None:
        """Close the volume."""
        if self._chunks is not None:
            async with aclosing(self._chunks):
                self._chunks = None


def _damaged(volume: str, how: str) -> InvalidBundle:
    return InvalidBundle(f"the volume {volume} {how}")
