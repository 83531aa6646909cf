"""What the functions print: one JSON object in a line, or the last words of a crash.

Metrics come as lines too, in CloudWatch's embedded metric format (EMF), and are summed up here.
"""

from __future__ import annotations

import json
import sys
import threading
from collections import Counter, deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

KEPT_LINES = 10_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a function printed; `fields` when it is a JSON object."""

    function: str
    text: str
    fields: Mapping[str, Any] | None

    def show(self) -> None:
        """Print the line to standard error."""
        text = self.text.replace("\r", "\n")  # how the runtime client keeps a trace in one line
        print(f"{self.function}: {text}", file=sys.stderr)


class Logs:
    """Collects what all functions print, from all their threads."""

    def __init__(self, on_line: Callable[[LogLine], None]) -> None:
        self.lines: deque[LogLine] = deque(maxlen=KEPT_LINES)
        self._on_line = on_line
        self._sums: Counter[str] = Counter()
        self._lock = threading.Lock()

    def take(self, function: str, text: str) -> None:
        """Take in a line that `function` printed."""
        if not text.strip():
            return
        line = LogLine(function, text, _json_object(text))
        with self._lock:
            self.lines.append(line)
            self._sums.update(_metrics(line.fields or {}))
            self._on_line(line)

    def total(self, metric: str) -> float:
        """Return the sum of a metric over all functions, 0 when it was never emitted."""
        with self._lock:
            return self._sums[metric]


def _json_object(text: str) -> Mapping[str, Any] | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _metrics(fields: Mapping[str, Any]) -> dict[str, float]:
    metrics: dict[str, float] = {}
    for directive in fields.get("_aws", {}).get("CloudWatchMetrics", ()):
        for metric in directive["Metrics"]:
            value = fields[metric["Name"]]
            metrics[metric["Name"]] = sum(value) if isinstance(value, list) else value
    return metrics
