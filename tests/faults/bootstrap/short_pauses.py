"""The worker's handler with short pauses, so that thousands of faults take minutes.

Runs in the function's process, where `app` is the worker's. Only the pauses are changed.
"""

import asyncio

from botocore.config import Config
from botocore.retries.standard import ExponentialBackoff

from frumious.clock import Clock

Config.OPTION_DEFAULTS["read_timeout"] = 2  # type: ignore[assignment] # the stub has its type as None
ExponentialBackoff.delay_amount = lambda *_: 0.01  # type: ignore[method-assign]


async def _sleep(_: Clock, seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.01))


Clock.sleep = _sleep  # type: ignore[assignment, method-assign]

from app import handler  # type: ignore[import-not-found]  # noqa: E402

__all__ = ["handler"]
