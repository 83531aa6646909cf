"""Deletes files that no page needs any more."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name, is_normalized_name

from frumious.model import layout
from frumious.selection.selection import project_of
from frumious.syncing.blobs import keys_of, mirrored_files

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from frumious.model.types import Key
    from frumious.state.page_store import PageStore


async def delete_files(project: NormalizedName, keys: Collection[Key], pages: PageStore) -> None:
    """Delete files that the project's page does not name any more.

    A file that by its name belongs to another project stays if that project's page names it too.
    """
    needed: set[Key] = set()
    for owner, foreign in _foreign_keys(project, keys).items():
        manifest = await pages.read_manifest(owner)
        if manifest is not None:
            needed |= foreign & keys_of(mirrored_files(owner, manifest.page))
    await pages.storage.delete([key for key in keys if key not in needed])


def _foreign_keys(
    project: NormalizedName, keys: Collection[Key]
) -> Mapping[NormalizedName, set[Key]]:
    """Group the keys whose filenames say that they belong to other projects."""
    foreign: defaultdict[NormalizedName, set[Key]] = defaultdict(set)
    for key in keys:
        owner = project_of(layout.filename(key).removesuffix(".metadata"))
        if owner is not None and owner != project and is_normalized_name(owner):
            foreign[canonicalize_name(owner)].add(key)
    return foreign
