"""Coroutines that run at the same time: they end together, or share a number of slots fairly."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from itertools import islice
from typing import TYPE_CHECKING, Any, Final, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Hashable, Iterable
    from contextlib import AbstractAsyncContextManager

T = TypeVar("T")

_GROUP: Final = 32


@asynccontextmanager
async def task_group() -> AsyncIterator[asyncio.TaskGroup]:
    """Open a task group that raises the first error itself, not a group of errors.

    When a task fails, the others are cancelled and waited for: unlike with `asyncio.gather`, none
    of them goes on behind the caller's back.
    """
    try:
        async with asyncio.TaskGroup() as group:
            yield group
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None


async def run_all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines in a `task_group`, and return their results in order."""
    coroutines = [*coroutines]
    if len(coroutines) == 1:  # needs no task of its own
        return [await coroutines[0]]
    async with task_group() as group:
        tasks = [group.create_task(coroutine) for coroutine in coroutines]
    return [task.result() for task in tasks]


async def in_groups(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines, some at a time, and return their results in order."""
    results: list[T] = []
    remaining = iter(coroutines)
    while group := [*islice(remaining, _GROUP)]:
        results += await run_all(group)
    return results


async def to_the_end(coroutine: Coroutine[Any, Any, T], *, grace: float) -> T:
    """Run a coroutine; if the caller is cancelled, it has `grace` seconds to end."""
    task = asyncio.ensure_future(coroutine)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        _, running = await asyncio.wait([task], timeout=grace)
        if running:
            task.cancel()
            await asyncio.wait([task])
        raise


class FairSlots:
    """A number of slots that no owner uses up while others wait.

    A free slot goes to the owner that uses the fewest, and in turn. If one owner uses all slots,
    there is one more for the others.

    The number adapts to a server that refuses requests, as TCP adapts to a network: it is halved
    at a refusal, and grows by one after as many successes as there are slots.
    """

    def __init__(self, size: int) -> None:
        self._max_size = size
        self._size = float(size)
        self._reductions = 0
        self._in_use = 0
        self._used: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}  # in their turn

    def use(self, owner: Hashable) -> AbstractAsyncContextManager[None]:
        """Return what waits for a slot when it is entered, and frees it in the end."""
        return _Slot(self, owner)

    async def take(self, owner: Hashable) -> None:
        """Wait for a slot."""
        if not self._waiting and self._in_use < int(self._size):
            self._use(owner)
            return
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(granted)
        self._grant()
        try:
            await granted
        except BaseException:
            if granted.done() and not granted.cancelled():
                self.free(owner)
            else:
                self._grant()
            raise

    def free(self, owner: Hashable) -> None:
        """Free a slot of the owner."""
        self._in_use -= 1
        self._used[owner] -= 1
        if not self._used[owner]:
            del self._used[owner]
        if owner in self._waiting:
            self._waiting[owner] = self._waiting.pop(owner)  # behind all others
        self._grant()

    @property
    def reductions(self) -> int:
        """How often the number was halved."""
        return self._reductions

    def refused(self, reductions: int) -> None:
        """Halve the number of slots in use, because the server has refused a request.

        `reductions` is the count of when the request began. Requests that began earlier than the
        last reduction say nothing about the number since then.
        """
        if reductions == self._reductions:
            self._reductions += 1
            self._size = max(1.0, min(self._size, self._in_use) / 2)

    def succeeded(self) -> None:
        """Let the number of slots recover, because the server has accepted a request."""
        self._size = min(self._max_size, self._size + 1 / self._size)

    def _grant(self) -> None:
        while (owner := self._next_owner()) is not None:
            waiting = self._waiting.pop(owner)
            granted = waiting.popleft()
            if waiting:
                self._waiting[owner] = waiting
            if not granted.cancelled():
                self._use(owner)
                granted.set_result(None)

    def _use(self, owner: Hashable) -> None:
        self._in_use += 1
        self._used[owner] += 1

    def _next_owner(self) -> Hashable | None:
        """Return whose turn it is; None if nobody waits or there is no slot."""
        used, free = self._used, int(self._size) - self._in_use
        if not self._waiting or free < 0 or (free == 0 and len(used) != 1):
            return None
        owner = next((owner for owner in self._waiting if owner not in used), None)
        if owner is None:
            return min(self._waiting, key=used.__getitem__) if free else None
        return owner


class _Slot:
    """A slot while it is used; a class, because a generator takes several times as long."""

    __slots__ = ("_owner", "_slots")

    def __init__(self, slots: FairSlots, owner: Hashable) -> None:
        self._slots = slots
        self._owner = owner

    async def __aenter__(self) -> None:
        await self._slots.take(self._owner)

    async def __aexit__(self, *_: object) -> None:
        self._slots.free(self._owner)
