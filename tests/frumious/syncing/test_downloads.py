"""Downloads from servers and CDNs that break off, trickle, resume wrongly or mislabel files."""

from __future__ import annotations

import asyncio
import hashlib
import re
import time
import zlib
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import Job, Outcome, Result
from frumious.model.types import RunId
from frumious.syncing.delivery import RetryLater
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from frumious.upstream.failures import UpstreamUnavailable
from tests.upstream import (
    PYPI,
    Action,
    Chunked,
    Endless,
    Fault,
    Gzip,
    Headers,
    NoRange,
    Personality,
    Slow,
    Status,
    Together,
    Truncated,
    UntilClose,
    Wire,
    WrongBytes,
    sdist,
    wheel,
)

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

SIZE = 300_000
CUT = Truncated(100_000, linger=0.2)
ENDLESS = Together([Chunked(), Truncated(10**9, linger=0.2)])  # all bytes, but no end
NO_SIZES = replace(PYPI, file_keys=frozenset({"filename", "url", "hashes"}))


def upload(world: World) -> bytes:
    """Upload an archive, and return its bytes."""
    content = zlib.compress(hashlib.shake_128(b"demo").digest(SIZE))
    world.index.add_file("demo", "demo-1.0.tar.gz", content=content)
    return content


def is_mirrored(world: World, content: bytes) -> bool:
    result = world.sync("demo")
    return result.error is None and list(world.files().values()) == [content]


def requests(world: World) -> int:
    return len(world.upstream.requests_for("/packages/"))


async def sync(mirror: Mirror, project: str) -> Result:
    attempt = Attempt(Job(RunId("run-1"), canonicalize_name(project), 0))
    return await sync_project(attempt, mirror, Transfer.of(attempt, mirror))


# Progress


def test_a_file_that_breaks_off_a_hundred_times_is_stored(world: World) -> None:
    content = upload(world)
    world.upstream.faults.add(Fault(Truncated(SIZE // 100), "/packages/"))

    assert is_mirrored(world, content)
    assert requests(world) > 100


def test_a_server_that_sends_a_byte_at_each_attempt_is_too_slow(world: World) -> None:
    upload(world)
    world.upstream.faults.add(Fault(Truncated(1), "/packages/"))

    result = world.sync("demo")

    assert "is too slow" in str(result.error)
    assert requests(world) < 1000


def test_resuming_for_ever_is_ended_by_the_global_timeout(world: World) -> None:
    upload(world)
    world.configure("global-timeout = 10\nlowest-speed = 0")
    world.upstream.faults.add(Fault(Truncated(1), "/packages/"))

    assert "was not complete after 10 s" in str(world.sync("demo").error)


def test_breaking_off_without_progress_is_a_fault_of_the_file(world: World) -> None:
    upload(world)
    world.upstream.faults.add(Fault(Together([NoRange(), Truncated(1000)]), "/packages/"))

    assert "broke off after 1000 bytes" in str(world.sync("demo").error)


# Speed


def test_a_trickling_file_is_left_out_and_the_others_are_stored(world: World) -> None:
    world.configure("timeout = 0.3")
    upload(world)
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Slow(rate=100), re.compile("tar.gz$")))

    result = world.sync("demo")

    assert "is too slow" in str(result.error)
    assert "less than 1024 bytes per second" in str(result.error)
    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-1.0-py3-none-any.whl"
    ]


def test_a_file_that_trickles_over_one_connection_is_fetched_over_another(world: World) -> None:
    world.configure("timeout = 0.3")
    content = upload(world)
    world.upstream.faults.add(Fault(Slow(rate=100), "/packages/", times=1))

    assert is_mirrored(world, content)


def test_a_file_that_trickles_only_in_its_end_is_given_up_as_soon(world: World) -> None:
    world.configure("timeout = 0.3\nglobal-timeout = 20")
    upload(world)
    world.upstream.faults.add(Fault(CUT, "/packages/", times=1))
    world.upstream.faults.add(Fault(Slow(rate=100), "/packages/"))
    begun = time.monotonic()

    assert "less than 1024 bytes per second" in str(world.sync("demo").error)
    assert time.monotonic() - begun < 15


NO_END = b"x" * 10_000


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nX-Long: ",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1;extension=",
    ],
    ids=["head", "chunk"],
)
def test_a_file_of_which_only_the_framing_trickles_is_left_out(world: World, head: bytes) -> None:
    world.configure("timeout = 0.3\nglobal-timeout = 20")
    upload(world)
    world.index.upload(wheel("demo", "1.0"))
    trickling = Together([Wire(head + NO_END), Slow(rate=20)])
    world.upstream.faults.add(Fault(trickling, re.compile("tar.gz$")))
    begun = time.monotonic()

    result = world.sync("demo")

    assert "is too slow" in str(result.error)
    assert time.monotonic() - begun < 10
    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-1.0-py3-none-any.whl"
    ]


