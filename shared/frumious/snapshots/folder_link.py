"""The link `web/rollback` of a mirror in a folder: to the snapshot that readers get as `/simple/`.

nginx (docs/serving/nginx.conf) and `frumious serve` look for a page behind it first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from frumious.model.snapshots import ROLLBACK, SNAPSHOT_NAME

if TYPE_CHECKING:
    from pathlib import Path

_TARGET: Final = re.compile(rf"snapshot/({SNAPSHOT_NAME})")


def linked_snapshot(folder: Path) -> str | None:
    """Return the snapshot that the link leads to; None: readers get the live index."""
    try:
        target = (folder / ROLLBACK).readlink()
    except OSError:
        return None
    match = _TARGET.fullmatch(str(target))
    return None if match is None else match[1]
