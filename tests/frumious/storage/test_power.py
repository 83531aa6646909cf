"""A folder whose power is cut: no page names a file that is not whole.

What no page names may be cut off: a job looks at its bytes before it uses them.
"""

from __future__ import annotations

import asyncio
import hashlib
import random
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from frumious.local import run_here
from frumious.mirror import open_mirror
from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.types import Key
from frumious.planning.plan import plan_changes
from frumious.storage.filesystem import barrier
from tests.frumious.storage.power import Operation, Recorder, after_power_cut
from tests.kills.inspection import problems
from tests.upstream import Index, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping, Sequence

    from frumious.config.settings import Config
    from tests.upstream import File, Server

CUTS = 600  # moments at which the power is cut


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


def damage(
    operations: Sequence[Operation], index: Index, *, each_flushed: bool = False
) -> set[str]:
    """Cut the power at many moments, and return all that could mislead a reader.

    With `each_flushed`, also what no page names has to be whole.
    """
    chance = random.Random(1)
    found: set[str] = set()
    for _ in range(CUTS):
        contents = after_power_cut(operations[: chance.randrange(len(operations) + 1)], chance)
        found |= {
            each
            for each in problems(contents, index)
            if each_flushed or "bytes that upstream" not in each
        }
    return found


def test_no_page_names_a_file_that_is_not_whole(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert damage(recorded_runs(config, index, monkeypatch), index) == set()


def store(config: Config, file: File, hashes: Mapping[str, str]) -> None:
    """Store a file as a job does, perhaps one that was delivered twice."""
    content = file.content
    assert content is not None

    async def chunks() -> AsyncIterator[bytes]:
        for chunk in content.read():
            yield chunk

    async def run() -> None:
        async with open_mirror(config) as opened:
            expected = ExpectedContent.of(hashes, content.size)
            key = Key(f"web{file.path}")
            await opened.storage.store(key, FileStream(chunks(), expected, key))

    asyncio.run(run())


@pytest.mark.parametrize("body", [b"small", b"large" * 100_000])
def test_a_file_that_a_page_names_is_not_replaced_by_one_that_may_be_lost(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch, body: bytes
) -> None:
    file = index.add_file("one", "one-1.0.tar.gz", content=body)
    recorder = Recorder(Path(config.directory))
    with monkeypatch.context() as patched:
        recorder.attach(patched)
        mirror(config)
        store(config, file, {"sha256": hashlib.sha256(body).hexdigest()})

    assert damage(recorder.operations, index) == set()


def test_a_file_without_sha256_is_flushed_as_its_size_alone_tells_whether_it_is_whole(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = index.add_file("one", "one-1.0.tar.gz", content=b"body")
    recorder = Recorder(Path(config.directory))
    with monkeypatch.context() as patched:
        recorder.attach(patched)
        store(config, file, {"md5": hashlib.md5(b"body").hexdigest()})  # noqa: S324

    kinds = [each.kind for each in recorder.operations]
    assert kinds.index("flush") < kinds.index("move")


def test_files_are_flushed_one_by_one_where_the_system_cannot_flush_all(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(barrier, "IS_SUPPORTED", False)
    operations = recorded_runs(config, index, monkeypatch)
    operations = [each for each in operations if each.kind != "flush-all"]
    assert damage(operations, index, each_flushed=True) == set()


def test_a_disk_that_never_flushes_is_found_out(
    config: Config, index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    operations = recorded_runs(config, index, monkeypatch)
    assert damage([each for each in operations if not each.kind.startswith("flush")], index)
