"""The functions' output: JSON objects, one per line, and plain text of crashes.

Numeric fields are added up, and so are metrics in CloudWatch's embedded metric format (EMF).
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

    from localcloud.metrics import Metrics

MAX_LINES = 10_000


@dataclass(frozen=True, slots=True)
class LogLine:
    """A line that a function printed; `fields` if it is a JSON object."""

    function: str
    text: str
    fields: Mapping[str, Any] | None

    def show(self) -> None:
        """Print the line to standard error."""
        text = self.text.replace("\r", "\n")  # the runtime client's line breaks in a trace
        print(f"{self.function}: {text}", file=sys.stderr)


class Logs:
    """Collects the output of all functions; thread-safe."""

    def __init__(self, on_line: Callable[[LogLine], None], metrics: Metrics) -> None:
        self.lines: deque[LogLine] = deque(maxlen=MAX_LINES)
        self._on_line = on_line
        self._metrics = metrics
        self._sums: Counter[str] = Counter()
        self._lock = threading.Lock()

    def add(self, function: str, text: str) -> None:
        """Add a line that `function` printed."""
        if not text.strip():
            return
        line = LogLine(function, text, _json_object(text))
        with self._lock:
            self.lines.append(line)
            self._sums.update(_numbers(line.fields or {}))
            self._metrics.add_log_line(line.fields or {})
            self._on_line(line)

    def total(self, name: str) -> float:
        """Return the sum of a metric or log field over all functions, 0 if it never came."""
        with self._lock:
            return self._sums[name]


def _json_object(text: str) -> Mapping[str, Any] | None:
    try:
        fields = json.loads(text)
    except ValueError:
        return None
    return fields if isinstance(fields, dict) else None


def _numbers(fields: Mapping[str, Any]) -> dict[str, float]:
    """Return the fields that are numbers, and the sums of those that are lists, as EMF has them."""
    numbers: dict[str, float] = {}
    for name, value in fields.items():
        if isinstance(value, int | float):
            numbers[name] = value
        elif isinstance(value, list) and all(isinstance(each, int | float) for each in value):
            numbers[name] = sum(value)
    return numbers
