"""Blocking calls: how many run concurrently, and what happens if their caller is cancelled."""

from __future__ import annotations

import asyncio
import hashlib
import os
import socket
import threading
import time
from contextlib import ExitStack, aclosing, suppress
from typing import TYPE_CHECKING, NoReturn

import pytest

from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.types import Key
from frumious.storage.filesystem.lock import open_locked
from frumious.storage.filesystem.storage import FilesystemStorage
from frumious.storage.protocol import StorageUnavailable
from frumious.storage.s3.storage import S3Storage
from frumious.storage.swift.storage import SwiftStorage
from frumious.storage.threads import ThreadPool, at_most
from tests.servers.raw import Connection, RawServer, s3_config, swift_config

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    Opener = Callable[..., S3Storage | SwiftStorage]

PAGE = Key("web/simple/demo/index.html")
BODY = b"file"
PATIENCE = 20  # seconds, far more than anything here takes


def open_s3(server: RawServer, options: str = "") -> S3Storage:
    return S3Storage(s3_config(server, options))


def open_swift(server: RawServer, options: str = "") -> SwiftStorage:
    return SwiftStorage(swift_config(server, options))


both = pytest.mark.parametrize("opened", [open_s3, open_swift])


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110 (of a thread's or a server's)
            await asyncio.sleep(0.01)


@pytest.mark.parametrize(("opened", "calls"), [(open_s3, 50), (open_swift, 32)])
def test_as_many_requests_as_there_are_connections_run_at_once(opened: Opener, calls: int) -> None:
    arrived = threading.Barrier(calls)

    def respond_when_all_have_arrived(connection: Connection) -> None:
        try:
            arrived.wait(PATIENCE)
        except threading.BrokenBarrierError:
            connection.respond(403, "Connection: close")
        else:
            connection.respond(404, "Connection: close")

    async def work() -> None:
        async with aclosing(opened(server)) as storage, asyncio.TaskGroup() as group:
            for number in range(calls):
                group.create_task(storage.head(Key(f"web/{number}")))

    with RawServer(respond_when_all_have_arrived) as server:
        asyncio.run(work())
        assert len(server.requests) == calls


@both
def test_as_many_files_as_can_be_downloaded_are_uploaded_at_once(opened: Opener) -> None:
    files = 200  # the maximum of `downloads`
    arrived = threading.Barrier(files)

    def respond_when_all_have_arrived(connection: Connection) -> None:
        body = connection.socket.recv(len(BODY))
        md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()
        with suppress(threading.BrokenBarrierError):
            arrived.wait(PATIENCE)
            status = 200 if opened is open_s3 else 201
            connection.respond(status, f'ETag: "{md5}"', "Connection: close")

    async def upload(storage: S3Storage | SwiftStorage, number: int) -> None:
        expected = ExpectedContent("sha256", hashlib.sha256(BODY).hexdigest(), len(BODY))
        file = Key(f"web/packages/{number}.tar.gz")
        await storage.store(file, FileStream(chunks_of(BODY), expected, "upstream"))

    async def work() -> None:
        async with (
            aclosing(opened(server, "timeout = 3")) as storage,
            asyncio.TaskGroup() as group,
        ):
            for number in range(files):
                group.create_task(upload(storage, number))

    with RawServer(respond_when_all_have_arrived) as server:
        asyncio.run(work())
        assert len(server.requests) == files


async def chunks_of(body: bytes) -> AsyncIterator[bytes]:
    yield body


def test_as_many_files_are_written_at_once_as_a_folder_has_threads(tmp_path: Path) -> None:
    async def work() -> None:
        async with aclosing(FilesystemStorage(tmp_path)) as storage, asyncio.TaskGroup() as group:
            await storage.write(PAGE, b"x")
            with ExitStack() as locked:
                locked.callback(os.close, open_locked(tmp_path / ".frumious/lock", 0o644))
                for number in range(32):
                    group.create_task(storage.write(Key(f"web/{number}"), b"x"))
                await until(lambda: len(list((tmp_path / ".frumious").glob("*.tmp"))) == 32)

    asyncio.run(work())


@both
def test_a_read_that_is_not_answered_ends_with_its_caller(opened: Opener) -> None:
    async def work() -> None:
        async with aclosing(opened(server, "timeout = 60")) as storage:
            for read in (storage.read(PAGE), storage.head(PAGE), anext(storage.list("web/"))):
                begun = time.monotonic()
                with pytest.raises(TimeoutError):
                    async with asyncio.timeout(0.5):
                        await read
                assert time.monotonic() - begun < PATIENCE

    with RawServer(Connection.hang) as server:
        asyncio.run(work())


