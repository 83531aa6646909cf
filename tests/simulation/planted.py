"""Faults that are planted into the mirror or its storage: the simulation has to find them."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

from frumious.model.runs import Cursor
from frumious.planning import plan
from frumious.syncing import sync, transfer
from frumious.syncing.page_publisher import PagePublisher
from frumious.syncing.snapshot_pages import SnapshotPages
from frumious.upstream.upstream import StalePage
from tests.simulation.histories import simulated
from tests.simulation.storage import Disk, MemoryStorage

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


@contextmanager
def _planted(*patches: Any) -> Iterator[None]:
    with ExitStack() as stack:
        stack.enter_context(simulated())
        for each in patches:
            stack.enter_context(each)
        yield


def _lying_put(put: Callable[..., str], disk: Disk, key: str, body: bytes, **options: Any) -> str:
    """Say that a file is stored, and keep half of it."""
    return put(disk, key, body[: len(body) // 2] if "/packages/" in key else body, **options)


def _lying_storage() -> AbstractContextManager[None]:
    put = Disk.put
    return _planted(patch.object(Disk, "put", lambda *args, **kw: _lying_put(put, *args, **kw)))


def _unconditional_writes() -> AbstractContextManager[None]:
    write = MemoryStorage.write

    async def unconditional(self: MemoryStorage, key: Any, body: bytes, **_: Any) -> str:
        return await write(self, key, body)

    return _planted(patch.object(MemoryStorage, "write", unconditional))


def _files_deleted_first() -> AbstractContextManager[None]:
    """Delete files before the page that no longer names them is published."""
    publish = PagePublisher.publish

    async def hasty(self: PagePublisher, built: Any, *args: Any) -> None:
        if built.page.publication is not None:
            await self.pages.storage.delete(built.page.publication.removed)
        await publish(self, built, *args)

    return _planted(patch.object(PagePublisher, "publish", hasty))


def _pages_before_files() -> AbstractContextManager[None]:
    """Publish pages although their files could not be stored."""
    store = transfer.Transfer.store

    async def careless(self: transfer.Transfer, blobs: Any) -> dict[Any, str]:
        await store(self, blobs)
        return {}

    return _planted(patch.object(transfer.Transfer, "store", careless))


def _stale_pages() -> AbstractContextManager[None]:
    """Believe upstream's caches."""
    read = sync.read_upstream

    async def credulous(attempt: Any, current: Any, mirror: Any) -> Any:
        page = partial(mirror.upstream.project_page, at_least=0)
        try:
            return await read(attempt, current, mirror)
        except StalePage:
            return await page(attempt.job.project)

    return _planted(patch.object(sync, "read_upstream", credulous))


def _boastful_status() -> AbstractContextManager[None]:
    """Claim the serial up to which changes are planned."""
    return _planted(patch.object(Cursor, "mirror_serial", property(lambda self: self.serial)))


def _unlimited_losses() -> AbstractContextManager[None]:
    """Ignore `max-losses`."""

    async def book_nothing(*_: Any) -> None: ...

    return _planted(patch.object(sync, "book_loss", book_nothing))


def _unlimited_removals() -> AbstractContextManager[None]:
    """Ignore `max-removals`."""
    return _planted(patch.object(plan, "check_removals", lambda unchecked, *_: unchecked))


def _unannounced_losses() -> AbstractContextManager[None]:
    """Believe pages that lack most files without an event."""
    return _planted(patch.object(sync, "check_losses", lambda *_: None))


def _changing_snapshots() -> AbstractContextManager[None]:
    """Keep no page for snapshots."""

    async def careless(*_: Any) -> None: ...

    return _planted(patch.object(SnapshotPages, "keep", careless))


def _revealing_snapshots() -> AbstractContextManager[None]:
    """Withhold nothing from the readers of snapshots."""

    async def nothing(*_: Any) -> tuple[str, ...]:
        return ()

    return _planted(patch.object(SnapshotPages, "_withheld", nothing))


def _live_pages_first() -> AbstractContextManager[None]:
    """Publish pages before snapshots keep the earlier ones."""
    publish, create = PagePublisher.publish, SnapshotPages._create
    late: dict[int, list[Any]] = {}

    async def postpone(self: SnapshotPages, *args: Any) -> None:
        late.setdefault(id(self), []).append(args)

    async def hasty(self: PagePublisher, *args: Any) -> None:
        await publish(self, *args)
        for each in late.pop(id(self.snapshots), ()):
            await create(self.snapshots, *each)

    return _planted(
        patch.object(SnapshotPages, "_create", postpone),
        patch.object(PagePublisher, "publish", hasty),
    )


PLANTED: dict[str, Callable[[], AbstractContextManager[None]]] = {
    "boastful-status": _boastful_status,
    "changing-snapshots": _changing_snapshots,
    "files-deleted-first": _files_deleted_first,
    "live-pages-first": _live_pages_first,
    "lying-storage": _lying_storage,
    "pages-before-files": _pages_before_files,
    "revealing-snapshots": _revealing_snapshots,
    "stale-pages": _stale_pages,
    "unannounced-losses": _unannounced_losses,
    "unlimited-losses": _unlimited_losses,
    "unlimited-removals": _unlimited_removals,
    "unconditional-writes": _unconditional_writes,
}
