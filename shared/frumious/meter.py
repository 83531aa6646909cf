"""What the transfers of a process have moved, in numbers that a progress bar reads."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec import field

from frumious.value import Mutable

if TYPE_CHECKING:
    from packaging.utils import NormalizedName


class Stored(NamedTuple):
    """What a process has stored of a project."""

    files: int = 0  # of releases
    bytes_: int = 0


class Meter(Mutable):
    """Counts bytes as they pass, and files as they are stored.

    Attributes:
        expected: The bytes of all files that were planned to be stored, where upstream says them.
        transferred: The bytes of these that have passed so far.
        begun: How many projects have planned their files.
    """

    expected: int = 0
    transferred: int = 0
    begun: int = 0
    _stored: dict[NormalizedName, Stored] = field(default_factory=dict)

    def count(self, project: NormalizedName, size: int) -> None:
        """Count a file that was stored."""
        before = self._stored.get(project, Stored())
        self._stored[project] = Stored(before.files + 1, before.bytes_ + size)

    def take(self, project: NormalizedName) -> Stored:
        """Return what was stored of a project, and forget it."""
        return self._stored.pop(project, Stored())
