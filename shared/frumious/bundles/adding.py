"""Objects of a mirror are added to a bundle that comes into being."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.bundles.manifest import Object
from frumious.bundles.reading import once, read_small, sha256_of, stream_file
from frumious.concurrency import run_all

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.bundles.changes import NewFile
    from frumious.bundles.volumes import VolumeWriter
    from frumious.bundles.work import Work
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

_AT_ONCE: Final = 16  # small files


async def add_files(files: Sequence[NewFile], bundle: Work, storage: Storage) -> tuple[Object, ...]:
    """Add files; small ones are read together.

    Raises:
        FileGone: one is not stored.
        WrongBytes: one is damaged.
    """
    objects = list[Object]()
    for at in range(0, len(files), _AT_ONCE):
        group = files[at : at + _AT_ONCE]
        bodies = await run_all(read_small(file, storage) for file in group)
        for file, body in zip(group, bodies, strict=True):
            key = file.blob.key
            if body is not None:
                objects.append(await add_whole(key, body, bundle.files))
                continue
            async with stream_file(file, storage) as (stream, size, chunks):
                parts = await bundle.files.add(key, size, chunks)
                objects.append(Object(key, size, stream.sha256, parts))
    return tuple(objects)


async def add_whole(key: Key, body: bytes, volumes: VolumeWriter) -> Object:
    """Add an object that is in memory."""
    parts = await volumes.add(key, len(body), once(body))
    return Object(key, len(body), sha256_of(body), parts)
