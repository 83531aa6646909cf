"""Random generators that follow from the seed and from what they are for.

What is decided for one request thus does not hang on how many others came before it.
"""

from __future__ import annotations

import threading
from collections import Counter
from random import Random


class Chance:
    """What a seed decides, round by round. Safe to use from several threads."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.round = 0
        self._asked: Counter[tuple[str, ...]] = Counter()
        self._lock = threading.Lock()

    def next_round(self) -> None:
        with self._lock:
            self.round += 1
            self._asked.clear()

    def of(self, *purpose: str) -> Random:
        """Return this round's generator for a purpose; another one each time it is asked for."""
        with self._lock:
            self._asked[purpose] += 1
            return Random(f"{self.seed} {self.round} {purpose} {self._asked[purpose]}")
