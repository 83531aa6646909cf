"""What a mirror keeps of its exports and imports, so that bundles follow one another."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct

from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.types import Count, Seconds, Serial
from frumious.state.objects import parse, render
from frumious.state.replacing import replace_object

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage

_KEPT: Final = 3  # exports for a destination, after each of which another one can begin


Id = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32}\Z")]
Number = Annotated[int, Meta(ge=1, le=10**9)]


class UnknownExport(FrumiousError):
    """Nothing is kept of an export that the next one is to follow."""


class Export(Struct, frozen=True, kw_only=True):
    """A bundle that was made."""

    id: Id
    sequence: Number
    previous: Id | None
    since: Serial
    serial: Serial
    created: Seconds


class Exports(Struct, frozen=True, kw_only=True):
    """All exports of a mirror that others can follow, by destination."""

    source: Id
    sequence: Count = 0  # of the last bundle, whatever its destination
    exports: Mapping[str, tuple[Export, ...]] = {}

    def find(self, destination: str, since: int | None) -> Export | None:
        """Return the export that the next one follows: None: it is complete.

        `since` is a serial, 0 for a complete bundle; None stands for the last export.

        Raises:
            UnknownExport: nothing is kept of an export for the destination with that serial.
        """
        known = self.exports.get(destination, ())
        if since == 0:
            return None
        if since is None:
            return known[-1] if known else None
        for each in reversed(known):
            if each.serial == since:
                return each
        serials = ", ".join(str(each.serial) for each in known) or "none"
        msg = (
            f"no export for {destination!r} up to serial {since} is known (known: {serials});"
            " use one of these, or --since 0 for everything"
        )
        raise UnknownExport(msg)

    def adding(self, destination: str, export: Export) -> Exports:
        """Return the same with another export; only the last ones are kept."""
        kept = (*self.exports.get(destination, ()), export)[-_KEPT:]
        return Exports(
            source=self.source,
            sequence=max(self.sequence, export.sequence),
            exports={**self.exports, destination: kept},
        )

    def respelled(self, spell: Callable[[str], str]) -> Exports:
        """Return the same with destinations as `spell` has them; later exports count more."""
        exports: dict[str, tuple[Export, ...]] = {}
        for destination, known in self.exports.items():
            both = (*exports.get(spell(destination), ()), *known)
            exports[spell(destination)] = tuple(sorted(both, key=_sequence)[-_KEPT:])
        return Exports(source=self.source, sequence=self.sequence, exports=exports)

    def ids(self) -> frozenset[str]:
        """Return the exports that can be followed."""
        return frozenset(each.id for known in self.exports.values() for each in known)


def _sequence(export: Export) -> int:
    return export.sequence


class Imported(Struct, frozen=True, kw_only=True):
    """The last bundle that a mirror imported."""

    source: Id
    id: Id | None  # None: it has imported none completely
    sequence: Count
    serial: Serial
    began: Id | None = None  # the bundle whose import was not finished


async def read_exports(storage: Storage) -> tuple[Exports, str | None]:
    """Return the exports, and the ETag of their file; None: there is none.

    Raises:
        LedgerCorrupt: it is damaged.
    """
    stored = await storage.read(layout.EXPORTS)
    if stored is None:
        return Exports(source=secrets.token_hex(16)), None
    return parse(layout.EXPORTS, stored, Exports), stored.etag


async def write_exports(exports: Exports, etag: str | None, storage: Storage) -> None:
    """Keep the exports.

    Raises:
        Conflict: another export was finished since they were read.
    """
    await replace_object(layout.EXPORTS, render(exports), etag, storage)


async def read_imported(storage: Storage) -> Imported | None:
    """Return the last import; None: there is none.

    Raises:
        LedgerCorrupt: it is damaged.
    """
    stored = await storage.read(layout.IMPORT)
    return None if stored is None else parse(layout.IMPORT, stored, Imported)
