"""Calls that block, made beside the event loop."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

T = TypeVar("T")


async def run_in_thread(call: Callable[[], T]) -> T:
    """Make a blocking call in a thread, and return or raise what it does.

    A call cannot be stopped: whoever is cancelled waits for it, so that no write comes later.
    """
    calling = asyncio.ensure_future(asyncio.to_thread(call))
    try:
        return await asyncio.shield(calling)
    except asyncio.CancelledError:
        await asyncio.gather(calling, return_exceptions=True)
        raise
