"""CloudWatch's metrics of the local stack: those that log lines carry, and those of AWS's services.

The local services record what they themselves see, under AWS's names. Custom metrics come from log
lines in the embedded metric format ("Embedded metric format specification" in the CloudWatch user
guide).
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass(frozen=True, slots=True)
class Metric:
    """A metric's identity: the same name with other dimensions is another metric."""

    namespace: str
    name: str
    dimensions: frozenset[tuple[str, str]]

    @classmethod
    def of(cls, namespace: str, name: str, **dimensions: str) -> Metric:
        return cls(namespace, name, frozenset(dimensions.items()))


class Metrics:
    """Data points in the order of their time; thread-safe."""

    def __init__(self) -> None:
        self._points: defaultdict[Metric, list[tuple[float, float]]] = defaultdict(list)
        self._lock = threading.Lock()
        self._advanced = 0.0

    def now(self) -> float:
        """Return the time of a data point that is added now, in seconds since the epoch."""
        return time.time() + self._advanced

    def advance(self, seconds: float) -> None:
        """Let time pass for the metrics, and for nothing else."""
        self._advanced += seconds

    def add(self, metric: Metric, value: float) -> None:
        with self._lock:
            self._points[metric].append((self.now(), value))

    def add_log_line(self, fields: Mapping[str, Any]) -> None:
        """Add what a line carries in the embedded metric format, if anything."""
        for metric, values in embedded_metrics(fields):
            for value in values:
                self.add(metric, value)

    def names(self) -> set[Metric]:
        """Return the metrics that have data points."""
        with self._lock:
            return set(self._points)

    def values(self, metric: Metric, start: float, end: float) -> list[float]:
        """Return the values from `start` on and before `end`."""
        with self._lock:
            return [value for at, value in self._points.get(metric, ()) if start <= at < end]


def embedded_metrics(fields: Mapping[str, Any]) -> Iterator[tuple[Metric, list[float]]]:
    """Yield the metrics of a log line with their values, once for each set of dimensions."""
    for directive in fields.get("_aws", {}).get("CloudWatchMetrics", ()):
        for names in directive["Dimensions"] or [[]]:
            dimensions = frozenset((name, str(fields[name])) for name in names)
            for metric in directive["Metrics"]:
                value = fields[metric["Name"]]
                values = value if isinstance(value, list) else [value]
                yield Metric(directive["Namespace"], metric["Name"], dimensions), values
