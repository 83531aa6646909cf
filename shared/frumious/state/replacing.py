"""Objects that several processes change: each replaces them only as it read them."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct

from frumious.state.objects import read_or_raise, read_or_set_aside, render
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from frumious.model.types import Key
    from frumious.storage.protocol import Storage

T = TypeVar("T", bound=Struct)
U = TypeVar("U", bound=Struct | None)

ATTEMPTS: Final = 20


async def change_or_set_aside(
    key: Key, kind: type[T], change: Callable[[T], U], storage: Storage
) -> U:
    """Replace a state file by what `change` makes of it, however many do so at once.

    A missing or damaged one counts as `kind()`. If `change` returns None, the file stays as it is.

    Raises:
        Conflict: others replaced it again and again.
    """
    return await _change(key, kind, change, storage, read_or_set_aside)


async def change_or_raise(key: Key, kind: type[T], change: Callable[[T], U], storage: Storage) -> U:
    """Do the same where a damaged file must not be lost.

    Raises:
        LedgerCorrupt: it is damaged.
        Conflict: others replaced it again and again.
    """
    return await _change(key, kind, change, storage, read_or_raise)


async def _change(
    key: Key,
    kind: type[T],
    change: Callable[[T], U],
    storage: Storage,
    read: Callable[[Key, type[T], Storage], Awaitable[tuple[T | None, str | None]]],
) -> U:
    for _ in range(ATTEMPTS):
        found, etag = await read(key, kind, storage)
        before = found or kind()
        after = change(before)
        is_changed = after != before
        if after is None or not is_changed:
            return after
        with suppress(Conflict):
            await replace_object(key, render(after), etag, storage)
            return after
    raise too_many_conflicts(key)


async def replace_object(key: Key, body: bytes, etag: str | None, storage: Storage) -> str:
    """Write an object as it was read, and return its ETag; `etag` None: it was missing.

    Raises:
        Conflict: another process has written it since.
    """
    if etag is None:
        return await storage.create(key, body)
    return await storage.write(key, body, replacing=etag)


def too_many_conflicts(key: Key) -> Conflict:
    """Return the error of a process that others overtook at each attempt."""
    return Conflict(f"{key!r} was replaced by others {ATTEMPTS} times in a row")
