"""Coroutines that run at the same time: they end together, or share a number of slots fairly."""

from __future__ import annotations

import asyncio
from collections import Counter, deque
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Coroutine, Hashable, Iterable

T = TypeVar("T")


async def run_all(coroutines: Iterable[Coroutine[Any, Any, T]]) -> list[T]:
    """Run coroutines at the same time, and return their results in order.

    When one fails, the others are cancelled and waited for: unlike with `asyncio.gather`, none of
    them goes on behind the caller's back. Its error is raised, not a group.
    """
    try:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(coroutine) for coroutine in coroutines]
    except BaseExceptionGroup as errors:
        raise errors.exceptions[0] from None
    return [task.result() for task in tasks]


class FairSlots:
    """A number of slots that no owner uses up while others wait.

    A free slot goes to the owner that uses the fewest, and in turn. If one owner uses all slots,
    there is one more for the others.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._used: Counter[Hashable] = Counter()
        self._waiting: dict[Hashable, deque[asyncio.Future[None]]] = {}  # in their turn

    @asynccontextmanager
    async def use(self, owner: Hashable) -> AsyncIterator[None]:
        """Wait for a slot, and free it in the end."""
        granted = asyncio.get_running_loop().create_future()
        self._waiting.setdefault(owner, deque()).append(granted)
        self._grant()
        try:
            await granted
            yield
        finally:
            if granted.done() and not granted.cancelled():
                self._used[owner] -= 1
                self._used += Counter()  # drops owners without slots
                if owner in self._waiting:
                    self._waiting[owner] = self._waiting.pop(owner)  # behind all others
            self._grant()

    def _grant(self) -> None:
        while (owner := self._next_owner()) is not None:
            waiting = self._waiting.pop(owner)
            granted = waiting.popleft()
            if waiting:
                self._waiting[owner] = waiting
            if not granted.cancelled():
                self._used[owner] += 1
                granted.set_result(None)

    def _next_owner(self) -> Hashable | None:
        """Return whose turn it is; None if nobody waits or there is no slot."""
        if not self._waiting:
            return None
        owner = min(self._waiting, key=lambda owner: self._used[owner])
        is_monopoly = len(self._used) == 1 and owner not in self._used
        return owner if self._used.total() < self._size + is_monopoly else None
