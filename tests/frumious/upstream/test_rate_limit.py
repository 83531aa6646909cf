"""Rate limits of upstream: the pauses that its headers request are kept."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import pytest
from packaging.utils import canonicalize_name

from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.rate_limit import requested_pause
from tests.upstream import Fault, Headers, Server, Status, wheel

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

NOW = 1_700_000_000.0

EXHAUSTED = [
    {"RateLimit": '"default";r=0;t=120'},
    {"RateLimit": '"default"; t=120; r=0', "RateLimit-Policy": '"default";q=100;w=600'},
    {"RateLimit": '"burst";r=0;t=5, "day";r=0;t=120, "other";r=7;t=9000'},
    {"RateLimit": "limit=100, remaining=0, reset=120"},
    {"RateLimit-Limit": "100", "RateLimit-Remaining": "0", "RateLimit-Reset": "120"},
    {"ratelimit-remaining": "0;w=600", "ratelimit-reset": "120"},
    {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "120"},
    {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW + 120:.0f}"},
    {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": f"{NOW + 120:.0f}000"},
    {"X-Rate-Limit-Remaining": "0", "X-Rate-Limit-Reset": "120"},
]


@pytest.mark.parametrize("refused", [True, False])
@pytest.mark.parametrize("headers", EXHAUSTED)
def test_the_reset_of_a_quota_that_is_used_up_is_the_pause(
    headers: dict[str, str], *, refused: bool
) -> None:
    from multidict import CIMultiDict  # noqa: PLC0415 (aiohttp's type of headers)

    assert requested_pause(CIMultiDict(headers), NOW, refused=refused) == 120


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"RateLimit": '"default";r=1;t=120'},
        {"RateLimit": '"default";r=0'},
        {"RateLimit": "r=0;t=-5"},
        {"RateLimit": ",,;;==", "X-RateLimit-Remaining": "none", "X-RateLimit-Reset": "soon"},
        {"X-RateLimit-Remaining": "3", "X-RateLimit-Reset": "120"},
    ],
)
@pytest.mark.parametrize("refused", [True, False])
def test_without_a_quota_that_is_used_up_there_is_no_pause(
    headers: dict[str, str], *, refused: bool
) -> None:
    assert requested_pause(headers, NOW, refused=refused) is None


def test_a_refusal_may_say_no_more_than_when_the_quota_is_reset() -> None:
    headers = {"X-RateLimit-Reset": "120"}

    assert requested_pause(headers, NOW, refused=True) == 120
    assert requested_pause(headers, NOW, refused=False) is None


def test_retry_after_precedes_the_quota() -> None:
    headers = {"Retry-After": "7", "RateLimit": '"default";r=0;t=120'}

    assert requested_pause(headers, NOW, refused=True) == 7


def test_retry_after_counts_in_refusals_alone_and_may_be_past() -> None:
    past = {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}

    assert requested_pause(past, NOW, refused=True) == 0
    assert requested_pause({"Retry-After": "7"}, NOW, refused=False) is None


@pytest.mark.parametrize("reset", ["99999999", "999999999999999", "1", f"{NOW - 100:.0f}"])
def test_a_pause_is_neither_negative_nor_longer_than_a_day(reset: str) -> None:
    headers = {"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": reset}

    pause = requested_pause(headers, NOW, refused=True)

    assert pause is not None
    assert 0 <= pause <= 24 * 3600


@pytest.mark.parametrize("status", [429, 503])
def test_a_refused_request_is_repeated_when_the_quota_is_reset(world: World, status: int) -> None:
    world.index.upload(wheel("demo", "1.0"))
    action = Status(status, headers={"RateLimit": '"default";r=0;t=20'})
    world.upstream.faults.add(Fault(action, "/simple/", times=1))
    started = world.clock.now()

    assert world.sync("demo").error is None
    assert world.clock.now() - started >= 20


def test_a_long_pause_is_left_to_the_queue(world: World) -> None:
    action = Status(429, headers={"X-RateLimit-Remaining": "0", "X-RateLimit-Reset": "300"})
    world.upstream.faults.add(Fault(action, "/simple/"))

    with pytest.raises(UpstreamUnavailable) as caught:
        world.sync("demo")
    assert caught.value.retry_after == 300
    assert len(world.upstream.requests) == 1


def test_the_next_page_waits_for_a_quota_but_not_for_hours(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    used_up = Headers({"RateLimit-Remaining": "0", "RateLimit-Reset": "7200"})
    world.upstream.faults.add(Fault(used_up, "/simple/one/", times=1))

    started = world.clock.now()
    world.sync("one")
    world.sync("two")

    assert 29 <= world.clock.now() - started <= 600


QUOTA: Final = Headers({"RateLimit-Remaining": "0", "RateLimit-Reset": "20"})


def test_files_wait_for_a_quota(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(QUOTA, re.compile("^/simple/$"), times=1))

    async def download(mirror: Mirror) -> float:
        parsed = await mirror.upstream.project_page(canonicalize_name("demo"), at_least=0)
        assert parsed is not None
        await mirror.upstream.root_serial()
        started = mirror.clock.now()
        async with mirror.upstream.download(parsed.page.files[0].url, None):
            return mirror.clock.now() - started

    assert 19 <= world.run(download) <= 600


def test_pages_wait_for_a_quota_that_a_file_used_up(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    world.upstream.faults.add(Fault(QUOTA, "/packages/", times=1))
    started = world.clock.now()

    world.sync("one")
    world.sync("two")

    assert 19 <= world.clock.now() - started <= 600


def test_another_server_s_quota_is_its_own_affair(world: World) -> None:
    world.index.upload(wheel("one", "1.0"))
    world.index.add_project("two")
    with Server(world.index) as files:
        world.configure(f"download-mirror = {files.url}")
        files.faults.add(Fault(QUOTA, "/packages/"))
        world.sync("one")
        started = world.clock.now()

        world.sync("two")

        assert files.requests_for("/packages/")
        assert world.clock.now() - started < 15
