"""The storage of the simulation keeps the contract of all storages, as a folder and as a bucket."""

from __future__ import annotations

import asyncio
import time
from contextlib import closing
from typing import TYPE_CHECKING

import pytest

from tests.frumious.storage.contract import STATEMENTS, Subject
from tests.simulation.loop import SimulatedLoop
from tests.simulation.process import EPOCH, Process
from tests.simulation.storage import Disk, MemoryStorage

if TYPE_CHECKING:
    from tests.frumious.storage.contract import Statement


@pytest.mark.parametrize("is_bucket", [False, True], ids=["folder", "bucket"])
@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.__name__)
def test_the_simulated_storage_fulfils_the_contract(statement: Statement, is_bucket: bool) -> None:  # noqa: FBT001 (pytest passes it)
    with closing(SimulatedLoop()) as loop:
        loop.elapsed = time.time() - EPOCH
        process = Process("contract", loop, print)
        storage = MemoryStorage(Disk(is_bucket=is_bucket), process)
        asyncio.run(statement(Subject(storage)))  # type: ignore[arg-type]
