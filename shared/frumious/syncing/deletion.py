"""Deletes files that no page needs any more."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

from packaging.utils import NormalizedName, canonicalize_name, is_normalized_name

from frumious.model import layout
from frumious.selection.filenames import project_of
from frumious.state.manifest import read_manifest
from frumious.syncing.blobs import keys_of, mirrored_files

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from frumious.mirror import Mirror
    from frumious.model.types import Key


async def delete_files(project: NormalizedName, keys: Collection[Key], mirror: Mirror) -> None:
    """Delete files that the project's page does not name any more.

    A file that by its name belongs to another project stays if that project's page names it too.
    """
    needed: set[Key] = set()
    for owner, foreign in _foreign_keys(project, keys).items():
        manifest = await read_manifest(owner, mirror)
        if manifest is not None:
            needed |= foreign & keys_of(mirrored_files(owner, manifest.page))
    await mirror.storage.delete([key for key in keys if key not in needed])


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
