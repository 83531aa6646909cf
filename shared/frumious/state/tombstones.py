"""What is kept of removed projects."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from frumious.model.types import PublicKey, RunName, Serial
from frumious.state.objects import read_or_set_aside, render

if TYPE_CHECKING:
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage


class Tombstone(Struct, frozen=True):
    """What is kept of a removed project: the list of its files went with its pages."""

    run: RunName
    serial: Serial
    removed: tuple[PublicKey, ...]
    delayed: bool = False  # whether they are deleted later, as `state/removed/` says
    by_name: bool = False  # somebody deleted the project

    @classmethod
    async def read(cls, key: Key, storage: Storage) -> Tombstone | None:
        """Return the tombstone; None where there is none."""
        tombstone, _ = await read_or_set_aside(key, cls, storage)
        return tombstone

    async def write(self, key: Key, storage: Storage) -> None:
        """Keep the tombstone."""
        await storage.write(key, render(self))
