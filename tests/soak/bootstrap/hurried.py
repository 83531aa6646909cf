"""A function's handler with short pauses, and with the soak's clock instead of the machine's.

Runs in the function's process, where `app` is the function's. Nothing but time is changed: days
pass in minutes, so that the configuration can have its real pauses and deadlines.
"""

import os
import time
from typing import Any

from botocore.config import Config
from botocore.retries.standard import ExponentialBackoff

from frumious import backoff

backoff._FIRST_PAUSE = 0.01
Config.OPTION_DEFAULTS["read_timeout"] = float(os.environ["SOAK_READ_TIMEOUT"])  # type: ignore[assignment] # the stub has its type as None
ExponentialBackoff.delay_amount = lambda *_: 0.01  # type: ignore[method-assign]

_now = time.time
_ahead = [0.0]  # seconds
time.time = lambda: _now() + _ahead[0]

import app  # type: ignore[import-not-found]  # noqa: E402


def handler(event: dict[str, Any], context: Any) -> Any:
    """Set the clock, and hand over."""
    _ahead[0] = event.pop("ahead")
    context._epoch_deadline_time_in_ms += round(_ahead[0] * 1000)
    return app.handler(event, context)