def test_a_page_of_which_no_byte_says_anything_is_retried_later(world: World) -> None:
    world.configure("timeout = 0.3\nglobal-timeout = 20")
    upload(world)
    head = (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/vnd.pypi.simple.v1+json\r\n"
        b"Content-Encoding: gzip\r\nContent-Length: 20000\r\n\r\n"
    )
    named = b"\x1f\x8b\x08\x08" + bytes(6)  # a name follows, which has no end (RFC 1952)
    trickling = Together([Wire(head + named + NO_END), Slow(rate=20)])
    world.upstream.faults.add(Fault(trickling, "/simple/"))
    begun = time.monotonic()

    with pytest.raises(UpstreamUnavailable, match="is too slow"):
        world.sync("demo")
    assert time.monotonic() - begun < 10
    assert len(world.upstream.requests) == 1


def test_a_slow_storage_is_no_slow_upstream(world: World) -> None:
    content = upload(world)
    (file,) = world.index.files_named("demo-1.0.tar.gz")

    async def read_slowly(mirror: Mirror) -> bytes:
        url = f"{world.upstream.files_url}{file.path}"
        received = b""
        async with mirror.upstream.download(url, len(content)) as download:
            async for chunk in download.chunks:
                world.clock.advance(100)
                received += chunk
        return received

    assert world.run(read_slowly) == content


def test_a_trickling_page_is_retried_later(world: World) -> None:
    world.configure("timeout = 0.3")
    upload(world)
    world.upstream.faults.add(Fault(Slow(rate=100), "/simple/"))

    with pytest.raises(UpstreamUnavailable, match="is too slow"):
        world.sync("demo")
    assert len(world.upstream.requests) == 1


def test_a_project_of_trickling_files_does_not_hold_up_another(world: World) -> None:
    world.configure("downloads = 4")
    for number in range(20):
        world.index.add_file("slow", f"slow-{number}.tar.gz", size=SIZE)
    for number in range(5):
        world.index.add_file("fast", f"fast-{number}.tar.gz", size=SIZE)
    world.upstream.faults.add(Fault(Slow(rate=10_000), re.compile("/slow-")))

    async def sync_both(mirror: Mirror) -> Result:
        slow = asyncio.create_task(sync(mirror, "slow"))
        while requests(world) < mirror.config.downloads:  # noqa: ASYNC110 (in another thread)
            await asyncio.sleep(0.01)
        result = await sync(mirror, "fast")
        assert requests(world) == mirror.config.downloads + 5
        slow.cancel()
        await asyncio.wait([slow])
        return result

    assert world.run(sync_both).outcome is Outcome.UPDATED


def test_a_job_does_not_wait_for_one_trickling_file_after_another(world: World) -> None:
    world.configure("timeout = 0.3\ndownloads = 4")
    for number in range(100):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=SIZE)
    world.upstream.faults.add(Fault(Slow(rate=100), re.compile("/demo-(?!7.tar)")))
    world.plan(["demo"])

    (later,) = world.work()

    assert isinstance(later, RetryLater)
    assert "files of 'demo' too slowly" in later.reason
    assert requests(world) < 50

    world.plan(["demo"])
    (result,) = world.work(last=True)

    assert isinstance(result, Result)
    assert "too slow" in str(result.error)
    assert [file["filename"] for file in world.page("demo")["files"]] == ["demo-7.tar.gz"]


# Content-Encoding


@pytest.mark.parametrize("encoding", ["gzip", "x-gzip", "deflate", "br", "zstd", "aws-chunked"])
@pytest.mark.parametrize("length", ["with", "without"])
def test_a_stored_archive_may_be_labelled_as_compressed(
    world: World, encoding: str, length: str
) -> None:
    content = upload(world)
    label = Headers({"Content-Encoding": encoding})
    action = label if length == "with" else Together([label, Chunked()])
    world.upstream.faults.add(Fault(action, "/packages/"))

    assert is_mirrored(world, content)
    assert requests(world) == 1


def test_a_labelled_archive_is_resumed(world: World) -> None:
    content = upload(world)
    label = Headers({"Content-Encoding": "gzip"})
    world.upstream.faults.add(Fault(Together([label, CUT]), "/packages/", times=1))
    world.upstream.faults.add(Fault(label, "/packages/"))

    assert is_mirrored(world, content)
    assert [request.status for request in world.upstream.requests_for("/packages/")] == [200, 206]


