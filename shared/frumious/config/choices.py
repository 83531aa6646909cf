"""The values of options that are a choice."""

from __future__ import annotations

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
