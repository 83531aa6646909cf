"""Coroutines that run concurrently end together, and share slots fairly."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING

import pytest

from frumious.concurrency import FairSlots, run_all

if TYPE_CHECKING:
    from collections.abc import Coroutine


def test_when_one_fails_the_others_end_before_its_error_is_raised() -> None:
    ended: list[str] = []

    async def fail() -> None:
        await asyncio.sleep(0)
        msg = "no"
        raise ValueError(msg)

    async def go_on() -> None:
        try:
            await asyncio.sleep(60)
        finally:
            ended.append("the other")

    async def both() -> None:
        with pytest.raises(ValueError, match="no"):
            await run_all([fail(), go_on()])
        assert ended == ["the other"]

    asyncio.run(both())


def test_results_come_in_order() -> None:
    async def after(seconds: float) -> float:
        await asyncio.sleep(seconds)
        return seconds

    assert asyncio.run(run_all(map(after, (0.02, 0.0, 0.01)))) == [0.02, 0.0, 0.01]


# Slots


async def settle() -> None:
    """Let all tasks go on until they wait."""
    for _ in range(20):
        await asyncio.sleep(0)


class Users:
    """Tasks that take slots, and free them when they are told to."""

    def __init__(self, size: int) -> None:
        self.slots = FairSlots(size)
        self.working: list[str] = []  # owners, in the order in which they got a slot
        self._free: dict[str, list[asyncio.Event]] = {}

    def start(self, owner: str, number: int = 1) -> list[asyncio.Task[None]]:
        return [asyncio.create_task(self._use(owner)) for _ in range(number)]

    async def free(self, owner: str) -> None:
        """Free the slot that the owner has had for longest."""
        self._free[owner].pop(0).set()
        await settle()

    async def _use(self, owner: str) -> None:
        async with self.slots.use(owner):
            self.working.append(owner)
            event = asyncio.Event()
            self._free.setdefault(owner, []).append(event)
            await event.wait()
            self.working.remove(owner)


def run(test: Coroutine[None, None, None]) -> None:
    asyncio.run(asyncio.wait_for(test, 60))


def test_one_owner_may_use_all_slots() -> None:
    async def test() -> None:
        users = Users(3)
        users.start("a", 5)
        await settle()
        assert users.working == ["a", "a", "a"]
        await users.free("a")
        assert users.working == ["a", "a", "a"]

    run(test())


def test_an_owner_that_uses_all_slots_does_not_keep_others_waiting() -> None:
    async def test() -> None:
        users = Users(3)
        users.start("a", 9)
        await settle()
        users.start("b", 2)
        users.start("c", 1)
        await settle()
        assert users.working == ["a", "a", "a", "b"]
        await users.free("b")
        assert users.working == ["a", "a", "a", "c"], "in turn"
        await users.free("c")
        assert users.working == ["a", "a", "a", "b"]
        await users.free("a")
        await users.free("a")
        assert users.working == ["a", "b", "a"], "three slots, as there is no monopoly any more"

    run(test())


def test_a_free_slot_goes_to_the_owner_that_uses_the_fewest() -> None:
    async def test() -> None:
        users = Users(2)
        users.start("a", 4)
        await settle()
        users.start("b", 4)
        await settle()
        await users.free("a")
        assert sorted(users.working) == ["a", "b"]
        await users.free("a")
        assert sorted(users.working) == ["a", "b"]
        await users.free("b")
        assert sorted(users.working) == ["a", "b"]

    run(test())


def test_a_cancelled_user_neither_takes_nor_keeps_a_slot() -> None:
    async def test() -> None:
        users = Users(1)
        (working,) = users.start("a")
        await settle()
        waiting = users.start("a", 2)
        await settle()
        waiting[0].cancel()
        working.cancel()
        await settle()
        assert users.working == ["a", "a"], "the cancelled one, and the last one"
        assert waiting[0].cancelled()
        assert not waiting[1].done()

    run(test())


def test_a_user_that_is_cancelled_when_it_gets_a_slot_gives_it_to_the_next() -> None:
    async def test() -> None:
        slots = FairSlots(1)
        await slots.take("a")
        granted = asyncio.create_task(slots.take("a"))
        waiting = asyncio.create_task(slots.take("a"))
        await settle()
        slots.free("a")
        granted.cancel()
        await settle()
        assert granted.cancelled()
        assert waiting.done()

    run(test())


def test_slots_adapt_to_what_a_server_refuses() -> None:
    async def test() -> None:
        users = Users(8)
        users.start("a", 20)
        await settle()
        for _ in range(5):  # they were sent at the same time
            users.slots.refused(0)
        for _ in range(8):
            await users.free("a")
        assert len(users.working) == 4
        users.slots.refused(users.slots.reductions)
        for _ in range(4):
            await users.free("a")
        assert len(users.working) == 2
        users.slots.succeeded()
        users.slots.succeeded()
        users.slots.succeeded()
        await users.free("a")
        assert len(users.working) == 3
        for _ in range(1000):
            users.slots.succeeded()
        users.start("a", 20)
        await settle()
        assert len(users.working) == 8

    run(test())


def test_one_slot_is_left_whatever_a_server_refuses() -> None:
    async def test() -> None:
        users = Users(2)
        for _ in range(5):
            users.slots.refused(users.slots.reductions)
        users.start("a", 3)
        await settle()
        assert len(users.working) == 1

    run(test())


def test_a_user_that_fails_frees_its_slot() -> None:
    async def test() -> None:
        slots = FairSlots(1)
        with pytest.raises(ZeroDivisionError):
            async with slots.use("a"):
                raise ZeroDivisionError
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(slots.use("b"))

    run(test())
