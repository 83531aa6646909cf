"""The protocol of a storage: keys, bytes and etags; no path objects."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Final, Protocol

from frumious.errors import FrumiousError, Reason, Retryable
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Collection

    from frumious.model.checksums import FileStream
    from frumious.model.headers import Headers
    from frumious.model.types import Key


# A server may take that many times `timeout` to respond to what it has received: it may be
# assembling a large object, which AWS says can take minutes (API page of CompleteMultipartUpload).
RESPONSE_TIMEOUTS: Final = 6

CHUNK: Final = 1024**2  # bytes of a chunk of `Storage.stream`

_DELETED_AT_ONCE: Final = 1000  # objects, as many as one request to S3 takes


class StorageUnavailable(Retryable):
    """The storage did not respond, or refused for now; a retry may succeed."""

    reason = Reason.STORAGE


class StorageRefused(FrumiousError):
    """The storage refuses the request; a retry cannot succeed."""

    reason = Reason.STORAGE


class StorageFull(StorageRefused):
    """The storage has no space left; the next run tries at once: there may be some."""

    reason = Reason.STORAGE_FULL


class ObjectRefused(StorageRefused):
    """The storage refuses this object for its size or its name; it may take others."""


class Conflict(Retryable):
    """Another writer has changed the object since it was read."""

    reason = Reason.STORAGE


_TEMPORARY = frozenset(
    {
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)
_OBJECT_REFUSED = frozenset({HTTPStatus.REQUEST_ENTITY_TOO_LARGE, HTTPStatus.REQUEST_URI_TOO_LONG})


def refusal(status: int, text: str) -> StorageUnavailable | StorageRefused:
    """Return the error for an HTTP status: temporary for 5xx, 429, 408 and some redirects."""
    if status in _TEMPORARY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StorageUnavailable(text)
    if status in _OBJECT_REFUSED:
        return ObjectRefused(text)
    return StorageRefused(text)


class Stored(Value, frozen=True):
    """An object that was read."""

    body: bytes
    etag: str  # differs after every write of other bytes
    headers: Headers | None = None  # None: the storage keeps none


class Head(Value, frozen=True):
    """An object's metadata."""

    size: int
    etag: str  # as in Stored
    sha256: str | None = None  # hexadecimal; None: unknown
    headers: Headers | None = None  # as in Stored


class Opened(Value, frozen=True):
    """An object that is being read; the caller closes the chunks."""

    chunks: AsyncGenerator[bytes, None]  # of some MiB
    headers: Headers | None = None  # as in Stored


class Entry(Value, frozen=True):
    """An object in a listing. What a storage's listing does not contain is None."""

    key: Key
    size: int  # bytes
    modified: float | None = None  # seconds since the epoch
    etag: str | None = None  # on many servers the content's MD5; not always that of Stored
    content_type: str | None = None

    def has_md5(self, digits: str) -> bool:
        """Return whether the listing says that the content has this MD5, or one that begins so."""
        return (self.etag or "").strip('"').startswith(digits)


async def join_chunks(chunks: AsyncIterator[bytes], size: int) -> AsyncIterator[bytes]:
    """Join and split chunks into parts of `size` bytes, and a last one that may be smaller."""
    pending: list[bytes] = []
    missing = size
    async for chunk in chunks:
        rest = chunk
        while len(rest) > missing:
            yield b"".join((*pending, rest[:missing]))
            pending, rest, missing = [], rest[missing:], size
        pending.append(rest)
        missing -= len(rest)
    yield b"".join(pending)


async def delete_all(prefix: str, storage: Storage) -> None:
    """Delete all objects with a prefix."""
    keys: list[Key] = []
    async for entry in storage.list(prefix):
        keys.append(entry.key)
        if len(keys) == _DELETED_AT_ONCE:
            await storage.delete(keys)
            keys = []
    if keys:
        await storage.delete(keys)


class Storage(Protocol):
    """The storage of one mirror. Every method may raise StorageUnavailable or StorageRefused.

    Where the storage itself has no conditional writes, only writers of one process get a Conflict.
    """

    def pop_request_count(self) -> int:
        """Return how many requests were made since the last call."""

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; return None if it does not exist."""

    async def head(self, key: Key) -> Head | None:
        """Read an object's metadata; return None if it does not exist."""

    async def stream(self, key: Key) -> Opened | None:
        """Open an object to read it as chunks; return None if it does not exist."""

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object and return its new etag.

        With `replacing`, write only if the object still has that etag.

        Raises:
            Conflict: the object has changed or was deleted.
        """

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object that does not exist yet, and return its etag.

        Raises:
            Conflict: it exists.
        """

    async def store(self, key: Key, stream: FileStream) -> None:
        """Write a file as its chunks arrive, once they are verified.

        The errors of its chunks are raised here, and then nothing has been stored. The caller
        closes them; nothing reads from them after this method has returned or raised.

        Raises:
            WrongBytes: the chunks are not what is expected.
        """

    def list(self, prefix: str, *, after: str = "") -> AsyncGenerator[Entry, None]:
        """Yield the objects with a prefix and a key above `after`, in the order of UTF-8."""

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects; ignore those that do not exist."""

    async def server_time(self) -> float | None:
        """Return the time of the storage's server, in seconds since the epoch; None: unknown."""

    async def remove_leftovers(self) -> int:
        """Remove what killed processes left unfinished; return how many objects that were."""
