"""The values of options that are a choice, or have two parts."""

from __future__ import annotations

import math
from enum import StrEnum

from frumious.model.losses import Loss
from frumious.value import Value


class Backend(StrEnum):
    """Kinds of storage (`storage-backend`)."""

    FILESYSTEM = "filesystem"
    S3 = "s3"
    SWIFT = "swift"


class SimpleFormat(StrEnum):
    """Formats in which pages of the Simple API are published (`simple-format`)."""

    ALL = "ALL"
    HTML = "HTML"
    JSON = "JSON"


class CompareMethod(StrEnum):
    """How a stored file is compared with upstream's (`compare-method`)."""

    HASH = "hash"
    STAT = "stat"  # size and upload time


class Removals(Value, frozen=True):
    """How many projects one run may remove without confirmation.

    `number` serves takedowns in small mirrors, which must not wait: it counts only for removals
    that upstream's changelog announces, and never for more than half of the mirror.
    """

    share: float = 0.05  # of the mirror's projects
    number: int = 10

    @property
    def is_unlimited(self) -> bool:
        """Whether no removal has to be confirmed."""
        return self.share == 1

    def unannounced(self, projects: int) -> int:
        """Return how many of a mirror's projects may go without an event; one of a small mirror."""
        return math.ceil(round(projects * self.share, 6))

    def announced(self, projects: int) -> int:
        """Return how many of a mirror's projects may go by upstream's own events."""
        half = (projects + 1) // 2
        return max(self.unannounced(projects), min(self.number, half))


class LossLimit(Value, frozen=True):
    """How much upstream may take away of all projects within a day without confirmation."""

    share: float = 0.05  # of the mirror's files, and of their bytes
    files: int = 1000  # if that is more
    bytes_: int = 10 * 1024**3  # the same

    def of(self, totals: Loss) -> Loss:
        """Return the limit of a mirror that has so many files and bytes."""
        return Loss(
            max(self.files, int(totals.files * self.share)),
            max(self.bytes_, int(totals.bytes_ * self.share)),
        )
