"""The work folder of an export: what is on the disk of a bundle that comes into being."""

from __future__ import annotations

import fcntl
import os
import shutil
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from frumious.bundles import locations
from frumious.bundles.catalogue import CatalogueHead, CatalogueWriter
from frumious.bundles.errors import NotExported
from frumious.bundles.manifest import MANIFEST, Line, Listed, Volume, bundle_name
from frumious.bundles.volumes import VolumeWriter, volume_name
from frumious.model.types import Count, ProjectName, Seconds, Serial
from frumious.state.bundle_records import Id, Number

if TYPE_CHECKING:
    from collections.abc import Iterator
    from io import BufferedRandom
    from pathlib import Path

    from frumious.config.settings import Config

_PROGRESS: Final = "progress.json"
_CATALOGUE: Final = "catalogue.ndjson"
BUILDS: Final = "builds.json"  # the list of builds at the beginning of the export

_Position = tuple[Number, Count]


class Progress(Struct, kw_only=True):
    """How much of a bundle is on the disk."""

    source: Id
    salt: Id
    id: Id
    sequence: Number
    previous: Id | None
    since: Serial
    serial: Serial
    created: Seconds
    volume_size: Count
    projects: tuple[ProjectName, ...] | None
    after: Annotated[str, Meta(max_length=300)] = ""  # the last project
    files: _Position = (1, 0)  # volume and position in it
    pages: _Position = (1, 0)
    manifest: Count = 0  # bytes
    catalogue: Count = 0  # bytes
    uploaded: list[Volume] = []
    site: Line = Line()
    build: Annotated[str, Meta(max_length=1024)] = ""  # the last build of Python
    has_builds: bool = False  # all of them, and their list is in `site`
    changed: Count = 0
    removed: Count = 0
    objects: Count = 0
    bytes: Count = 0
    skipped: dict[str, str] = {}

    @property
    def name(self) -> str:
        """The bundle's name."""
        return bundle_name(self.sequence, self.since, self.serial)


class Work:
    """The open files of a bundle."""

    def __init__(self, folder: Path, progress: Progress) -> None:
        self.folder = folder
        self.progress = progress
        self.listed: dict[str, Listed] = {}  # of named projects
        limit = progress.volume_size
        self.files = VolumeWriter(folder, "files", limit, *progress.files)
        self.pages = VolumeWriter(folder, "pages", limit, *progress.pages)
        self.manifest = _open(folder / MANIFEST, progress.manifest)
        self.catalogue_file = _open(folder / _CATALOGUE, progress.catalogue)
        is_new = not progress.catalogue
        head = CatalogueHead(progress.source, progress.salt) if is_new else None
        self.catalogue = CatalogueWriter(self.catalogue_file, head)

    async def checkpoint(self, destination: str, config: Config) -> None:
        """Keep what is on the disk, and let finished volumes go to a bucket."""
        for file in (self.manifest, self.catalogue_file):
            file.flush()
            os.fsync(file.fileno())
        for volumes in (self.files, self.pages):
            volumes.flush()
        progress = self.progress
        progress.files = (self.files.number, self.files.position)
        progress.pages = (self.pages.number, self.pages.position)
        progress.manifest = self.manifest.tell()
        progress.catalogue = self.catalogue_file.tell()
        if locations.is_bucket(destination):
            await self._upload(destination, config)
        _write(self.folder / _PROGRESS, msgspec.json.encode(progress))

    async def _upload(self, destination: str, config: Config) -> None:
        for kind, writer in (("files", self.files), ("pages", self.pages)):
            for number in range(1, writer.number):
                path = self.folder / volume_name(kind, number)
                if not path.exists():
                    continue
                await locations.upload(path, self.progress.name, destination, config)
                if path.name not in {volume.name for volume in self.progress.uploaded}:
                    self.progress.uploaded.append(Volume(path.name, path.stat().st_size))
                _write(self.folder / _PROGRESS, msgspec.json.encode(self.progress))
                path.unlink()

    def end_volumes(self) -> tuple[Volume, ...]:
        """End the last volumes; return all."""
        self.files.close()
        self.pages.close()
        local = sorted(self.folder.glob("*.tar"))
        return (
            *self.progress.uploaded,
            *(Volume(path.name, path.stat().st_size) for path in local),
        )

    def close(self) -> None:
        """Close all files as they are."""
        for file in (self.manifest, self.catalogue_file):
            file.close()
        for volumes in (self.files, self.pages):
            volumes.abandon()


def read_progress(folder: Path) -> Progress | None:
    """Return how far an earlier export got; None: there is none that can be continued."""
    with suppress(FileNotFoundError, ValueError):
        return msgspec.json.decode((folder / _PROGRESS).read_bytes(), type=Progress)
    return None


def read_builds(folder: Path) -> bytes | None:
    """Return the list of builds of Python that is exported; None: there is none."""
    with suppress(FileNotFoundError):
        return (folder / BUILDS).read_bytes()
    return None


def clear(folder: Path) -> None:
    """Make an empty work folder."""
    with suppress(FileNotFoundError):
        shutil.rmtree(folder)
    folder.mkdir(parents=True)


def remove_private(folder: Path) -> None:
    """Remove what is not part of the bundle."""
    for name in (_PROGRESS, _CATALOGUE, BUILDS):
        (folder / name).unlink(missing_ok=True)


@contextmanager
def exclusive(folder: Path) -> Iterator[None]:
    """Keep other exports to the same destination away.

    Raises:
        NotExported: there is one.
    """
    folder.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(f"{folder}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError as error:
        msg = f"another export works in {str(folder)!r}; try again when it has finished"
        raise NotExported(msg) from error
    finally:
        os.close(descriptor)


def _open(path: Path, size: int) -> BufferedRandom:
    path.touch()
    file = path.open("r+b")
    file.truncate(size)
    file.seek(size)
    return file


def _write(path: Path, body: bytes) -> None:
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as file:
        file.write(body)
        file.flush()
        os.fsync(file.fileno())
    temporary.rename(path)
