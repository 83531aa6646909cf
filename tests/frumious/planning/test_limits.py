"""Lists and feeds that have no end, or whose bytes trickle: of sites, of buckets, and in files."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING

import pytest

from frumious.advisories import feed
from frumious.errors import FrumiousError
from frumious.planning import list_sources
from frumious.planning.lists import read_lists
from frumious.pythons import builds
from tests.upstream import Endless, Fault, Raw, Slow, Status
from tests.upstream.actions import Together

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from frumious.mirror import Mirror
    from tests.world import World

LIMIT = 100_000  # bytes
SECONDS = 1.0
PATIENCE = 15  # seconds, far fewer than the bytes need
LARGE = b"x" * (LIMIT + 1)


async def read_list(mirror: Mirror) -> None:
    await read_lists(mirror.config, mirror.clock)


async def read_feed(mirror: Mirror) -> None:
    policy = mirror.config.advisories
    assert policy is not None
    await feed.fetch_feed(policy, "", mirror.config, mirror.clock)


async def read_builds(mirror: Mirror) -> None:
    policy = mirror.config.pythons
    assert policy is not None
    await builds.mirror_builds(policy, mirror)


KINDS = {
    "locks": ("[plugins]\nenabled = project_locks\n[locks]\nfiles = {}", read_list),
    "requirements": (
        "[plugins]\nenabled = project_requirements\n[allowlist]\nrequirements = {}",
        read_list,
    ),
    "top": ("[plugins]\nenabled = top_projects\n[top]\nprojects = 1\nlist = {}", read_list),
    "feed": ("[advisories]\nfeed = {}", read_feed),
    "builds": ("[pythons]\nlist = {}", read_builds),
}


@pytest.fixture(params=KINDS)
def read(
    request: pytest.FixtureRequest, world: World, monkeypatch: pytest.MonkeyPatch
) -> Callable[[str], str]:
    """Return a function that reads a list, and returns why that fails."""
    monkeypatch.setattr(list_sources, "_MAX_SIZE", LIMIT)
    monkeypatch.setattr(list_sources, "_MAX_TIME", SECONDS)
    monkeypatch.setattr(feed, "MAX_ARCHIVE", LIMIT)
    monkeypatch.setattr(feed, "_SECONDS", SECONDS)
    monkeypatch.setattr(builds, "_MAX_LIST", LIMIT)
    sections, work = KINDS[request.param]

    def read(source: str) -> str:
        if source.startswith("s3://") and request.param == "builds":
            pytest.skip("this list is no object")
        if source.startswith("/") and request.param in {"requirements", "top", "builds"}:
            pytest.skip("this file is the operator's, and read with the configuration")
        options = f"lowest-speed = 0\nglobal-timeout = {SECONDS}"
        world.configure(options, sections=sections.format(source))
        begun = time.monotonic()
        with pytest.raises(FrumiousError) as caught:
            world.run(work)
        assert time.monotonic() - begun < PATIENCE
        return str(caught.value)

    return read


def test_an_endless_answer_is_broken_off(world: World, read: Callable[[str], str]) -> None:
    endless = Together([Status(200), Endless()])
    world.upstream.faults.add(Fault(endless, "/list.txt"))

    assert f"more than {LIMIT}" in read(f"{world.upstream.url}/list.txt")


def test_a_trickling_answer_is_broken_off(world: World, read: Callable[[str], str]) -> None:
    trickling = Together([Status(200), Endless(), Slow(rate=10.0)])
    world.upstream.faults.add(Fault(trickling, "/list.txt"))

    read(f"{world.upstream.url}/list.txt")


def test_a_large_object_is_refused(world: World, read: Callable[[str], str]) -> None:
    world.s3.put_object(Bucket=world.bucket, Key="list.txt", Body=LARGE)

    assert f"more than {LIMIT}" in read(f"s3://{world.bucket}/list.txt")


def test_a_large_file_is_refused(tmp_path: Path, read: Callable[[str], str]) -> None:
    (tmp_path / "list.txt").write_bytes(LARGE)

    assert f"more than {LIMIT}" in read(str(tmp_path / "list.txt")).replace(",", "")


def test_an_etag_that_cannot_be_stored_is_none(world: World) -> None:
    """Otherwise the list could not be written, at each tick."""
    headers = {"ETag": '"\udcff"', "Content-Type": "text/plain"}
    world.upstream.faults.add(Fault(Raw(200, headers, b"demo==1.0\n"), "/list.txt"))
    source = f"{world.upstream.url}/list.txt"
    world.configure(sections=KINDS["locks"][0].format(source))

    world.dry_run()

    assert b"demo" in world.read("state/lists.json")


def test_a_damaged_etag_of_a_list_is_not_sent(world: World) -> None:
    source = f"{world.upstream.url}/list.txt"
    world.configure(sections=KINDS["locks"][0].format(source))
    plain = {"Content-Type": "text/plain"}
    fault = world.upstream.faults.add(Fault(Raw(200, plain, b"demo==1.0\n"), "/list.txt"))
    world.dry_run()
    lists = json.loads(world.read("state/lists.json"))
    lists["lists"][0]["etag"] = '"a"\r\nX-Other: b'
    world.s3.put_object(
        Bucket=world.bucket, Key="state/lists.json", Body=json.dumps(lists).encode()
    )
    world.close()
    world.upstream.faults.remove(fault)
    world.upstream.faults.add(Fault(Raw(200, plain, b"other==1.0\n"), "/list.txt"))

    world.dry_run()

    assert b"other" in world.read("state/lists.json")