@both
def test_a_read_that_nobody_waits_for_is_not_repeated(opened: Opener) -> None:
    async def work() -> None:
        async with aclosing(opened(server)) as storage:
            reading = asyncio.ensure_future(storage.read(PAGE))
            await until(lambda: bool(server.requests))
            reading.cancel()
            await asyncio.wait([reading])

    def reset_when_released(connection: Connection) -> None:
        released.wait()
        connection.reset()

    released = threading.Event()
    with RawServer(reset_when_released) as server:
        asyncio.run(work())
        released.set()
        time.sleep(1.5)
        assert len(server.requests) == 1


@both
def test_a_write_is_waited_for_when_its_caller_gives_up(opened: Opener) -> None:
    def respond_when_released(connection: Connection) -> None:
        released.wait()
        connection.respond(201, 'ETag: "x"', "Connection: close")

    async def work() -> None:
        async with aclosing(opened(server)) as storage:
            writing = asyncio.ensure_future(storage.write(PAGE, b"page"))
            await until(lambda: bool(server.requests))
            writing.cancel()
            await asyncio.wait([writing], timeout=0.3)
            assert not writing.done()
            released.set()
            with pytest.raises(asyncio.CancelledError):
                await writing

    released = threading.Event()
    with RawServer(respond_when_released) as server:
        asyncio.run(work())


@both
def test_a_write_that_is_not_answered_is_waited_for_no_longer_than_the_timeout(
    opened: Opener,
) -> None:
    async def work() -> None:
        async with aclosing(opened(server, "timeout = 1")) as storage:
            writing = asyncio.ensure_future(storage.write(PAGE, b"page"))
            await until(lambda: bool(server.requests))
            writing.cancel()
            await asyncio.wait([writing], timeout=4)  # responses have six times the timeout
            assert writing.cancelled()

    with RawServer(Connection.hang) as server:
        asyncio.run(work())
        assert len(server.requests) == 1  # and it is not sent again


def half_created() -> socket.socket:
    """Return what `socket.socket()` leaves if it is interrupted: without its last attributes."""
    half = socket.socket.__new__(socket.socket)
    super(socket.socket, half).__init__()
    return half


class Connecting:
    """What libraries do between the creation of a socket and its connection, for ever."""

    def __init__(self, create: Callable[[], socket.socket]) -> None:
        self.sockets: list[socket.socket] = []
        self._create = create

    def __call__(self) -> NoReturn:
        unconnected = self._create()
        self.sockets.append(unconnected)
        while True:
            time.sleep(0.01)

    @property
    def is_closed(self) -> bool:
        return [unconnected.fileno() for unconnected in self.sockets] == [-1]


@pytest.fixture(params=[socket.socket, half_created])
def connecting(request: pytest.FixtureRequest) -> Connecting:
    return Connecting(request.param)


def test_the_socket_of_a_call_in_a_pool_that_takes_too_long_is_closed(
    connecting: Connecting,
) -> None:
    async def work() -> None:
        pool = ThreadPool(1, limit=0.1)
        with pytest.raises(StorageUnavailable, match=r"took more than 0\.1 seconds"):
            await pool.run(connecting)
        pool.close()

    asyncio.run(work())
    assert connecting.is_closed


def test_the_socket_of_a_call_that_takes_too_long_is_closed(connecting: Connecting) -> None:
    with pytest.raises(StorageUnavailable), at_most(0.1, "a request"):
        connecting()
    assert connecting.is_closed


def test_the_socket_of_a_call_that_nobody_waits_for_is_closed_with_the_storage(
    connecting: Connecting,
) -> None:
    async def work() -> None:
        pool = ThreadPool(1, grace=PATIENCE)
        task = asyncio.create_task(pool.run(connecting, read_only=True))
        await until(lambda: bool(connecting.sockets))
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        pool.close()
        await until(lambda: connecting.is_closed)

    asyncio.run(work())


class Finalized:
    """Its finalizer takes until it is interrupted, and Python ignores what finalizers raise."""

    def __del__(self) -> None:
        while True:
            time.sleep(0.01)


def test_an_interruption_that_is_ignored_is_repeated() -> None:
    def forget_and_go_on() -> NoReturn:
        Finalized()
        while True:
            time.sleep(0.01)

    async def work() -> None:
        pool = ThreadPool(1, limit=0.1)
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(StorageUnavailable):
                await pool.run(forget_and_go_on)
        pool.close()

    asyncio.run(work())
