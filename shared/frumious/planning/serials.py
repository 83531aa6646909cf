"""Which serials of upstream's are credible."""

from __future__ import annotations

import logging
from contextlib import suppress
from typing import TYPE_CHECKING

from frumious.upstream.changelog import NoChangelog
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.upstream import MAX_PROGRESS

if TYPE_CHECKING:
    from frumious.model.pages import RootIndex
    from frumious.upstream.upstream import Upstream

logger = logging.getLogger(__name__)


async def last_serial(since: int | None, upstream: Upstream) -> int:
    """Return upstream's serial: where it is far ahead, not above that of the root index.

    What is left out by that comes next. A wrong serial would leave out everything, for ever. Where
    the root index has none, an event must have it.

    Raises:
        UpstreamUnavailable: no event has it.
    """
    serial = await upstream.last_serial()
    if since is not None and serial - since <= MAX_PROGRESS:
        return serial
    root = await upstream.root_serial()
    if root is None:
        if (await upstream.changes_since(serial - 1, until=serial)).serial < serial:
            msg = f"upstream's changelog says that its serial is {serial}, but no event has it"
            raise UpstreamUnavailable(msg)
        return serial
    if serial - root <= MAX_PROGRESS:
        return serial
    extra = {"changelog": serial, "root_index": root}
    logger.warning("the changelog's serial is implausible: the root index counts", extra=extra)
    return root


async def confirmed_serial(serial: int | None, index: RootIndex, upstream: Upstream) -> int | None:
    """Return upstream's serial, asked again where its root index is newer than the last answer.

    Without that, jobs could not require the serials of that index.
    """
    if serial is None or index.serial is None or index.serial <= serial:
        return index.serial if serial is None else serial
    with suppress(NoChangelog, UpstreamUnavailable):
        return max(serial, await upstream.last_serial())
    return serial