@pytest.mark.parametrize(
    "compressed", [Gzip(), Gzip("deflate", zlib.MAX_WBITS), Gzip("deflate", -zlib.MAX_WBITS)]
)
@pytest.mark.parametrize("personality", [PYPI, NO_SIZES])
def test_what_a_server_compresses_unasked_is_decompressed(
    world: World, compressed: Action, personality: Personality
) -> None:
    world.upstream.personality = personality
    dist = wheel("demo", "1.0", filling=bytes(SIZE))
    world.index.upload(dist)
    world.upstream.faults.add(Fault(compressed, "/packages/"))

    assert world.sync("demo").error is None
    assert dist.content in world.files().values()
    assert dist.core_metadata in world.files().values() or personality is NO_SIZES


@pytest.mark.parametrize("encoding", ["gzip", "br"])
def test_wrong_bytes_stay_wrong_whatever_their_label(world: World, encoding: str) -> None:
    upload(world)
    label = Headers({"Content-Encoding": encoding})
    world.upstream.faults.add(Fault(Together([WrongBytes(), label]), "/packages/"))

    assert "demo-1.0.tar.gz" in str(world.sync("demo").error)
    assert not world.files()


def test_a_bomb_is_no_file(world: World) -> None:
    world.index.upload(sdist("demo", "1.0"))
    world.upstream.faults.add(Fault(Together([Endless(), Gzip()]), "/packages/"))

    assert "more than" in str(world.sync("demo").error)


# The ends of bodies


@pytest.mark.parametrize("personality", [PYPI, NO_SIZES])
@pytest.mark.parametrize(
    "action",
    [
        UntilClose(),
        Together([Chunked(), CUT]),
        ENDLESS,
    ],
)
def test_a_body_without_a_length_or_an_end_is_stored(
    world: World, action: Action, personality: Personality
) -> None:
    world.upstream.personality = personality
    content = upload(world)
    world.upstream.faults.add(Fault(action, "/packages/", times=1))

    assert is_mirrored(world, content)


def test_a_body_without_a_length_that_is_cut_off_is_resumed(world: World) -> None:
    content = upload(world)
    world.upstream.faults.add(Fault(UntilClose(after=100_000), "/packages/", times=1))

    assert is_mirrored(world, content)
    headers = world.upstream.requests_for("/packages/")[-1].headers
    assert headers["range"] == "bytes=100000-"
    assert headers["if-range"].startswith('"'), "else parts of two files may be joined"


def test_all_bytes_without_an_end_need_no_second_request_if_the_page_has_the_size(
    world: World,
) -> None:
    content = upload(world)
    world.upstream.faults.add(Fault(ENDLESS, "/packages/"))

    assert is_mirrored(world, content)
    assert requests(world) == 1


def test_a_resumption_at_the_end_is_answered_with_416(world: World) -> None:
    world.upstream.personality = NO_SIZES
    content = upload(world)
    world.upstream.faults.add(Fault(ENDLESS, "/packages/", times=1))

    assert is_mirrored(world, content)
    assert [request.status for request in world.upstream.requests_for("/packages/")] == [200, 416]


# Resuming


@pytest.mark.parametrize(
    "lie", ["bytes 0-9/10", "bytes 5-99/100", "bytes */100", "100000-", "", None]
)
def test_a_part_that_is_not_the_requested_one_is_not_used(world: World, lie: str | None) -> None:
    content = upload(world)
    world.upstream.faults.add(Fault(CUT, "/packages/", times=1))
    world.upstream.faults.add(Fault(Headers({"Content-Range": lie}), "/packages/", times=1))

    assert is_mirrored(world, content)
    assert requests(world) == 3, "from the start"


def test_a_server_that_sends_less_than_the_requested_part_is_asked_for_the_rest(
    world: World,
) -> None:
    content = upload(world)
    world.upstream.faults.add(Fault(CUT, "/packages/", times=1))
    world.upstream.faults.add(Fault(UntilClose(after=50_000), "/packages/", times=1))

    assert is_mirrored(world, content)
    assert world.upstream.requests_for("/packages/")[-1].headers["range"] == "bytes=150000-"


@pytest.mark.parametrize("etag", ['"other"', 'W/"weak"', None])
def test_another_etag_between_two_parts_does_not_matter_if_the_bytes_are_right(
    world: World, etag: str | None
) -> None:
    content = upload(world)
    action = Together([Headers({"ETag": etag}), CUT])
    world.upstream.faults.add(Fault(action, "/packages/", times=1))

    assert is_mirrored(world, content)


def test_parts_of_two_files_are_no_file(world: World) -> None:
    content = upload(world)
    action = Together([WrongBytes(at=0), Headers({"ETag": None}), CUT])
    world.upstream.faults.add(Fault(action, "/packages/", times=1))

    assert is_mirrored(world, content)
    assert requests(world) == 3, "from the start"


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_is_gone_when_it_is_resumed_is_left_out(world: World, status: int) -> None:
    upload(world)
    world.upstream.faults.add(Fault(CUT, "/packages/", times=1))
    world.upstream.faults.add(Fault(Status(status), "/packages/"))

    assert f"status {status}" in str(world.sync("demo").error)
