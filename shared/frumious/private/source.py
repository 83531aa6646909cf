"""The private directory in place of upstream: project pages and the bytes of files.

A job takes it as it takes `Upstream`, so that private projects go the way of all others.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import tempfile
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final
from urllib.parse import quote, unquote

from msgspec import structs
from packaging.version import Version

from frumious.concurrency import FairSlots, run_all
from frumious.config.choices import Backend
from frumious.errors import explain
from frumious.model.pages import File, ProjectPage
from frumious.model.types import Key
from frumious.private.inspection import InvalidPrivateFile, inspect, read_core_metadata
from frumious.private.listing import list_projects, parse_filename
from frumious.simple.values import ParsedPage
from frumious.storage.opening import open_storage
from frumious.storage.protocol import StorageUnavailable
from frumious.upstream.download import Download, FileMissing

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.private import PrivateFile, PrivateListing
    from frumious.storage.protocol import Entry, Storage

_SCHEME: Final = "private:"
_INSPECTED: Final = 4  # files that are read at a time
_METADATA: Final = ".metadata"


@asynccontextmanager
async def open_private(config: Config) -> AsyncIterator[PrivateSource]:
    """Open the configured private directory; close it at the end of the block."""
    directory = config.private.directory
    root = None if directory.startswith("s3://") else Path(directory)
    bucket, _, prefix = directory.removeprefix("s3://").partition("/")
    backend = Backend.FILESYSTEM if root is not None else Backend.S3
    at = structs.replace(config, backend=backend, directory=directory, bucket=bucket, prefix=prefix)
    async with AsyncExitStack() as opened:
        storage = await opened.enter_async_context(open_storage(at, probe=False))
        yield PrivateSource(config, storage, root)


@dataclass(frozen=True, slots=True)
class _Described:
    """A file as its project page describes it, or why it is not published."""

    file: File | None
    version: str = ""
    problem: str = ""


class PrivateSource:
    """The private directory; its storage is only read.

    Attributes:
        downloads: Limit the files that are read at the same time, for all projects.
        large_downloads: Limit the large ones among them.
    """

    def __init__(self, config: Config, storage: Storage, root: Path | None) -> None:
        self.downloads = FairSlots(config.downloads)
        self.large_downloads = FairSlots(config.downloads)
        self._inspections = asyncio.Semaphore(_INSPECTED)
        self._private = config.private
        self._core_metadata = config.core_metadata
        self._storage = storage
        self._root = root  # None: a bucket

    async def listing(self) -> PrivateListing:
        """List the directory.

        Raises:
            StorageUnavailable, StorageRefused: it cannot be listed.
        """
        directory = self._private.directory
        if self._root is not None and not self._root.is_dir():
            msg = f"the private directory {directory!r} is not there"
            raise StorageUnavailable(msg)
        entries = [entry async for entry in self._storage.list("")]
        if self._root is None:
            return list_projects(directory, entries)
        inside, outside = await asyncio.to_thread(self._separate, entries)
        found = list_projects(directory, inside)
        problem = "it is a symbolic link that leads out of the directory"
        problems = {ascii(path)[1:-1][:1000]: problem for path in outside}
        return type(found)(
            directory=directory, projects=found.projects, problems={**found.problems, **problems}
        )

    def _separate(self, entries: list[Entry]) -> tuple[list[Entry], list[str]]:
        assert self._root is not None  # noqa: S101
        top = self._root.resolve()
        inside, outside = [], []
        for entry in entries:
            if (self._root / entry.key).resolve().is_relative_to(top):
                inside.append(entry)
            else:
                outside.append(str(entry.key))
        return inside, outside

    async def project_page(
        self, project: NormalizedName, current: ProjectPage | None
    ) -> ParsedPage:
        """Return the page of a project; files that the `current` page knows are not read.

        Raises:
            StorageUnavailable, StorageRefused: the directory cannot be read.
        """
        files = self._private.listing.files(project)
        known = dict(_known_files(current, core_metadata=self._core_metadata))

        async def describe(file: PrivateFile) -> _Described:
            same = known.get((file.filename, file.identity))
            if same is not None:
                _, version = parse_filename(file.filename)
                return _Described(structs.replace(same, url=_url(file.path)), str(version))
            async with self._inspections:
                return await self._inspect(file, current)

        described = await run_all(map(describe, files))
        pairs = [*zip(files, described, strict=True)]
        versions = {each.version for each in described if each.file is not None}
        page = ProjectPage(
            name=project,
            api_version="1.4",
            files=tuple(each.file for each in described if each.file is not None),
            versions=tuple(sorted(versions, key=Version)),
        )
        refused = {file.filename: each.problem for file, each in pairs if each.problem}
        identities = {file.filename: file.identity for file, each in pairs if not each.problem}
        etag = self._private.listing.projects[project].fingerprint if files else ""
        return ParsedPage(page, refused, etag, identities)

    async def _inspect(self, file: PrivateFile, current: ProjectPage | None) -> _Described:
        try:
            async with self._open(file.path, file.size) as content:
                inspected = await asyncio.to_thread(inspect, content, file.filename)
        except (FileMissing, InvalidPrivateFile) as error:
            return _Described(None, problem=explain(error))
        uploaded = datetime.fromtimestamp(file.modified, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        for old in current.files if current is not None else ():
            if old.filename == file.filename and old.hashes.get("sha256") == inspected.sha256:
                uploaded = old.upload_time or uploaded  # it was copied again
        metadata = inspected.core_metadata
        described = File(
            filename=file.filename,
            url=_url(file.path),
            hashes={"sha256": inspected.sha256},
            requires_python=inspected.requires_python,
            size=file.size,
            upload_time=uploaded,
            core_metadata=False if metadata is None else {"sha256": _sha256(metadata)},
        )
        return _Described(described, inspected.version)

    def sources(self, url: str) -> tuple[str, ...]:
        """Return where a file is: in the directory alone."""
        return (url,)

    @asynccontextmanager
    async def download(self, url: str, size: int | None) -> AsyncIterator[Download]:
        """Open a file of the directory, or the core metadata in one.

        Raises:
            FileMissing: it is not there any more.
            StorageUnavailable: the directory cannot be read; also while reading.
        """
        path = unquote(url.removeprefix(_SCHEME))
        if path.endswith(_METADATA):
            path = path.removesuffix(_METADATA)
            async with self._open(path, size) as content:
                filename = path.rpartition("/")[2]
                body = await asyncio.to_thread(read_core_metadata, content, filename)
            yield Download(url, len(body), "", _once(body))
            return
        async with aclosing(await self._stream(path)) as chunks:
            yield Download(url, size, "", chunks)

    async def provenance(self, url: str) -> bytes | None:  # noqa: ARG002 (as `Upstream`)
        """Return None: private files have no provenance."""
        return None

    async def _stream(self, path: str) -> AsyncGenerator[bytes, None]:
        opened = await self._storage.stream(Key(path))
        if opened is None:
            msg = f"the private directory no longer has {path!r:.200}"
            raise FileMissing(msg)
        return opened.chunks

    @asynccontextmanager
    async def _open(self, path: str, size: int | None) -> AsyncIterator[IO[bytes]]:
        """Open a file of the directory; a copy of one in a bucket.

        Raises:
            FileMissing: it is not there any more.
            InvalidPrivateFile: somebody is writing it.
            StorageUnavailable: the directory cannot be read.
        """
        if self._root is not None:
            with await asyncio.to_thread(_open_file, self._root / path) as file:
                before = os.fstat(file.fileno())
                yield file
                after = os.fstat(file.fileno())
                if size not in {None, before.st_size} or before.st_mtime_ns != after.st_mtime_ns:
                    msg = f"{path!r:.200} is being written"
                    raise InvalidPrivateFile(msg)
            return
        with tempfile.TemporaryFile() as copy:
            copied = 0
            async with aclosing(await self._stream(path)) as chunks:
                async for chunk in chunks:
                    copied += len(chunk)
                    await asyncio.to_thread(copy.write, chunk)
            if size is not None and copied != size:
                msg = f"{path!r:.200} has {copied} bytes, and was listed with {size}"
                raise InvalidPrivateFile(msg)
            copy.seek(0)
            yield copy


def _known_files(
    page: ProjectPage | None, *, core_metadata: bool
) -> Iterator[tuple[tuple[str, str], File]]:
    """Yield the files of a page that have been read, by name and identity.

    With `core_metadata`, not the wheels that lack theirs: a repair may have taken them away.
    """
    if page is None or page.publication is None:
        return
    for file in page.files:
        identity = page.publication.private.get(file.filename)
        lacks = core_metadata and not file.core_metadata and file.filename.endswith(".whl")
        if identity and not lacks:
            yield (file.filename, identity), file


def _url(path: str) -> str:
    return f"{_SCHEME}{quote(path, safe='')}"


def _open_file(path: Path) -> IO[bytes]:
    try:
        return path.open("rb")
    except FileNotFoundError as error:
        msg = f"the private directory no longer has {str(path)!r:.200}"
        raise FileMissing(msg) from error
    except OSError as error:
        msg = f"cannot read {str(path)!r:.200}: {error.strerror}"
        raise InvalidPrivateFile(msg) from error


def _sha256(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body
