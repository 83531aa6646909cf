"""What belongs to a file: its bytes, its core metadata, its provenance.

Where the mirror stores each of them, where upstream has it, and what it must be. Pure.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec.structs import replace

from frumious.model import layout
from frumious.model.checksums import DIGEST_LENGTHS, WEAK_HASHES, ExpectedContent, strong_hashes
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key

_MAX_METADATA: Final = 16 * 1024**2  # bytes; upstream does not publish the size


class Blob(Value, frozen=True, kw_only=True):
    """Something to store: a file, its core metadata, or its provenance."""

    key: Key
    url: str  # upstream's
    expected: ExpectedContent | None  # None: nothing says what it must be (provenance)


class MirroredFile(Value, frozen=True):
    """A file of a project page, with the keys that are worked out once for a job."""

    file: File
    key: Key  # of the file itself
    blobs: tuple[Blob, ...]  # the file first

    @classmethod
    def of(cls, project: NormalizedName, file: File, key: Key | None = None) -> MirroredFile:
        """Work out what is to be stored of a file; `key` is where it is, if it is stored.

        Raises:
            UnsafeName: its name or address must not become a key.
        """
        key = layout.file_key(file) if key is None else key
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

    @property
    def metadata_digest(self) -> str:
        """The digest by which its core metadata is verified; empty without any."""
        known = self.file.core_metadata
        return "" if isinstance(known, bool) else ExpectedContent.of(known).digest

    def with_sha256(self, computed: Mapping[Key, str]) -> MirroredFile:
        """Return the same, with the sha256 computed of what is at its keys, where that is known."""
        file = self.file
        if self.key in computed:
            file = replace(file, hashes={**file.hashes, "sha256": computed[self.key]})
        if not isinstance(file.core_metadata, bool) and self.metadata_key in computed:
            metadata = {**file.core_metadata, "sha256": computed[self.metadata_key]}
            file = replace(file, core_metadata=metadata)
        return replace(self, file=file)

    def with_stored_sha256(self, project: NormalizedName, stored: File) -> MirroredFile:
        """Return the same, with the sha256 that the mirror computed when it stored the file."""
        hashes = _with_sha256(self.file.hashes, stored.hashes)
        core_metadata = self.file.core_metadata
        if not isinstance(core_metadata, bool) and not isinstance(stored.core_metadata, bool):
            core_metadata = _with_sha256(core_metadata, stored.core_metadata)
        if (hashes, core_metadata) == (self.file.hashes, self.file.core_metadata):
            return self
        file = replace(self.file, hashes=hashes, core_metadata=core_metadata)
        return MirroredFile.of(project, file, self.key)

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


def mirrored_files(project: NormalizedName, page: ProjectPage | None) -> tuple[MirroredFile, ...]:
    """Return the files of the mirror's page that are stored: all of them, or none."""
    if page is None or (page.publication is not None and not page.publication.stored):
        return ()
    return tuple(MirroredFile.of(project, file, layout.stored_key(file)) for file in page.files)


def readable_files(
    project: NormalizedName, page: ProjectPage | None
) -> tuple[MirroredFile, ...] | None:
    """Return the files of the mirror's page as `mirrored_files` does; None: the page is damaged."""
    try:
        return mirrored_files(project, page)
    except (layout.UnsafeName, ValueError):
        return None


def known_hashes(files: Iterable[File]) -> dict[str, Mapping[str, str]]:
    """Return the hashes of files and of their core metadata, by the names under which they are."""
    hashes: dict[str, Mapping[str, str]] = {}
    for file in files:
        hashes[file.filename] = file.hashes
        if not isinstance(file.core_metadata, bool):
            hashes[metadata_name(file)] = file.core_metadata
    return hashes


def metadata_name(file: File) -> str:
    """Return the name of a file's core metadata."""
    return f"{file.filename}.metadata"


def keys_of(files: Iterable[MirroredFile]) -> frozenset[Key]:
    """Return the keys of everything that the files consist of."""
    return frozenset(blob.key for file in files for blob in file.blobs)


def same_bytes(hashes: Mapping[str, str], stored: Mapping[str, str]) -> bool:
    """Return whether the hashes prove that bytes are those of a stored file.

    At least one hash is in both. It is a strong one, unless one of them has weak ones alone.
    """
    common = hashes.keys() & stored.keys() & DIGEST_LENGTHS.keys()
    if any(hashes[name] != stored[name] for name in common):
        return False
    both_strong = strong_hashes(hashes) and strong_hashes(stored)
    return bool(common - WEAK_HASHES if both_strong else common)


def _with_sha256(hashes: Mapping[str, str], stored: Mapping[str, str]) -> Mapping[str, str]:
    if "sha256" in hashes or "sha256" not in stored or not same_bytes(hashes, stored):
        return hashes
    return {**hashes, "sha256": stored["sha256"]}


def _expected(file: File, key: Key) -> ExpectedContent:
    """Return what a file must be: what its page promises, and what its key does."""
    expected = ExpectedContent.of(file.hashes, file.size)
    promised = layout.digest_in(key)
    if promised is None or promised in file.hashes.values():
        return expected
    return replace(expected, blake2b_256=promised)


def _metadata_url(url: str) -> str:
    """Return where upstream has a file's core metadata: next to it, with the same query."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path}.metadata").geturl()
