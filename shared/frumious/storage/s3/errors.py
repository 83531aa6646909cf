"""What S3's error codes mean for the caller."""

from __future__ import annotations

from http import HTTPStatus
from typing import Final

from frumious.storage.protocol import (
    Conflict,
    ObjectRefused,
    StorageRefused,
    StorageUnavailable,
    refusal,
)

_CONFLICT: Final = frozenset({"PreconditionFailed", "ConditionalRequestConflict", "412", "409"})
_NOT_FOUND: Final = frozenset({"NoSuchKey", "NoSuchUpload", "404"})
# Temporary, although their status is 400, 403 or 409 ("Error responses" in the S3 API reference),
# or 200 for one of the objects of DeleteObjects.
_TEMPORARY: Final = frozenset(
    {
        "ExpiredToken",
        "IncompleteBody",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestTimeTooSkewed",
        "ServiceUnavailable",
        "SlowDown",
    }
)
_OBJECT_REFUSED: Final = frozenset({"EntityTooLarge", "KeyTooLongError"})


class NoSuchObject(Exception):
    """The object, or the multipart upload, does not exist."""


def error_for(status: int, code: str, text: str) -> Exception:
    """Return the error for a response of S3 with an error code, which may be empty."""
    if code in _CONFLICT:
        return Conflict(text)
    if code in _NOT_FOUND:
        return NoSuchObject(text)
    if code in _TEMPORARY or status == HTTPStatus.CONFLICT:
        return StorageUnavailable(text)
    if code in _OBJECT_REFUSED:
        return ObjectRefused(text)
    if status == HTTPStatus.NOT_IMPLEMENTED:
        return StorageRefused(text)
    return refusal(status, text)


def no_credentials(error: Exception) -> StorageUnavailable:
    """Return the error for credentials of a role that have expired and cannot be renewed."""
    return StorageUnavailable(f"cannot renew the AWS credentials: {error}")
