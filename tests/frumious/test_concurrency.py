"""Coroutines that run concurrently end together."""

from __future__ import annotations

import asyncio

import pytest

from frumious.concurrency import run_all


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
