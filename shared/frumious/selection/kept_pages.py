"""What a snapshot shows of a project whose page it keeps. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.pages import ProjectPage
from frumious.model.snapshots import kept_page_key
from frumious.selection.subject import NO_CONTEXT, Subject
from frumious.simple import parse_json
from frumious.simple.values import InvalidPage, InvalidValue, check_name

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.model.snapshots import KeptPage
    from frumious.model.types import Key


def kept_page(snapshot: str, project: NormalizedName, kept: KeptPage) -> ProjectPage | None:
    """Return the page that a snapshot keeps, withheld files included; None: there was none.

    Raises:
        InvalidPage, UnsafeName: it is not a page of the project's.
    """
    if kept.page is None:
        return None
    key = kept_page_key(snapshot, project)
    page = parse_json.manifest(msgspec.json.encode(kept.page), key)
    try:
        check_name(page.name, project)
    except InvalidValue as error:
        msg = f"{key!r} is damaged: {error}"
        raise InvalidPage(msg) from error
    mirrored_files(project, page)
    return page


def shown_page(
    project: NormalizedName, page: ProjectPage | None, withheld: Collection[str]
) -> ProjectPage:
    """Return what readers of the snapshot get: a page without files where there was none."""
    if page is None:
        return ProjectPage(name=project)
    return Subject.of(project, page, NO_CONTEXT).without(withheld).page if withheld else page


def shown_keys(
    project: NormalizedName, page: ProjectPage | None, withheld: Collection[str]
) -> frozenset[Key]:
    """Return the keys of all that the snapshot shows: it has to stay in the storage."""
    return keys_of(mirrored_files(project, shown_page(project, page, withheld)))
