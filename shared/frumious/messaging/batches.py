"""Batch calls: ten entries each, several at the same time."""

from __future__ import annotations

from collections import deque
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from concurrent.futures import Future

T = TypeVar("T")

BATCH_SIZE: Final = 10  # entries that one call of SQS or EventBridge takes
_CALLERS: Final = 8  # threads; they may share a client


def batches_of(entries: Iterable[T]) -> Iterator[list[T]]:
    """Yield the entries in batches; read no further ahead than one batch."""
    remaining = iter(entries)
    while batch := list(islice(remaining, BATCH_SIZE)):
        yield batch


def sum_of_calls(call: Callable[[list[T]], int], batches: Iterable[list[T]]) -> int:
    """Call for each batch in threads, and add up what the calls return.

    Reads a little ahead, so that there may be any number of batches.
    """
    total = 0
    pending: deque[Future[int]] = deque()
    with ThreadPoolExecutor(_CALLERS) as callers:
        for batch in batches:
            pending.append(callers.submit(call, batch))
            if len(pending) == 2 * _CALLERS:
                total += pending.popleft().result()
        return total + sum(future.result() for future in pending)
