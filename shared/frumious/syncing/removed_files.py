"""The hashes of files that the mirror has had: such a file comes back with the same bytes only.

They are kept when a page stops naming a file. The page says whether there are any, so that most
jobs need no request for them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from msgspec import Struct

from frumious.model import layout
from frumious.state.ledger import parse, render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage
    from frumious.syncing.blobs import MirroredFile


class RemovedFiles(Struct, frozen=True):
    """What is kept of the files that a project's page named once."""

    hashes: Mapping[str, Mapping[str, str]]  # filename -> algorithm -> digest


async def read_removed_hashes(
    project: NormalizedName, storage: Storage
) -> Mapping[str, Mapping[str, str]]:
    """Return the hashes of the project's removed files by filename."""
    key = layout.removed_files(project)
    stored = await storage.read(key)
    return {} if stored is None else parse(key, stored, RemovedFiles).hashes


async def keep_hashes(
    project: NormalizedName, files: Iterable[MirroredFile], storage: Storage
) -> None:
    """Keep the hashes of files that the project's page is about to stop naming.

    Raises:
        Conflict: another job keeps some too.
    """
    removed = {
        each.file.filename: each.file.hashes
        for each in files
        if not layout.may_change(each.file.filename)
    }
    if not removed:
        return
    key = layout.removed_files(project)
    stored = await storage.read(key)
    if stored is None:
        await storage.create(key, render(RemovedFiles(removed)))
        return
    before = parse(key, stored, RemovedFiles).hashes
    if not removed.items() <= before.items():
        await storage.write(key, render(RemovedFiles({**before, **removed})), replacing=stored.etag)
