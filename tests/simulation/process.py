"""A simulated process, which can be killed before or after each request that it makes."""

from __future__ import annotations

import asyncio
import math
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

from frumious.clock import Clock

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.simulation.loop import SimulatedLoop

T = TypeVar("T")

EPOCH = 1_770_000_000.0  # seconds since 1970, when every history begins
_REQUEST = 0.02  # seconds that a request takes
_PAUSES = (0.0, 0.01, 0.04, 0.2, 1.0, 5.0)


class Killed(BaseException):
    """The process is no more; what it would still do has no effect."""


@dataclass(frozen=True, slots=True)
class Fate:
    """What happens to one invocation; requests are counted from 1.

    Attributes:
        pace: 0: its requests take no time; else they take times that follow from the number.
        killed_at: The request at which the process is killed; 0: it is not.
        killed_after: Whether that request still has its effect.
        sleeps_at: The request before which the whole process stands still; 0: none.
        sleeps: For how many steps.
        faults: What is wrong with single requests to the storage.
        network: What is wrong with single requests upstream, which are counted on their own.
    """

    pace: int = 0
    killed_at: int = 0
    killed_after: bool = False
    sleeps_at: int = 0
    sleeps: int = 0
    faults: Mapping[int, int] = field(default_factory=dict)
    network: Mapping[int, int] = field(default_factory=dict)


_WELL = Fate()


class Process:
    """One process, which does one thing after the other."""

    def __init__(self, name: str, loop: SimulatedLoop, log: Callable[[str], None]) -> None:
        self.name = name
        self.dead = False
        self.loop = loop
        self.clock = SimulatedClock(self)
        self.fate = _WELL
        self.requests = 0  # of this invocation
        self.upstream_requests = 0
        self.thawing: asyncio.Future[None] | None = None  # while it stands still
        self.on_freeze: Callable[[], None] = lambda: None
        self._log = log
        self._random = 0
        self._deadline = math.inf
        self._is_calm = True  # neither a pace nor a kill nor a standstill is due

    def forget(self) -> None:
        """Let go of all that knows the process too."""
        self.on_freeze = lambda: None
        del self.clock

    def begin(self, fate: Fate, timeout: float | None) -> None:
        """Begin an invocation, which ends with the process after `timeout` seconds."""
        self.fate = fate
        self._deadline = math.inf if timeout is None else self.loop.elapsed + timeout
        self.requests = self.upstream_requests = 0
        self._random = fate.pace
        self._is_calm = not (fate.pace or fate.killed_at or fate.sleeps_at)

    def passes(self) -> bool:
        """Count a request, if it takes no time and nothing can happen to the process by then."""
        if self._is_calm and not self.dead and self.loop.elapsed <= self._deadline:
            self.requests += 1
            return True
        return False

    @property
    def is_being_killed(self) -> bool:
        """Whether the current request is the last one of the process."""
        return self.requests == self.fate.killed_at

    def log(self, text: str) -> None:
        self._log(f"{self.name}, request {self.requests}: {text}")

    async def request(self, verb: str, what: str, effect: Callable[[], T]) -> T:
        """Carry out a request at a moment of its own, if the process lives until then."""
        if self.dead:
            raise Killed
        if self._random:
            await asyncio.sleep(self._delay())
        self.requests += 1
        if self.requests == self.fate.sleeps_at and self.thawing is None:
            self.log(f"stands still before it {verb} {what}")
            self.thawing = self.loop.create_future()
            self.on_freeze()
        if self.thawing is not None:
            await asyncio.shield(self.thawing)
        ends = self.requests == self.fate.killed_at or self.loop.elapsed > self._deadline
        if ends or self.dead:  # it may have died since
            return self._carry_out(verb, what, effect)
        return effect()

    def request_at_once(self, verb: str, what: str, effect: Callable[[], T]) -> T:
        """Carry out a request of a call that blocks the process."""
        self.requests += 1
        return self._carry_out(verb, what, effect)

    def _carry_out(self, verb: str, what: str, effect: Callable[[], T]) -> T:
        if self.loop.elapsed > self._deadline and not self.dead:
            self.log("is killed: its time is over")
            self.dead = True
        if self.dead:
            raise Killed
        if not self.is_being_killed:
            return effect()
        after = "after" if self.fate.killed_after else "before"
        self.log(f"is killed {after} it {verb} {what}")
        if self.fate.killed_after:
            with suppress(Exception):
                effect()
        self.dead = True
        raise Killed

    def thaw(self) -> None:
        """Go on after a standstill."""
        thawing, self.thawing = self.thawing, None
        if thawing is not None and not thawing.done():
            thawing.set_result(None)

    def _delay(self) -> float:
        self._random = (self._random * 1_103_515_245 + 12_345) % 2**31
        return _REQUEST + _PAUSES[(self._random >> 16) % len(_PAUSES)]


class SimulatedClock(Clock):
    """The clock of a process; pauses end with the process."""

    def __init__(self, process: Process) -> None:
        self._process = process

    def now(self) -> float:
        loop = self._process.loop
        return EPOCH + loop.elapsed + loop.clock_error

    def monotonic(self) -> float:
        return self._process.loop.elapsed

    async def sleep(self, seconds: float) -> None:
        if self._process.dead:
            raise Killed
        await asyncio.sleep(seconds)
        if self._process.dead:
            raise Killed
