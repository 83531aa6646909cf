"""What is wrong with what people ask of snapshots."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from frumious.errors import FrumiousError
from frumious.model.snapshots import LIVE, SNAPSHOT_NAME

if TYPE_CHECKING:
    from frumious.model.snapshots import Snapshot, Snapshots

_SHOWN: Final = 20  # names


class SnapshotError(FrumiousError):
    """A snapshot cannot be made, found, deleted or given to readers."""


def check_name(name: str) -> None:
    """Check that a new snapshot may have a name.

    Raises:
        SnapshotError: it may not.
    """
    if name == LIVE:
        msg = f"{LIVE!r} names the live index; take another name"
    elif re.fullmatch(SNAPSHOT_NAME, name) is None:
        msg = (
            f"{name!r:.100} is not allowed as a name: up to 63 of a-z, 0-9, '.', '_' and '-' are,"
            " with a letter or a digit at both ends"
        )
    else:
        return
    raise SnapshotError(msg)


def find(name: str, known: Snapshots) -> Snapshot:
    """Return the snapshot of a name.

    Raises:
        SnapshotError: there is none.
    """
    found = known.snapshots.get(name)
    if found is not None:
        return found
    names = sorted(known.snapshots)
    listed = ", ".join(names[:_SHOWN]) + (", ..." if len(names) > _SHOWN else "")
    known_names = f"known are {listed}" if names else "there is none yet"
    msg = f"there is no snapshot {name!r:.100}: {known_names}"
    raise SnapshotError(msg)
