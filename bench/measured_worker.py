"""The worker's handler, in a process that tells what memory each invocation took.

Runs in the function's own process, beside the handler that is deployed. Knows Linux's /proc.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from frumious.storage.s3 import storage
from functions.worker import app

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")
_FORGET_PEAK = "5"  # what makes the kernel count the peak anew, see proc(5)


def handler(event: dict[str, Any], context: LambdaContext) -> dict[str, Any]:
    """Let the worker handle the event; answers with its answer, and bytes and seconds.

    `largest_put`, in bytes, makes larger files go up in parts.
    """
    storage.LARGEST_PUT = event.get("largest_put", storage.LARGEST_PUT)
    _CLEAR.write_text(_FORGET_PEAK, encoding="ascii")
    before = _resident("VmRSS")
    started = time.monotonic()
    answer = app.handler(event, context)
    return {
        "answer": answer,
        "before": before,
        "peak": _resident("VmHWM"),
        "seconds": time.monotonic() - started,
    }


def _resident(field: str) -> int:
    """Return the process's resident memory, now (VmRSS) or at its peak (VmHWM), in bytes."""
    for line in _STATUS.read_text(encoding="ascii").splitlines():
        name, _, value = line.partition(":")
        if name == field:
            return int(value.removesuffix("kB")) * 1024
    msg = f"{_STATUS} has no {field!r}"
    raise RuntimeError(msg)
