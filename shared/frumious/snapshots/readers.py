"""What readers of a mirror get: which snapshots, and which index as the live one.

Each kind of reader has its own switch. State says what was switched (`Snapshots.served`).
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from msgspec.structs import replace

from frumious.config.choices import Backend
from frumious.errors import FrumiousError
from frumious.snapshots.folder_link import link_snapshot, linked_snapshot
from frumious.state.snapshots import change_snapshots, read_snapshots

if TYPE_CHECKING:
    from frumious.config.settings import Config
    from frumious.mirror import Mirror
    from frumious.model.snapshots import Snapshots


class CannotSwitch(FrumiousError):
    """Nothing can let the readers of this mirror get another index."""


class Readers(Protocol):
    """The readers of a mirror. All methods do the same when they are called again."""

    def check(self) -> None:
        """Check that the readers can be pointed at something else.

        Raises:
            CannotSwitch: they cannot.
        """

    async def offer(self, snapshot: str) -> bool:
        """Serve a snapshot below `/snapshot/<snapshot>/`: all of it is stored.

        Returns whether the readers are known to get it.
        """

    async def withdraw(self, snapshot: str) -> None:
        """Serve a snapshot no longer: it is about to be deleted."""

    async def point(self, snapshot: str | None) -> None:
        """Serve a snapshot as `/simple/`; None: the live index."""

    async def served(self) -> str | None:
        """Return the snapshot that is served as `/simple/`; None: the live index, or unknown."""


async def open_readers(mirror: Mirror, store: str | None) -> Readers:
    """Return the readers of the mirror, and keep in its state which store they have.

    `store` is the ARN of a stack's SnapshotStore; None: the one that was given last, if any. A
    store that was not known says what readers get.

    Raises:
        CannotSwitch, EdgeStoreError: as `readers_of`.
        LedgerCorrupt: nobody knows which snapshots there are.
    """
    known = (await read_snapshots(mirror.storage)).store
    readers = readers_of(mirror.config, store or known)
    if store is not None and store != known:
        served = await readers.served()

        def adopt(before: Snapshots) -> Snapshots:
            return replace(
                before, store=store, served=served if served in before.snapshots else before.served
            )

        await change_snapshots(adopt, mirror.storage)
    return readers


def readers_of(config: Config, store: str | None = None) -> Readers:
    """Return the readers of the configured mirror; `store` is the ARN of a stack's SnapshotStore.

    Raises:
        CannotSwitch: a mirror that is not in a bucket has no store.
        EdgeStoreError: this is not the ARN of a store.
    """
    if store is not None:
        if config.backend is not Backend.S3:
            msg = f"only a stack in AWS has a store; storage-backend is {config.backend}"
            raise CannotSwitch(msg)
        from frumious.snapshots.edge_readers import EdgeReaders  # noqa: PLC0415 (it imports botocore)

        return EdgeReaders(store)
    if config.backend is Backend.FILESYSTEM:
        return _FolderReaders(Path(config.directory))
    return _UnknownReaders(config.backend)


class _FolderReaders:
    """Web servers that serve a folder: a symbolic link is their switch."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def check(self) -> None:
        """Do nothing: a folder can have a link."""

    async def offer(self, snapshot: str) -> bool:  # noqa: ARG002 (the protocol's)
        """Do nothing: its root index is stored."""
        return True

    async def withdraw(self, snapshot: str) -> None:
        """Do nothing: its root index is deleted first."""

    async def point(self, snapshot: str | None) -> None:
        """Replace the link."""
        await asyncio.to_thread(link_snapshot, self._folder, snapshot)

    async def served(self) -> str | None:
        """Return the snapshot that the link leads to."""
        return await asyncio.to_thread(linked_snapshot, self._folder)


class _UnknownReaders:
    """Whatever serves a container, or a bucket without the stack's distribution."""

    def __init__(self, backend: Backend) -> None:
        self._backend = backend

    def check(self) -> None:
        """Refuse.

        Raises:
            CannotSwitch: in any case.
        """
        msg = (
            "cannot switch the readers of this mirror to a snapshot: what serves a mirror with"
            f" storage-backend = {self._backend} has no switch"
        )
        if self._backend is Backend.S3:
            msg += (
                "; a stack with Snapshots=true has one, its output SnapshotStore: pass --store ARN"
            )
        raise CannotSwitch(msg)

    async def offer(self, snapshot: str) -> bool:  # noqa: ARG002 (the protocol's)
        """Do nothing: a snapshot is objects, like the live index."""
        return False

    async def withdraw(self, snapshot: str) -> None:
        """Do nothing."""

    async def point(self, snapshot: str | None) -> None:  # noqa: ARG002 (the protocol's)
        """Refuse.

        Raises:
            CannotSwitch: in any case.
        """
        self.check()

    async def served(self) -> str | None:
        """Return None: nobody can say it."""
        return None
