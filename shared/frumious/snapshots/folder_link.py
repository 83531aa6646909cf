"""The link `web/rollback` of a mirror in a folder: to the snapshot that readers get as `/simple/`.

nginx (docs/serving/nginx.conf) and `frumious serve` look for a page behind it first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from frumious.model.snapshots import ROLLBACK, SNAPSHOT_NAME, SNAPSHOT_PAGES
from frumious.storage.filesystem.atomic_write import flush_directory
from frumious.storage.filesystem.os_errors import storage_error

if TYPE_CHECKING:
    from pathlib import Path

_TEMPORARY: Final = ".frumious-0000000000000000.tmp"  # listings leave such names out
_TARGET: Final = re.compile(rf"snapshot/({SNAPSHOT_NAME})")


def linked_snapshot(folder: Path) -> str | None:
    """Return the snapshot that the link leads to; None: readers get the live index."""
    try:
        target = (folder / ROLLBACK).readlink()
    except OSError:
        return None
    match = _TARGET.fullmatch(str(target))
    return None if match is None else match[1]


def link_snapshot(folder: Path, snapshot: str | None) -> None:
    """Replace the link by one to a snapshot; None: remove it. Readers never find none in between.

    When it returns, the link has reached the disk.

    Raises:
        StorageRefused, StorageUnavailable: the file system does not permit it.
    """
    link = folder / ROLLBACK
    temporary = link.with_name(_TEMPORARY)
    try:
        if snapshot is None:
            link.unlink(missing_ok=True)
        else:
            temporary.unlink(missing_ok=True)  # of a process that was killed
            temporary.symlink_to(f"{SNAPSHOT_PAGES.removeprefix('web/')}{snapshot}")
            temporary.replace(link)
        flush_directory(link.parent)
    except OSError as error:
        raise storage_error(error, ROLLBACK, folder) from error
