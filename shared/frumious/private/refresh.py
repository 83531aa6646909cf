"""Find out which projects are private now."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.errors import FrumiousError
from frumious.model.private import PrivateListing
from frumious.private.listing import merge
from frumious.state.objects import LedgerCorrupt
from frumious.state.private_listing import read_listing

if TYPE_CHECKING:
    from frumious.mirror import Mirror

logger = logging.getLogger(__name__)

_MAX_LOGGED: Final = 20  # problems in one log record
_MAX_TEXT: Final = 2000  # characters of an error


async def refresh(mirror: Mirror) -> tuple[PrivateListing, PrivateListing]:
    """List the private directory, and return the listing that earlier runs left, and the new one.

    While the directory cannot be read, the earlier one counts.

    Raises:
        FrumiousError: it cannot be read, and no run has ever done so: nobody knows which names
            upstream must not be asked for.
    """
    private = mirror.config.private
    stored = await _stored(mirror)
    if mirror.private is None:
        private.listing = PrivateListing()
        return stored, private.listing
    try:
        found = await mirror.private.listing()
    except FrumiousError as error:
        if stored.directory != private.directory:
            raise
        problem = f"it cannot be read, and all projects stay: {error!s:.{_MAX_TEXT}}"
        listing = replace(stored, problems={private.directory: problem})
    else:
        listing = merge(found, stored, private.released)
    if listing.problems:
        problems = dict([*listing.problems.items()][:_MAX_LOGGED])
        extra = {"files": len(listing.problems), "problems": problems}
        logger.warning("the private directory has problems", extra=extra)
    private.listing = listing
    return stored, listing


async def load(mirror: Mirror) -> None:
    """Read which projects are private, as the last plan found; list the directory before that.

    Raises:
        LedgerCorrupt: nobody knows that. The next plan finds it out.
    """
    private = mirror.config.private
    if mirror.private is None:
        return
    stored = await read_listing(mirror.storage)
    if stored is None or stored.directory != private.directory:
        await refresh(mirror)
    else:
        private.listing = stored


async def _stored(mirror: Mirror) -> PrivateListing:
    """Return the last listing; a damaged one counts as none: the directory says the same."""
    try:
        return await read_listing(mirror.storage) or PrivateListing()
    except LedgerCorrupt as error:
        logger.error("%s; the private directory is listed anew", error)  # noqa: TRY400
        return PrivateListing()
