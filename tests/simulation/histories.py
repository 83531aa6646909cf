"""Histories: made from a seed, or repeated from their numbers."""

from __future__ import annotations

import gc
import logging
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import count
from random import Random
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, Self
from unittest.mock import patch

from frumious import backoff
from frumious.messaging import batches, job_queue
from frumious.planning import dispatch
from tests.simulation.choices import Choices, trimmed
from tests.simulation.seen import Violation
from tests.simulation.world import World

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.simulation.choices import Trace

_STEPS = 14
_HISTORIES_PER_COLLECTION = 200  # a tenth of the time, if Python chooses when to collect garbage


@dataclass(frozen=True, slots=True)
class History:
    """A history, and what was wrong in it."""

    trace: Trace
    violation: Violation | None


def draw(seed: str, log: Callable[[str], None] = lambda _: None) -> History:
    """Make a history from a seed."""
    random = Random(seed)
    steps = [Choices((), random) for _ in range(1 + random.randrange(3, _STEPS))]
    return _run(steps, log)


def replay(trace: Trace, log: Callable[[str], None] = lambda _: None) -> History:
    """Repeat a history."""
    return _run([Choices(numbers) for numbers in trace or [[]]], log)


def _run(steps: list[Choices], log: Callable[[str], None]) -> History:
    violation: Violation | None = None
    _numbers[:] = [0]
    world = World(steps[0], log)
    try:
        for choices in steps[1:]:
            world.step(choices)
        world.end()
    except Violation as error:
        violation = error
        log(f"VIOLATION ({error.kind}): {error}")
    finally:
        world.close()
        if not next(_histories) % _HISTORIES_PER_COLLECTION:
            gc.collect()
            gc.freeze()  # what is left is in caches: it stays
    return History([trimmed(choices.made) for choices in steps], violation)


_histories = count(1)
_numbers = [0]  # of the tokens of a history


def _token_hex(size: int) -> str:
    """Return tokens that increase, as the microseconds before them do where time passes."""
    _numbers[0] += 1
    return f"{_numbers[0] % 256**size:0{2 * size}x}"


@contextmanager
def simulated() -> Iterator[None]:
    """Take chance and threads out of the mirror, and its log off the screen."""
    chance = SimpleNamespace(uniform=lambda low, high: (low + high) / 2, randint=lambda low, _: low)
    with ExitStack() as stack:
        for module, name, double in (
            (dispatch, "secrets", SimpleNamespace(token_hex=_token_hex)),
            (backoff, "random", chance),
            (job_queue, "random", chance),
            (batches, "ThreadPoolExecutor", _InOneThread),
        ):
            stack.enter_context(patch.object(module, name, double))
        stack.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        gc.collect()
        gc.freeze()
        gc.disable()
        stack.callback(gc.enable)
        stack.callback(gc.unfreeze)
        yield


class _InOneThread:
    """What a pool of threads does, one call after the other."""

    def __init__(self, *_: Any) -> None: ...

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None: ...

    def submit(self, call: Callable[..., Any], *arguments: Any) -> SimpleNamespace:
        result = call(*arguments)
        return SimpleNamespace(result=lambda: result)
