"""A function's handler with the soak's clock instead of the machine's, and without pauses.

Runs in the function's process, where `app` is the function's module. Only time is changed: days
pass in minutes, so that the configuration can have its real pauses and deadlines.
"""

import asyncio
import os
import time
from typing import Any

from botocore.config import Config
from botocore.retries.standard import ExponentialBackoff

from frumious.clock import Clock

Config.OPTION_DEFAULTS["read_timeout"] = float(os.environ["SOAK_READ_TIMEOUT"])  # type: ignore[assignment] # the stub has its type as None
ExponentialBackoff.delay_amount = lambda *_: 0.01  # type: ignore[method-assign]

_ahead = [0.0]  # seconds


async def _sleep(_: Clock, seconds: float) -> None:
    await asyncio.sleep(min(seconds, 0.01))


Clock.now = lambda _: time.time() + _ahead[0]  # type: ignore[assignment, method-assign]
Clock.sleep = _sleep  # type: ignore[assignment, method-assign]

import app  # type: ignore[import-not-found]  # noqa: E402


def handler(event: dict[str, Any], context: Any) -> Any:
    """Set the clock, and call the function's handler."""
    _ahead[0] = event.pop("ahead")
    return app.handler(event, context)
