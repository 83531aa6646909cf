"""A folder whose power is cut: no page names a file that is not whole."""

from __future__ import annotations

import asyncio
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.local import run_here
from frumious.mirror import open_mirror
from frumious.planning.plan import plan_changes
from frumious.storage.filesystem import barrier
from tests.frumious.storage.power import Operation, Recorder, after_power_cut
from tests.kills.inspection import problems
from tests.upstream import Index, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.config.settings import Config
    from tests.upstream import Server

CUTS = 150  # moments at which the power is cut


@pytest.fixture
def config(upstream: Server, tmp_path: Path) -> Config:
    return loading.parse(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\nworkers = 4\n",
        {},
    )


def mirror(config: Config) -> None:
    async def run() -> None:
        async with open_mirror(config) as opened:
            await run_here(await plan_changes(opened), opened, lambda *_: None)

    asyncio.run(run())


def recorded_runs(config: Config, index: Index, patch: pytest.MonkeyPatch) -> Sequence[Operation]:
    """Mirror, and follow changes of all kinds."""
    for name in ("one", "two", "three"):
        index.upload(sdist(name, "1.0"))
        index.upload(wheel(name, "1.0"))
    index.add_file("one", "one-2.0.tar.gz", size=3_000_001)
    recorder = Recorder(Path(config.directory))
    with patch.context() as patched:
        recorder.attach(patched)
        mirror(config)
        index.upload(wheel("one", "3.0"))
        index.remove_release("two", "1.0")
        index.remove_project("three")
        index.upload(wheel("four", "1.0"))
        mirror(config)
    return recorder.operations


def damage(operations: Sequence[Operation], index: Index) -> set[str]:
    """Cut the power at many moments, and return all that could mislead a reader."""
    chance = random.Random(1)
    found: set[str] = set()
    for _ in range(CUTS):
        contents = after_power_cut(operations[: chance.randrange(len(operations))], chance)
        found |= set(problems(contents, index))
    return found


def test_no_page_names_a_file_that_is_not_whole(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert damage(recorded_runs(config, index, monkeypatch), index) == set()


def test_files_are_flushed_one_by_one_where_the_system_cannot_flush_all(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barrier, "IS_SUPPORTED", False)
    operations = recorded_runs(config, index, monkeypatch)
    assert damage([each for each in operations if each.kind != "flush-all"], index) == set()


def test_a_disk_that_never_flushes_is_found_out(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = recorded_runs(config, index, monkeypatch)
    assert damage([each for each in operations if not each.kind.startswith("flush")], index)
