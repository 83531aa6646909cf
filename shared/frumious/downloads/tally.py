"""Counts of requests by any key, in memory that does not grow with the number of keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterator

    from frumious.downloads.fields import Request

_LIMIT: Final = 50_000  # keys in memory
_SEPARATOR: Final = "\x1f"  # no value contains it
_PARTIAL: Final = 206
_CREATE: Final = (
    "CREATE TABLE tally (key TEXT PRIMARY KEY, downloads INTEGER, partial INTEGER,"
    " bytes INTEGER, first INTEGER, last INTEGER) WITHOUT ROWID"
)
_ADD: Final = (
    "INSERT INTO tally VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (key) DO UPDATE SET"
    " downloads = downloads + excluded.downloads, partial = partial + excluded.partial,"
    " bytes = bytes + excluded.bytes, first = min(first, excluded.first),"
    " last = max(last, excluded.last)"
)


class Counts(NamedTuple):
    """What was counted under a key."""

    key: tuple[str, ...]
    downloads: int  # responses with a whole file
    partial: int  # responses with a part of one
    bytes_: int
    first: int  # seconds since the epoch
    last: int


class Tally:
    """Counts requests by keys.

    Beyond a number of keys, the counts go to a database in a temporary file, which SQLite deletes.
    """

    def __init__(self, limit: int = _LIMIT) -> None:
        self._limit = limit
        self._counts: dict[tuple[str, ...], list[int]] = {}
        self._database: sqlite3.Connection | None = None

    def close(self) -> None:
        """Close the database, which deletes its file."""
        if self._database is not None:
            self._database.close()

    def add(self, key: tuple[str, ...], request: Request) -> None:
        """Count a request."""
        is_partial = request.status == _PARTIAL
        counts = self._counts.get(key)
        if counts is None:
            if len(self._counts) >= self._limit:
                self._write()
            counts = self._counts[key] = [0, 0, 0, request.time, request.time]
        counts[is_partial] += 1
        counts[2] += request.bytes_
        if request.time < counts[3]:
            counts[3] = request.time
        elif request.time > counts[4]:
            counts[4] = request.time

    def in_order_of_time(self) -> Iterator[Counts]:
        """Yield what was counted; what began first comes first."""
        if self._database is None:
            yield from sorted(self._in_memory(), key=lambda each: (each.first, each.key))
        else:
            yield from self._query("ORDER BY first, key")

    def top(self, number: int) -> list[Counts]:
        """Return the keys with most downloads."""
        if self._database is not None:
            order = f"ORDER BY downloads DESC, partial DESC, key LIMIT {number:d}"
            return [*self._query(order)]
        by_count = sorted(
            self._in_memory(), key=lambda each: (-each.downloads, -each.partial, each.key)
        )
        return by_count[:number]

    def _in_memory(self) -> Iterator[Counts]:
        return (Counts(key, *counts) for key, counts in self._counts.items())

    def _write(self) -> None:
        """Move the counts to the database."""
        if self._database is None:
            import sqlite3  # noqa: PLC0415 (rarely needed, and missing in some builds of Python)

            self._database = sqlite3.connect("")  # a temporary file
            self._database.execute(_CREATE)
        rows = ((_SEPARATOR.join(key), *counts) for key, counts in self._counts.items())
        self._database.executemany(_ADD, rows)
        self._database.commit()
        self._counts.clear()

    def _query(self, order: str) -> Iterator[Counts]:
        self._write()
        assert self._database is not None  # noqa: S101 (for mypy)
        for key, *counts in self._database.execute(f"SELECT * FROM tally {order}"):  # noqa: S608
            yield Counts(tuple(key.split(_SEPARATOR)), *counts)
