"""Parser of the pages that snapshots keep, and what they show of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.snapshots import kept_page_key
from frumious.simple import parse_json
from frumious.simple.values import InvalidPage, InvalidValue, check_name

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.pages import ProjectPage
    from frumious.model.snapshots import KeptPage
    from frumious.model.types import Key


def parse(snapshot: str, project: NormalizedName, kept: KeptPage) -> ProjectPage | None:
    """Return the page that a snapshot keeps, withheld files included; None: there was none.

    Raises:
        InvalidPage: it is not a page of the project's.
        UnsafeName: a file on it has a name or an address that must not become a key.
    """
    if kept.page is None:
        return None
    key = kept_page_key(snapshot, project)
    page = parse_json.manifest(msgspec.json.encode(kept.page), key)
    try:
        check_name(page.name, project)
        mirrored_files(project, page)
    except (InvalidValue, ValueError) as error:
        msg = f"{key!r} is damaged: {error}"
        raise InvalidPage(msg) from error
    return page


def shown_keys(snapshot: str, project: NormalizedName, kept: KeptPage) -> frozenset[Key]:
    """Return the keys of all that a snapshot shows: it has to stay in the storage.

    Raises:
        InvalidPage, UnsafeName: as `parse`.
    """
    files = mirrored_files(project, parse(snapshot, project, kept))
    return keys_of(each for each in files if each.file.filename not in kept.withheld)
