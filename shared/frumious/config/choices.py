"""The words that some options choose between."""

from __future__ import annotations

from enum import StrEnum


class Backend(StrEnum):
    """Where the mirror lies (`storage-backend`)."""

    FILESYSTEM = "filesystem"
    S3 = "s3"
    SWIFT = "swift"


class SimpleFormat(StrEnum):
    """Which forms of the Simple API's pages are written (`simple-format`)."""

    ALL = "ALL"
    HTML = "HTML"
    JSON = "JSON"


class CompareMethod(StrEnum):
    """How a file that is there is known to be the wanted one (`compare-method`)."""

    HASH = "hash"
    STAT = "stat"  # size and upload time
