"""What a mirror reports of itself: its status, its root index, and what it keeps for later."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import msgspec

from tests.faults.pages import V1_JSON
from tests.simulation.changes import PROJECTS
from tests.simulation.seen import listed

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.storage import Disk

STATUS = "status"
STATUS_JSON = "web/status.json"
CURSOR = "state/cursor.json"
LAGGING = "state/lagging.json"
SELECTION = "state/selection.json"
NAMED = "state/named.json"
_DIFF_FILES = (("mirrored-files", "added"), ("mirrored-files.removed", "removed"))
SNAPSHOTS = "state/snapshots.json"
ROOT = f"web/simple/{V1_JSON}"


class Reports:
    """Reads them from the storage."""

    def __init__(self, disk: Disk) -> None:
        self._disk = disk

    def listed(self) -> frozenset[str]:
        """Return the projects that the mirror's root index lists."""
        stored = self._disk.objects.get(ROOT)
        return frozenset() if stored is None else listed(stored.body)

    def lagging(self, reason: str = "") -> frozenset[str]:
        """Return the projects that the mirror reports as lagging, for a reason or for any."""
        stored = self._disk.objects.get(LAGGING)
        if stored is None:
            return frozenset()
        try:
            projects = msgspec.json.decode(stored.body)["projects"]
        except (msgspec.DecodeError, TypeError):  # it is damaged
            return frozenset(PROJECTS)
        lagging = projects.items()
        return frozenset(name for name, each in lagging if each["reason"].startswith(reason))

    def deleted(self) -> frozenset[str]:
        """Return the projects that somebody has deleted by name."""
        stored = self._disk.objects.get(NAMED)
        return (
            frozenset()
            if stored is None
            else frozenset(msgspec.json.decode(stored.body)["deleted"])
        )

    def open_runs(self) -> int:
        """Return how many runs are open."""
        stored = self._disk.objects.get(CURSOR)
        return 0 if stored is None else len(msgspec.json.decode(stored.body)["runs"])

    def serial(self) -> int:
        """Return the serial that the mirror claims."""
        stored = self._disk.objects.get(STATUS)
        return 0 if stored is None else int(stored.body)

    def unannounced(self) -> Iterator[tuple[str, bytes]]:
        """Yield what the finalizer of the next run writes into diff-files, as these have it.

        While no run is open, nobody reads the report of a job that is delivered once more.
        """
        for key, stored in self._disk.objects.items():
            if key.startswith("state/inbox/"):
                for report in msgspec.json.decode(stored.body)["reports"]:
                    for name, kind in _DIFF_FILES:
                        paths = (f"/mirror/{path}" for path in report["result"][kind])
                        yield name, "\n".join(paths).encode()

    def snapshots_known(self) -> dict[str, dict[str, Any]]:
        """Return what the mirror knows of snapshots, by name."""
        stored = self._disk.objects.get(SNAPSHOTS)
        if stored is None:
            return {}
        known: dict[str, dict[str, Any]] = msgspec.json.decode(stored.body)["snapshots"]
        return known
