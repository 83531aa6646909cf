"""Random generators that depend on the seed and on their purpose.

A decision for one request thus does not depend on how many other requests came before it.
"""

from __future__ import annotations

import threading
from collections import Counter
from random import Random


class Chance:
    """The seed's random generators, round by round. Safe to use from several threads."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.round = 0
        self._calls: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()

    def next_round(self) -> None:
        with self._lock:
            self.round += 1
            self._calls.clear()

    def of(self, *purpose: str) -> Random:
        """Return a generator for a purpose in this round, a new one on each call."""
        with self._lock:
            self._calls[purpose] += 1
            return Random(f"{self.seed} {self.round} {purpose} {self._calls[purpose]}")
