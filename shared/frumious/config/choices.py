"""The values of options that are a choice, or have two parts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from frumious.model.losses import Loss


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


@dataclass(frozen=True, slots=True)
class Removals:
    """How many projects one run may remove without confirmation: the larger of the two."""

    share: float = 0.05  # of the mirror's projects
    number: int = 10


@dataclass(frozen=True, slots=True)
class LossLimit:
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
