"""A history that fails, as small as it gets: steps are left out, and numbers made zero."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.simulation.choices import trimmed
from tests.simulation.histories import History, replay

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.simulation.choices import Trace


def shrunk(history: History) -> History:
    """Return the smallest history found in which the same kind of thing is wrong."""
    best = history
    while True:
        for trace in _smaller(best.trace):
            candidate = _tried(trace, best)
            if candidate is not None:
                best = candidate
                break
        else:
            return best


def _tried(trace: Trace, best: History) -> History | None:
    assert best.violation is not None
    history = replay(trace)
    if history.violation is None or history.violation.kind != best.violation.kind:
        return None
    # What was made may be less than what was given.
    return history if _size(history.trace) < _size(best.trace) else None


def _size(trace: Trace) -> tuple[int, int, int]:
    numbers = [number for step in trace for number in step]
    return len(trace), sum(number != 0 for number in numbers), sum(numbers)


def _smaller(trace: Trace) -> Iterator[Trace]:
    """Yield traces with fewer steps, fewer numbers and smaller ones, the largest cuts first."""
    count = len(trace) - 1
    size = count
    while size:
        for start in range(1, count - size + 2):
            yield [*trace[:start], *trace[start + size :]]
        size //= 2
    for at, step in enumerate(trace):
        if len(step) > 2:
            yield _with(trace, at, step[: len(step) // 2])
        for place, number in enumerate(step):
            if number:
                yield _with(trace, at, [*step[:place], 0, *step[place + 1 :]])
                yield _with(trace, at, [*step[:place], *step[place + 1 :]])
            if number > 1:
                for lower in sorted({1, number // 2, number - 1}):
                    yield _with(trace, at, [*step[:place], lower, *step[place + 1 :]])


def _with(trace: Trace, at: int, step: list[int]) -> Trace:
    return [*trace[:at], trimmed(step), *trace[at + 1 :]]
