"""The base classes of all errors. The module that raises an error defines its class."""

from __future__ import annotations

from enum import StrEnum
from typing import ClassVar, Final

from frumious.redaction import redact

_MAX_DETAILS: Final = 4000  # characters of a reason: results and lagging projects keep it


class Reason(StrEnum):
    """Why a project or file is not up to date, as the public may know it.

    Everybody can read the mirror's status and pages. Details, which may quote addresses and
    responses of a private upstream, are only in state and logs.
    """

    UPSTREAM_UNAVAILABLE = "upstream did not respond"
    UPSTREAM_STALE = "upstream's page is older than its changelog"
    UPSTREAM_REGRESSED = "upstream's serials went back, or it is another index than before"
    ANOTHER_UPSTREAM = "the mirror follows another index than 'master' in mirror.conf"
    UPSTREAM_INVALID = "upstream's response is not valid"
    FILE_MISSING = "upstream lists a file that it does not serve"
    FILE_DIFFERS = "a file differs from what upstream's page promises"
    FILE_CHANGED = "upstream changed a published file"
    FILES_LOST = "upstream lost most of the files"
    LOSSES_STOPPED = "upstream removed more files of all projects than max-losses permits"
    UNVERIFIED = "a file's attestations are not verified"
    NOTHING_SELECTED = "the configuration selects none of the files"
    PRIVATE_INVALID = "a private file cannot be published"
    ADDRESS_REFUSED = "upstream's address is not allowed"
    STORAGE = "the mirror's storage failed"
    STORAGE_FULL = "the mirror's storage is full"
    MIRROR_FULL = "the mirror has reached max-mirror-size"
    NO_RESULT = "the mirror ran out of time or crashed"
    OTHER = "the mirror failed; its log says why"

    def explain(self, text: str) -> str:
        """Return the reason with its details, which are not public."""
        return f"{self}: {redact(text):.{_MAX_DETAILS}}"

    @classmethod
    def public(cls, text: str) -> Reason:
        """Return the reason that a text of `explain` begins with; OTHER for other texts."""
        return next((reason for reason in cls if text.startswith(f"{reason}:")), cls.OTHER)


def explain(error: Exception) -> str:
    """Return the reason for an error with its details, which are not public."""
    if isinstance(error, FrumiousError):
        return error.reason.explain(str(error))
    return Reason.OTHER.explain(repr(error))


class FrumiousError(Exception):
    """Base of all expected errors; the text says what failed and what to do, without secrets."""

    reason: ClassVar[Reason] = Reason.OTHER

    def __init__(self, text: str = "") -> None:
        super().__init__(redact(text))


class Retryable(FrumiousError):
    """An error that is likely to pass by itself, so that a retry may succeed.

    `retry_after` is the number of seconds that the server requested to wait, if it did.
    """

    def __init__(self, text: str, *, retry_after: float | None = None) -> None:
        super().__init__(text)
        self.retry_after = retry_after
