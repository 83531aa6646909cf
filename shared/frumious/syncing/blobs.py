"""What belongs to a file: its bytes, its core metadata, its provenance.

Where the mirror stores each of them, where upstream has it, and what it must be. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from frumious.model import layout
from frumious.model.checksums import ExpectedContent

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key

_MAX_METADATA: Final = 16 * 1024**2  # bytes; upstream does not publish the size


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Something to store: a file, its core metadata, or its provenance."""

    key: Key
    url: str  # upstream's
    expected: ExpectedContent | None  # None: nothing says what it must be (provenance)


@dataclass(frozen=True, slots=True)
class MirroredFile:
    """A file of a project page, with the keys that are worked out once for a job."""

    file: File
    key: Key  # of the file itself
    blobs: tuple[Blob, ...]  # the file first

    @classmethod
    def of(cls, project: NormalizedName, file: File) -> MirroredFile:
        """Work out what is to be stored of a file.

        Raises:
            UnsafeName: its name or address must not become a key.
        """
        key = layout.file_key(file)
        blobs = [Blob(key=key, url=file.url, expected=_expected(file, key))]
        if not isinstance(file.core_metadata, bool):
            metadata = ExpectedContent.of(file.core_metadata, max_size=_MAX_METADATA)
            metadata_url = _metadata_url(file.url)
            blobs.append(Blob(key=layout.metadata_key(key), url=metadata_url, expected=metadata))
        if file.provenance is not None:
            provenance_key = layout.provenance_key(project, file)
            blobs.append(Blob(key=provenance_key, url=file.provenance, expected=None))
        return cls(file, key, tuple(blobs))

    @property
    def metadata_key(self) -> Key:
        """Where the file's core metadata is stored, if it is."""
        return layout.metadata_key(self.key)

    def showing(self, file: File) -> MirroredFile:
        """Return the same with another description, which has no more than this one has."""
        dropped = {
            blob.key
            for blob in self.blobs[1:]
            if (file.core_metadata is False and blob.key == self.metadata_key)
            or (file.provenance is None and blob.expected is None)
        }
        blobs = tuple(blob for blob in self.blobs if blob.key not in dropped)
        return MirroredFile(file, self.key, blobs)


@dataclass(frozen=True, slots=True)
class CurrentPage:
    """A project page of the mirror's; None: it has none."""

    page: ProjectPage | None
    files: tuple[MirroredFile, ...]  # that are stored

    @classmethod
    def of(cls, project: NormalizedName, page: ProjectPage | None) -> CurrentPage:
        """Work out what is stored of a page."""
        return cls(page, mirrored_files(project, page))

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the configuration that shaped the page; None: unknown."""
        publication = self.page.publication if self.page is not None else None
        return publication.selection if publication is not None else None


def mirrored_files(project: NormalizedName, page: ProjectPage | None) -> tuple[MirroredFile, ...]:
    """Return the files of the mirror's page that are stored: all of them, or none."""
    if page is None or (page.publication is not None and not page.publication.stored):
        return ()
    return tuple(MirroredFile.of(project, file) for file in page.files)


def keys_of(files: Iterable[MirroredFile]) -> frozenset[Key]:
    """Return the keys of everything that the files consist of."""
    return frozenset(blob.key for file in files for blob in file.blobs)


def _expected(file: File, key: Key) -> ExpectedContent:
    """Return what a file must be: what its page promises, and what its key does."""
    expected = ExpectedContent.of(file.hashes, file.size)
    promised = layout.digest_in(key)
    if promised is None or promised == expected.digest:
        return expected
    return replace(expected, blake2b_256=promised)


def _metadata_url(url: str) -> str:
    """Return where upstream has a file's core metadata: beside it, with the same query."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path}.metadata").geturl()
