"""The values of options that are a choice, or have two parts."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


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
