"""What belongs to a file: its bytes, its core metadata, its provenance.

Where each of them lies here, where upstream has it, and what it has to be. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from frumious.model import layout
from frumious.model.checksums import ExpectedContent

if TYPE_CHECKING:
    from collections.abc import Iterator

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key

_LARGEST_METADATA: Final = 16 * 1024**2  # bytes; upstream does not say how many there are


@dataclass(frozen=True, slots=True, kw_only=True)
class Blob:
    """Something to store: a file, its core metadata, or its provenance."""

    key: Key
    url: str  # upstream's
    expected: ExpectedContent | None  # None: nothing says what it has to be (provenance)


def blobs(project: NormalizedName, file: File) -> Iterator[Blob]:
    """Give what is to be stored of a file.

    Raises:
        UnsafeName: it has no place here.
    """
    key = layout.file_key(file)
    yield Blob(key=key, url=file.url, expected=_expected(file, key))
    if not isinstance(file.core_metadata, bool):
        yield Blob(
            key=layout.metadata_key(key),
            url=_metadata_url(file.url),
            expected=ExpectedContent.of(file.core_metadata, max_size=_LARGEST_METADATA),
        )
    if file.provenance is not None:
        yield Blob(key=layout.provenance_key(project, file), url=file.provenance, expected=None)


def stored_files(page: ProjectPage) -> tuple[File, ...]:
    """Return the files of a page of the mirror's that are here: all, or none of them."""
    publication = page.publication
    return page.files if publication is None or publication.stored else ()


def stored_keys(project: NormalizedName, page: ProjectPage) -> tuple[Key, ...]:
    """Return the keys of everything that a page of the mirror's names and the mirror has."""
    return tuple(blob.key for file in stored_files(page) for blob in blobs(project, file))


def link_to(file: File, key: Key, config: Config) -> str:
    """Return where readers get a file; without files of its own the mirror leads elsewhere."""
    if config.release_files or config.root_uri:
        return layout.file_url(key, config.root_uri)
    return file.url


def _expected(file: File, key: Key) -> ExpectedContent:
    """Return what a file has to be: what its page promises, and what its place does."""
    expected = ExpectedContent.of(file.hashes, file.size)
    promised = layout.digest_in(key)
    if promised is None or promised == expected.digest:
        return expected
    return replace(expected, blake2b_256=promised)


def _metadata_url(url: str) -> str:
    """Return where upstream has a file's core metadata: beside it, whatever query is asked."""
    parts = urlsplit(url)
    return parts._replace(path=f"{parts.path}.metadata").geturl()
