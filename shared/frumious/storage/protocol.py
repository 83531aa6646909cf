"""What the engine asks of a storage. No path objects: keys, bytes and version tags."""

from __future__ import annotations

from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol

from frumious.errors import FrumiousError, Retryable

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection

    from frumious.model.checksums import ExpectedContent
    from frumious.model.types import Key


class StorageUnavailable(Retryable):
    """The storage did not answer, or refused for now."""


class StorageRefused(FrumiousError):
    """The storage will not do it, however often it is asked."""


class Conflict(Retryable):
    """The object is no longer the one that was read: somebody else wrote in between."""


_TEMPORARY = frozenset(
    {
        HTTPStatus.FOUND,
        HTTPStatus.SEE_OTHER,
        HTTPStatus.TEMPORARY_REDIRECT,
        HTTPStatus.REQUEST_TIMEOUT,
        HTTPStatus.TOO_MANY_REQUESTS,
    }
)


def refusal(status: int, text: str) -> StorageUnavailable | StorageRefused:
    """Make the error for an HTTP status: 5xx, 429 and temporary redirects pass, others do not."""
    if status in _TEMPORARY or status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        return StorageUnavailable(text)
    return StorageRefused(text)


@dataclass(frozen=True, slots=True)
class Stored:
    """An object as it was read."""

    body: bytes
    etag: str  # changes with every write of other bytes


@dataclass(frozen=True, slots=True)
class Head:
    """What a storage tells of an object without its bytes."""

    size: int
    etag: str  # as in Stored
    sha256: str | None = None  # hexadecimal; None: the storage does not keep it


@dataclass(frozen=True, slots=True)
class Entry:
    """An object as a listing has it."""

    key: Key
    size: int  # bytes


@dataclass(frozen=True, slots=True)
class Guarantees:
    """What a storage sees to by itself; what it does not, the mirror has to make do without."""

    conditional_writes: bool  # of two writers who read the same, one gets a Conflict
    verified_uploads: bool  # bytes of another sha256 than promised are refused


class Storage(Protocol):
    """One mirror's storage.

    All methods raise StorageUnavailable, or StorageRefused, when the storage does.
    """

    @property
    def guarantees(self) -> Guarantees:
        """What can be relied on."""

    def pop_request_count(self) -> int:
        """Return how many requests were made since this was last asked."""

    async def read(self, key: Key) -> Stored | None:
        """Read a whole object; None when there is none."""

    async def head(self, key: Key) -> Head | None:
        """Ask what an object is; None when there is none."""

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:
        """Write an object whatever was there, or only over exactly what was read.

        `replacing` is the tag of what was read. Returns the new object's tag.

        Raises:
            Conflict: that is no longer what is there.
        """

    async def create(self, key: Key, body: bytes) -> str:
        """Write an object where none is, and return its tag.

        Raises:
            Conflict: there is one.
        """

    async def store(
        self, key: Key, chunks: AsyncIterator[bytes], expected: ExpectedContent
    ) -> None:
        """Write a file as its chunks arrive.

        `chunks` comes from `verify.verified` and raises before its end when the bytes are
        wrong; whatever it raises is raised here, and nothing has been stored then.
        """

    def list(self, prefix: str, *, after: str = "") -> AsyncIterator[Entry]:
        """Give what is below a prefix, in the order of the keys' UTF-8, from behind `after` on."""

    async def delete(self, keys: Collection[Key]) -> None:
        """Delete objects; those that are not there are no error."""

    async def remove_leftovers(self) -> int:
        """Remove what killed processes left unfinished and no key names; return how much it was."""
