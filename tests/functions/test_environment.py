"""What a function keeps from one invocation to the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from frumious_lambda.environment import Environment

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.world import Aws


def test_no_task_outlives_its_invocation(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mirror.conf"
    config.write_text("[mirror]\nstorage-backend = s3\ndirectory = /bucket\n")
    monkeypatch.setenv("FRUMIOUS_CONFIG", str(config))
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    environment = Environment()

    async def leave_a_task() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(60))

    with environment.in_background(asyncio.sleep(60)):
        environment.run(leave_a_task())

    async def other_tasks() -> int:
        return len(asyncio.all_tasks()) - 1

    assert environment.run(other_tasks()) == 0
    environment.close()
