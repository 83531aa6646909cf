"""The worker's handler, which also returns the memory and the time that each invocation used.

Runs in the function's process, where `app` is the function's module. Needs Linux's /proc.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import app  # type: ignore[import-not-found]

from frumious.storage.s3 import storage

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_RESET_PEAK = "5"  # see proc(5)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Let the worker handle the event; return its response, and bytes and seconds.

    The event's `largest_put`, in bytes, makes larger files multipart uploads.
    """
    storage.LARGEST_PUT = event.get("largest_put", storage.LARGEST_PUT)
    _CLEAR.write_text(_RESET_PEAK, encoding="ascii")
    before = _resident("VmRSS")
    called, started, cpu_before = time.time(), time.monotonic(), time.process_time()
    response = app.handler(event, context)
    return {
        "response": response,
        "before": before,
        "peak": _resident("VmHWM"),
        "seconds": time.monotonic() - started,
        "called": called,
        "cpu": time.process_time() - cpu_before,
        "cpu_before": cpu_before,
    }


def _resident(field: str) -> int:
    """Return the process's resident memory, now (VmRSS) or at its peak (VmHWM), in bytes."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.removesuffix("kB")) * 1024
    msg = f"{_STATUS} has no {field!r}"
    raise RuntimeError(msg)
