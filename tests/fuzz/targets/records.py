"""What functions keep for their next tick."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING, Final, cast

import msgspec

from frumious.finalizing.announcements import _Announced
from frumious.model import changes, layout
from frumious.model.losses import Loss, Losses
from frumious.state.audit import AuditStore, _batch
from frumious.state.objects import LedgerCorrupt
from tests.fuzz.targets.checks import InstantClock, MemoryStorage, check_project, read_back, run

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage

_NOW: Final = InstantClock().now()


def losses(data: bytes) -> None:
    """What upstream has taken away within a day."""
    value = read_back(layout.LOSSES, data, Losses)
    if value is not None:
        booked, _ = value.booking(Loss(1, 1), Loss(5, 5), _NOW)
        booked.allowing(3, _NOW)


def announced(data: bytes) -> None:
    """What the last announcement covered."""
    read_back(layout.ANNOUNCED, data, _Announced)


def named_pages(data: bytes) -> None:
    """The pages that an audit has checked."""
    storage = MemoryStorage({_batch(0, "pages"): data})
    with suppress(LedgerCorrupt):
        for page in run(AuditStore(cast("Storage", storage)).named_pages(0)):
            check_project(page.project)


def feed_position(data: bytes) -> None:
    """How far the feed of another mirror was read, as the cursor keeps it."""
    try:
        position = msgspec.json.decode(data, type=changes.Position)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert position.tree.size == position.size


TARGETS: Final = (losses, announced, named_pages, feed_position)
