"""Read one response of an upstream, and print the peak of this process's memory in KiB.

    python -m tests.hostile.parse_in_child URL KIND

`page` is one project page, `pages` are several at the same time, the others one response each:
`root`, `changelog`, `feed`, `legacy`, `provenance`, `builds`.

Imports what a worker imports. Prints the class of the error, if there is one, before the peak.
"""

from __future__ import annotations

import asyncio
import re
import sys
from contextlib import aclosing
from pathlib import Path

import boto3
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.errors import FrumiousError
from frumious.mirror import CLOCK
from frumious.model.changes import Position
from frumious.pythons import builds, listing
from frumious.upstream.client import Client
from frumious.upstream.feed import ChangeFeed
from frumious.upstream.upstream import Upstream

ORIGIN = "mirror.example"  # of the change feed
JOBS = 8  # at the same time
_CONFIG = "[mirror]\nstorage-backend = s3\ndirectory = /bucket\nallow-non-https = true\nmaster = "


async def main(url: str, kind: str) -> None:
    """Read the response."""
    config = loading.parse(f"{_CONFIG}{url}", {})
    async with aclosing(Upstream(config, Client(config, CLOCK))) as upstream:
        match kind:
            case "page":
                await upstream.project_page(canonicalize_name("demo"), at_least=0)
            case "pages":
                async with asyncio.TaskGroup() as jobs:
                    for _ in range(JOBS):
                        jobs.create_task(read_page(upstream))
            case "root":
                await upstream.root_index()
            case "changelog":
                await upstream.changes_since(0)
            case "feed":
                feed = ChangeFeed(Client(config, CLOCK), url, b"")
                await feed.read(Position(origin=ORIGIN), 0.0)
            case "legacy":
                await upstream.legacy_json(canonicalize_name("demo"))
            case "provenance":
                await upstream.provenance(f"{url}/integrity/demo/1.0/demo-1.0.zip/provenance")
            case "builds":
                listing.parse(await builds._read(url, Client(config, CLOCK)), url)


async def read_page(upstream: Upstream) -> None:
    """Read a page and keep it for a while, as a job does that stores files."""
    with upstream.large_pages.room() as room:
        page = await upstream.project_page(canonicalize_name("demo"), at_least=0, room=room)
        await asyncio.sleep(2)
        assert page is not None


if __name__ == "__main__":
    boto3.client("s3", region_name="eu-central-1")
    try:
        asyncio.run(main(*sys.argv[1:]))
    except FrumiousError as error:
        print(type(error).__name__)
    print(re.findall(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())[0])
