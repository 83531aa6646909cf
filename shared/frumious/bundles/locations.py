"""Where bundles are: in a folder, in one tar archive, or below a prefix of a bucket."""

from __future__ import annotations

import asyncio
import hashlib
import os
import shutil
import tarfile
import tempfile
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.bundles.catalogue import store
from frumious.bundles.errors import InvalidBundle
from frumious.bundles.manifest import HEAD, SIGNATURE
from frumious.config.choices import Backend
from frumious.model.types import Key
from frumious.storage.filesystem.atomic_write import flush_directory
from frumious.storage.opening import open_storage
from frumious.storage.protocol import CHUNK

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Callable

    from frumious.config.settings import Config
    from frumious.storage.protocol import Storage

_S3: Final = "s3://"
_ARCHIVE: Final = ".tar"


@dataclass(frozen=True, slots=True)
class Bundle:
    """A bundle that can be read."""

    name: str  # where it is, for people
    open: Callable[[str], AsyncGenerator[bytes, None]]  # raises InvalidBundle: there is no file

    async def read(self, name: str, limit: int) -> bytes:
        """Read a small file.

        Raises:
            InvalidBundle: there is none, or it is larger than `limit`.
        """
        body = b""
        async with aclosing(self.open(name)) as chunks:
            async for chunk in chunks:
                body += chunk
                if len(body) > limit:
                    msg = f"{name} of {self.name} has more than {limit} bytes"
                    raise InvalidBundle(msg)
        return body


@asynccontextmanager
async def find_bundles(location: str, config: Config) -> AsyncIterator[list[Bundle]]:
    """Open the bundles at a location: a bundle itself, or whatever contains some.

    Raises:
        InvalidBundle: there is none.
    """
    async with AsyncExitStack() as opened:
        if location.startswith(_S3):
            storage = await opened.enter_async_context(_bucket(location, config))
            heads = [entry.key async for entry in storage.list("") if _is_head(entry.key)]
            found = [_in_bucket(location, key.removesuffix(HEAD), storage) for key in heads]
        else:
            found = await asyncio.to_thread(_on_disk, Path(location))
        if not found:
            msg = f"there is no bundle at {location!r}: name its folder, its archive or its prefix"
            raise InvalidBundle(msg)
        yield found


def _on_disk(path: Path) -> list[Bundle]:
    if path.is_file():
        return [_in_archive(path)]
    if (path / HEAD).is_file():
        return [_in_folder(path)]
    folders = [each for each in sorted(path.glob("frumious-*")) if (each / HEAD).is_file()]
    archives = sorted(path.glob(f"*{_ARCHIVE}"))
    return [*map(_in_folder, folders), *map(_in_archive, archives)]


def normalized(destination: str) -> str:
    """Return the one spelling of a destination under which its exports are known."""
    if destination.startswith(_S3):
        return destination.rstrip("/")
    return os.path.abspath(destination)  # noqa: PTH100 (links stay)


def work_folder(destination: str) -> Path:
    """Return the local folder in which a bundle for a destination comes into being."""
    if destination.startswith(_S3):
        digest = hashlib.sha256(normalized(destination).encode()).hexdigest()[:16]
        return Path(tempfile.gettempdir()) / f"frumious-export-{digest}"
    if destination.endswith(_ARCHIVE):
        return Path(f"{destination}.partial")
    return Path(destination) / ".partial"


def is_bucket(destination: str) -> bool:
    """Return whether a destination is in a bucket: volumes leave the work folder one by one."""
    return destination.startswith(_S3)


async def publish(folder: Path, name: str, destination: str, config: Config) -> str:
    """Move a finished bundle from its work folder to its destination; return where it is."""
    if is_bucket(destination):
        for path in reversed(await asyncio.to_thread(_in_order, folder)):
            await upload(path, name, destination, config)
        await asyncio.to_thread(shutil.rmtree, folder)
        return f"{destination.rstrip('/')}/{name}/"
    if destination.endswith(_ARCHIVE):
        await asyncio.to_thread(_pack, folder, name, Path(destination))
        return destination
    return await asyncio.to_thread(_rename, folder, name)


async def upload(path: Path, name: str, destination: str, config: Config) -> None:
    """Store a local file as part of a bundle in a bucket."""
    async with _bucket(destination, config) as storage:
        with path.open("rb") as file:
            await store(Key(f"{name}/{path.name}"), file, storage)


@asynccontextmanager
async def _bucket(location: str, config: Config) -> AsyncIterator[Storage]:
    bucket, _, prefix = location.removeprefix(_S3).strip("/").partition("/")
    directory = f"/{bucket}/{prefix}".rstrip("/")
    at = replace(config, backend=Backend.S3, directory=directory, bucket=bucket, prefix=prefix)
    async with open_storage(at, probe=False) as storage:
        yield storage


def _is_head(key: str) -> bool:
    return key == HEAD or key.endswith(f"/{HEAD}")


def _in_bucket(location: str, prefix: str, storage: Storage) -> Bundle:
    name = f"{location.rstrip('/')}/{prefix}"

    async def chunks(file: str) -> AsyncGenerator[bytes, None]:
        opened = await storage.stream(Key(prefix + file))
        if opened is None:
            raise _missing(file, name)
        async with aclosing(opened.chunks) as stream:
            async for chunk in stream:
                yield chunk

    return Bundle(name, chunks)


def _in_folder(folder: Path) -> Bundle:
    async def chunks(name: str) -> AsyncGenerator[bytes, None]:
        path = folder / name
        if not path.is_file():
            raise _missing(name, str(folder))
        async with aclosing(_read(path, 0, path.stat().st_size)) as stream:
            async for chunk in stream:
                yield chunk

    return Bundle(str(folder), chunks)


def _in_archive(path: Path) -> Bundle:
    try:
        with tarfile.open(path, "r:") as archive:
            members = {
                member.name.rpartition("/")[2]: (member.offset_data, member.size)
                for member in archive
                if member.isreg()
            }
    except (tarfile.TarError, OSError) as error:
        msg = f"{str(path)!r} is not a bundle: {error}"
        raise InvalidBundle(msg) from error

    async def chunks(name: str) -> AsyncGenerator[bytes, None]:
        if name not in members:
            raise _missing(name, str(path))
        async with aclosing(_read(path, *members[name])) as stream:
            async for chunk in stream:
                yield chunk

    return Bundle(str(path), chunks)


async def _read(path: Path, offset: int, size: int) -> AsyncGenerator[bytes, None]:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            while size and (chunk := await asyncio.to_thread(file.read, min(CHUNK, size))):
                size -= len(chunk)
                yield chunk
    except OSError as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror}"
        raise InvalidBundle(msg) from error


def _pack(folder: Path, name: str, archive: Path) -> None:
    temporary = archive.with_name(f"{archive.name}.tmp")
    with tarfile.open(temporary, "w", format=tarfile.PAX_FORMAT) as packed:
        for path in _in_order(folder):
            packed.add(path, f"{name}/{path.name}")
    temporary.rename(archive)
    flush_directory(archive.parent)
    shutil.rmtree(folder)


def _rename(folder: Path, name: str) -> str:
    target = folder.parent / name
    folder.rename(target)
    flush_directory(folder.parent)
    return str(target)


def _in_order(folder: Path) -> list[Path]:
    """Return the files of a bundle, those that say what it is first."""
    first = (HEAD, SIGNATURE)
    return sorted(folder.iterdir(), key=lambda path: (path.name not in first, path.name))


def _missing(file: str, bundle: str) -> InvalidBundle:
    return InvalidBundle(f"{file} of the bundle {bundle} is missing: it was not copied completely")
