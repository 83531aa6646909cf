"""A second process that writes to a folder.

Run as `python -m tests.frumious.storage.filesystem_process VERB FOLDER`.

Each verb prints "ready" when the process may be killed.
"""

from __future__ import annotations

import asyncio
import sys
import time
from itertools import cycle
from pathlib import Path
from typing import TYPE_CHECKING

from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.types import Key
from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import lock
from frumious.storage.filesystem.storage import FilesystemStorage
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

COUNTER = Key("state/counter")
FILE = Key("web/packages/aa/bb/cc/whole-1.0.tar.gz")
PAGE = Key("web/simple/whole/index.v1_json")
BODIES = (b"a" * 1_000_000, b"b" * 2_000_000)
ROUNDS = 6


def counter(number: int) -> bytes:
    """Write a long counter, so that comparing it takes time and other processes can interfere."""
    return b"%-300000d" % number


async def count(folder: Path) -> None:
    """Add to the counter, by compare and swap."""
    storage = FilesystemStorage(folder)
    left = ROUNDS
    while left:
        stored = await storage.read(COUNTER)
        assert stored is not None
        try:
            await storage.write(COUNTER, counter(int(stored.body) + 1), replacing=stored.etag)
        except Conflict:
            continue
        left -= 1


async def store(folder: Path) -> None:
    """Store the first half of a file, and wait for the second."""

    async def chunks() -> AsyncIterator[bytes]:
        yield BODIES[0]
        yield BODIES[1]
        yield b"more"
        print("ready", flush=True)
        await asyncio.sleep(60)

    stream = FileStream(chunks(), ExpectedContent("sha256", "00"), "upstream")
    await FilesystemStorage(folder).store(FILE, stream)


async def write(folder: Path) -> None:
    """Overwrite a page repeatedly, with one of two contents."""
    storage = FilesystemStorage(folder)
    for body in cycle(BODIES):
        await storage.write(PAGE, body)
        print("ready", flush=True)


async def work(folder: Path) -> None:
    """Hold the mirror's lock."""
    with lock(Folder.at(folder, manage_permissions=True)):
        print("ready", flush=True)
        time.sleep(60)  # noqa: ASYNC251 - nothing else is to be done


if __name__ == "__main__":
    asyncio.run(
        {"count": count, "store": store, "write": write, "work": work}[sys.argv[1]](
            Path(sys.argv[2])
        )
    )
