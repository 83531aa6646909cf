"""How many files are downloaded at the same time, and which ones."""

from __future__ import annotations

import asyncio
import re
from typing import TYPE_CHECKING

import pytest

from frumious.config import loading
from tests.frumious.cli.test_cli import frumious
from tests.frumious.syncing.test_downloads import requests, sync
from tests.upstream import Action, AtOnce, Fault, Reset, Slow, Status, Truncated
from tests.world import sync_projects

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.mirror import Mirror
    from frumious.model.jobs import Result
    from tests.upstream import Index, Server
    from tests.world import World

LARGE = 17 * 1024**2


def write_conf(upstream: Server, folder: Path, options: str = "") -> Path:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {folder}/mirror\nmaster = {upstream.url}\n"
        f"allow-non-https = true\n{options}\n"
    )
    return path


def stored(folder: Path) -> int:
    return sum(path.is_file() for path in (folder / "mirror/web/packages").rglob("*"))


@pytest.mark.parametrize(
    "refusal",
    [Status(429), Status(503), Reset(), Truncated(100)],
    ids=["429", "503", "reset", "cut"],
)
def test_a_server_that_refuses_many_downloads_at_once_gets_fewer(
    index: Index, upstream: Server, tmp_path: Path, refusal: Action
) -> None:
    for number in range(200):
        index.add_file("demo", f"demo-{number}.tar.gz", size=1000)
    busy = AtOnce(5, refusal)
    upstream.faults.add(Fault(busy, "/packages/"))

    asyncio.run(sync_projects(loading.load(write_conf(upstream, tmp_path), {}), "demo"))

    assert stored(tmp_path) == 200
    assert busy.peak == 5
    repeated = isinstance(refusal, Reset)  # by aiohttp, which takes the connection for an old one
    assert busy.refused < (240 if repeated else 120)


def test_projects_overlap(index: Index, upstream: Server, tmp_path: Path) -> None:
    for number in range(5):
        index.add_file(f"project-{number}", f"project-{number}-1.0.tar.gz", size=1000)
    files = AtOnce(50, seconds=3)
    upstream.faults.add(Fault(files, "/packages/"))
    conf = write_conf(upstream, tmp_path, "workers = 1")

    assert frumious("-c", str(conf), "mirror").returncode == 0

    assert stored(tmp_path) == 5
    assert files.peak == 5, "no project waits for the last file of another"


def test_projects_whose_files_wait_do_not_overlap(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    for number in range(5):
        for name in ("a", "b"):
            index.add_file(f"project-{number}", f"project-{number}-{name}.tar.gz", size=1000)
    pages = AtOnce(50, seconds=0.01)
    upstream.faults.add(Fault(AtOnce(50, seconds=0.2), "/packages/"))
    upstream.faults.add(Fault(pages, "/simple/project-"))
    conf = write_conf(upstream, tmp_path, "workers = 1\ndownloads = 1")

    assert frumious("-c", str(conf), "mirror").returncode == 0

    assert stored(tmp_path) == 10
    assert pages.peak == 1


def test_large_files_do_not_hold_up_small_ones(world: World) -> None:
    world.configure("downloads = 8")
    for number in range(12):
        file = world.index.add_file("demo", f"demo-{number}.0.zip", size=LARGE)
        _ = file.path, file.content.sha256  # now, so that the mirror does not wait
    for number in range(30):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=1000)
    world.upstream.faults.add(Fault(Slow(rate=100_000), re.compile("zip$")))

    async def sync_for_a_while(mirror: Mirror) -> None:
        job: asyncio.Task[Result] = asyncio.create_task(sync(mirror, "demo"))
        async with asyncio.timeout(60):
            while requests(world) < 34:  # noqa: ASYNC110 (in another thread)
                await asyncio.sleep(0.05)
        paths = [request.path for request in world.upstream.requests_for("/packages/")]
        assert sum(path.endswith("gz") for path in paths) == 30
        job.cancel()
        await asyncio.wait([job])

    world.run(sync_for_a_while)
