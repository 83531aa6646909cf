"""Where the index without the cooldown (`[cooldown] simple-all`) keeps what is its own.

It has the layout of the live index below a prefix of its own: the pages of projects of which files
are held back, and these files. All else its readers get from the live index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from msgspec.structs import replace

from frumious.model import layout
from frumious.model.blobs import MirroredFile
from frumious.model.types import Key

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.pages import File, ProjectPage

# Live prefix -> that of the second index. Its pages have no compressed variants, which are deleted
# nevertheless wherever an earlier layout may have had some.
_PREFIXES: Final = {
    "web/simple/": layout.SIMPLE_ALL,
    layout.FILES: f"{layout.SIMPLE_ALL}packages/",
    layout.PROVENANCE: f"{layout.SIMPLE_ALL}integrity/",
    layout.GZIP_FOLDER: f"{layout.SIMPLE_ALL}gzip/",
    "state/": "state/simple-all/",
}


def stored_at(key: str) -> Key:
    """Return where the second index has what the live one has at a key, or below a prefix.

    Raises:
        ValueError: it has no such objects.
    """
    for live, own in _PREFIXES.items():
        if key.startswith(live):
            return Key(own + key.removeprefix(live))
    msg = f"the index without the cooldown has nothing at {key!r}"
    raise ValueError(msg)


def has_own(file: File) -> bool:
    """Return whether a file on a page of the second index is one that the live index lacks."""
    return "/simple-all/packages/" in unquote(urlsplit(file.url).path)


def own_files(project: NormalizedName, page: ProjectPage | None) -> tuple[MirroredFile, ...]:
    """Return the files that a page of the second index has for itself, by the live index's keys.

    Raises:
        UnsafeName: the name or the address of a file must not become a key.
    """
    if page is None or (page.publication is not None and not page.publication.stored):
        return ()
    own = filter(has_own, page.files)
    return tuple(MirroredFile.of(project, file, layout.stored_key(file)) for file in own)


def linked(project: NormalizedName, file: File, root_uri: str, *, own: bool) -> File:
    """Return a file as a page of the second index shows it, with a link to where it is stored.

    Raises:
        UnsafeName: as `own_files`.
    """
    key = layout.stored_key(file)
    if not own:
        return replace(file, url=layout.file_url(key, root_uri))
    provenance = file.provenance
    if provenance is not None and root_uri:
        provenance_key = layout.provenance_key(project, file)
        provenance = layout.file_url(stored_at(provenance_key), root_uri)
    return replace(file, url=layout.file_url(stored_at(key), root_uri), provenance=provenance)


def as_published(project: NormalizedName, page: ProjectPage, root_uri: str) -> ProjectPage:
    """Return a page of the second index that was read as it was rendered.

    Raises:
        UnsafeName: as `own_files`.
    """
    if page.publication is not None and not page.publication.stored:
        return page
    files = (linked(project, file, root_uri, own=has_own(file)) for file in page.files)
    return replace(page, files=tuple(files))
