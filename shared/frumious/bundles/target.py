"""Mirrors that bundles keep in step: upstream is not to change them as well."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.config.choices import Backend
from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.state.bundle_records import read_imported

if TYPE_CHECKING:
    from frumious.mirror import Mirror


class ImportTarget(FrumiousError):
    """The mirror follows bundles, not upstream."""


async def check_follows_upstream(mirror: Mirror) -> None:
    """Check that no bundle was imported into the mirror.

    In a bucket that costs a request, and is done only where the configuration has `[import]`.

    Raises:
        ImportTarget: one was.
        LedgerCorrupt: the record of imports is damaged.
    """
    if mirror.config.backend is not Backend.FILESYSTEM and not mirror.config.import_keys:
        return
    if (imported := await read_imported(mirror.storage)) is None:
        return
    msg = (
        f"bundles keep this mirror in step, the last one up to serial {imported.serial}: use"
        " 'frumious import'. To follow upstream instead from now on, delete"
        f" {layout.IMPORT!r} in the mirror; the next bundle then has to be a complete one"
    )
    raise ImportTarget(msg)
