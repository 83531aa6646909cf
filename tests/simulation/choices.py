"""The numbers that make a history: drawn from a seed, or given."""

from __future__ import annotations

from bisect import bisect
from itertools import accumulate
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

Trace = list[list[int]]  # the configuration's numbers, then those of each step


class Choices:
    """The numbers of one step, in the order in which they are asked for.

    Given numbers are followed; behind them, a generator draws more, or all are zero.
    """

    def __init__(self, given: Sequence[int], random: Random | None = None) -> None:
        self.made = [*given]
        self._random = random
        self._next = 0

    def below(self, count: int) -> int:
        """Return a number below `count`."""
        return self._take(count, None)

    def weighted(self, weights: Sequence[int]) -> int:
        """Return the index of a weight."""
        return self._take(len(weights), weights)

    def rarely(self, share: float, count: int) -> int:
        """Return zero, but for a share of the draws: then a number from 1 to `count`."""
        return self._take(count + 1, None, share)

    def _take(self, count: int, weights: Sequence[int] | None, share: float | None = None) -> int:
        at = self._next
        self._next += 1
        if at < len(self.made):
            return self.made[at] % count
        random = self._random
        if random is None:
            return 0
        if weights is not None:
            limits = [*accumulate(weights)]
            number = bisect(limits, random.random() * limits[-1], 0, count - 1)
        elif share is not None and random.random() >= share:
            number = 0
        elif share is not None:
            number = 1 + int(random.random() * (count - 1))
        else:
            number = int(random.random() * count)
        self.made.append(number)
        return number


def trimmed(numbers: Sequence[int]) -> list[int]:
    """Return the numbers without the zeros at their end."""
    end = len(numbers)
    while end and not numbers[end - 1]:
        end -= 1
    return [*numbers[:end]]
