"""Servers that answer a byte at a time, which no timeout between two bytes notices."""

from __future__ import annotations

import asyncio
import hashlib
import io
import time
from contextlib import aclosing, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.types import Key
from frumious.storage.protocol import StorageUnavailable
from frumious.storage.s3.fetching import fetch_object
from frumious.storage.s3.storage import S3Storage
from frumious.storage.swift.storage import SwiftStorage
from tests.servers.raw import Connection, RawServer, s3_config, swift_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from frumious.storage.protocol import Storage

    Operation = Callable[[Storage], Awaitable[object]]

PAGE, FILE = Key("web/simple/demo/index.html"), Key("web/packages/aa/bb/demo-1.0.tar.gz")
SMALL, LARGE = b"x" * 1000, b"x" * 1024**2
CONFIGS: dict[str, Any] = {
    "s3": (S3Storage, s3_config),
    "swift": (SwiftStorage, swift_config),
}
SECONDS = 1.5  # the limit on the whole; between two bytes there are fewer
PATIENCE = 10  # an operation may be several requests


def trickle(connection: Connection, data: bytes) -> None:
    for byte in data:
        if connection.server.closing.wait(0.1):
            return
        connection.socket.sendall(bytes([byte]))


def in_head(connection: Connection) -> None:
    read_body(connection)
    trickle(connection, b"HTTP/1.1 200 OK\r\nX-Long: " + b"x" * 1000)


def in_body(connection: Connection) -> None:
    read_body(connection)
    status = 201 if connection.path.startswith("/v1/") and connection.method == "PUT" else 200
    head = f'HTTP/1.1 {status} OK\r\nETag: "x"\r\nContent-Length: 1000\r\n\r\n'
    connection.socket.sendall(head.encode())
    trickle(connection, b"x" * 1000)


def read_body(connection: Connection) -> None:
    """Read what comes within a moment."""
    connection.socket.settimeout(0.2)
    with suppress(TimeoutError):
        while connection.socket.recv(1024**2):
            pass
    connection.socket.settimeout(None)


async def stream_of(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def store(storage: Storage, *, size: int | None) -> None:
    """Store a file; without a size, S3 gets parts, and Swift segments."""
    expected = ExpectedContent("sha256", hashlib.sha256(LARGE).hexdigest(), size)
    async with aclosing(stream_of(LARGE)) as chunks:  # type: ignore[type-var]
        await storage.store(FILE, FileStream(chunks, expected, "upstream"))


async def read_all(storage: Storage) -> None:
    opened = await storage.stream(FILE)
    assert opened is not None
    async with aclosing(opened.chunks) as chunks:
        async for _ in chunks:
            pass


OPERATIONS: dict[str, Operation] = {
    "read": lambda storage: storage.read(PAGE),
    "head": lambda storage: storage.head(PAGE),
    "stream": read_all,
    "write": lambda storage: storage.write(PAGE, SMALL),
    "write a large page": lambda storage: storage.write(PAGE, LARGE),
    "create": lambda storage: storage.create(PAGE, SMALL),
    "list": lambda storage: anext(storage.list("web/")),
    "delete": lambda storage: storage.delete([PAGE]),
    "store": lambda storage: store(storage, size=len(LARGE)),
    "store in parts": lambda storage: store(storage, size=None),
}


async def end_of(operation: Operation, storage: Storage) -> tuple[Exception | None, float]:
    """Return how an operation ends, and after how many seconds."""
    begun = time.monotonic()
    try:
        await operation(storage)
    except (StorageUnavailable, TimeoutError) as error:
        return error, time.monotonic() - begun
    return None, time.monotonic() - begun


@pytest.mark.parametrize("trickling", [in_head, in_body])
@pytest.mark.parametrize("kind", CONFIGS)
def test_no_request_outlives_the_global_timeout(
    kind: str, trickling: Callable[[Connection], None]
) -> None:
    async def work() -> None:
        opened, config = CONFIGS[kind]
        options = f"timeout = 0.5\nglobal-timeout = {SECONDS}"
        async with aclosing(opened(config(server, options))) as storage:
            ends = await asyncio.gather(*(end_of(each, storage) for each in OPERATIONS.values()))
        for name, (error, seconds) in zip(OPERATIONS, ends, strict=True):
            assert seconds < PATIENCE, name
            if trickling is in_head:  # else the status may say that it is done
                assert isinstance(error, StorageUnavailable), name

    with RawServer(trickling) as server:
        asyncio.run(work())


@pytest.mark.parametrize("kind", CONFIGS)
def test_no_request_outlives_its_job_by_more_than_the_timeout(kind: str) -> None:
    async def limited(operation: Operation, storage: Storage) -> None:
        async with asyncio.timeout(SECONDS):
            await operation(storage)

    async def work() -> None:
        opened, config = CONFIGS[kind]
        async with aclosing(opened(config(server, "timeout = 1"))) as storage:
            limits = [partial(limited, each) for each in OPERATIONS.values()]
            ends = await asyncio.gather(*(end_of(each, storage) for each in limits))
        for name, (error, seconds) in zip(OPERATIONS, ends, strict=True):
            assert isinstance(error, TimeoutError), name
            assert seconds < PATIENCE, name

    with RawServer(in_head) as server:
        asyncio.run(work())


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_storage_works_again_after_requests_that_were_ended(kind: str) -> None:
    """Whatever ended them must not end others, and must leave connections that can be used."""
    calm = False

    def behave(connection: Connection) -> None:
        if calm:
            body = b"<Error><Code>NoSuchKey</Code></Error>"
            connection.respond(404, "Connection: close", body=body)
        else:
            in_head(connection)

    async def work() -> None:
        nonlocal calm
        opened, config = CONFIGS[kind]
        options = "timeout = 10\nglobal-timeout = 3"
        async with aclosing(opened(config(server, options))) as storage:
            results = await asyncio.gather(
                *(storage.read(Key(f"web/{number}")) for number in range(60)),
                return_exceptions=True,
            )
            assert {type(result) for result in results} == {StorageUnavailable}
            calm = True
            for number in range(60):
                assert await storage.read(Key(f"web/{number}")) is None

    with RawServer(behave) as server:
        asyncio.run(work())


@pytest.mark.parametrize("trickling", [in_head, in_body])
def test_a_list_or_feed_in_a_bucket_is_read_within_its_time(
    trickling: Callable[[Connection], None],
) -> None:
    with RawServer(trickling) as server:
        config = s3_config(server, "timeout = 0.5")
        begun = time.monotonic()
        with pytest.raises(StorageUnavailable, match=r"s3://lists/team\.txt"):
            fetch_object("s3://lists/team.txt", "", 10_000, SECONDS, io.BytesIO(), config)
        assert time.monotonic() - begun < PATIENCE
