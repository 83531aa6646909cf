"""A function's handler with a clock that is a minute later at each invocation.

Runs in the function's process, where `app` is the function's module.
"""

import itertools
import time
from typing import Any

from frumious.clock import Clock

_minutes = itertools.count()
_ahead = [0.0]  # seconds

Clock.now = lambda _: time.time() + _ahead[0]  # type: ignore[assignment, method-assign]

import app  # type: ignore[import-not-found]  # noqa: E402


def handler(event: dict[str, Any], context: Any) -> Any:
    """Move the clock, and call the function's handler."""
    _ahead[0] = next(_minutes) * 60.0
    return app.handler(event, context)
