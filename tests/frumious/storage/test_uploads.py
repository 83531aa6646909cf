"""Uploads of files to S3 and Swift, and servers that refuse or interrupt them."""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest

from frumious.model.checksums import ExpectedContent, FileStream
from frumious.model.types import Key
from frumious.storage.protocol import StorageRefused, StorageUnavailable
from frumious.storage.s3.storage import S3Storage
from frumious.storage.swift.storage import SwiftStorage
from tests.servers.raw import Connection, RawServer, s3_config, swift_config

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Callable

    Opener = Callable[..., S3Storage | SwiftStorage]
    Behaviour = Callable[[Connection], None]

FILE = Key("web/packages/aa/bb/demo-1.0.tar.gz")
CHUNK = b"x" * 4 * 1024**2  # larger than socket buffers
CHUNKS = 16
EXPECTED = ExpectedContent("sha256", hashlib.sha256(CHUNK * CHUNKS).hexdigest(), 64 * 1024**2)
SMALL = ExpectedContent("sha256", hashlib.sha256(b"small").hexdigest(), 5)
ERRORS = {
    301: StorageRefused,
    307: StorageUnavailable,
    400: StorageRefused,
    413: StorageRefused,
    429: StorageUnavailable,
    503: StorageUnavailable,
}
PATIENCE = 10  # seconds; the timeouts of the configuration are longer unless a test says so


def open_s3(server: RawServer, options: str = "timeout = 60") -> S3Storage:
    return S3Storage(s3_config(server, options))


def open_swift(server: RawServer, options: str = "timeout = 60") -> SwiftStorage:
    return SwiftStorage(swift_config(server, options))


both = pytest.mark.parametrize("opened", [open_s3, open_swift])


class Upload:
    """A file's chunks; `is_closed` is set when their reader has stopped."""

    def __init__(self, *chunks: bytes, stalls: bool = False) -> None:
        self._chunks = chunks
        self._stalls = stalls
        self.is_closed = False

    async def chunks(self) -> AsyncGenerator[bytes, None]:
        try:
            for chunk in self._chunks:
                yield chunk
            if self._stalls:
                await asyncio.Event().wait()
        finally:
            self.is_closed = True

    async def store(self, storage: S3Storage | SwiftStorage, expected: ExpectedContent) -> None:
        async with asyncio.timeout(PATIENCE), aclosing(self.chunks()) as chunks:
            await storage.store(FILE, FileStream(chunks, expected, "upstream"))


def store(
    opened: Opener,
    behave: Behaviour,
    *options: str,
    upload: Upload | None = None,
    expected: ExpectedContent = EXPECTED,
) -> RawServer:
    """Store a file on a server with a behaviour; return the server."""
    upload = upload or Upload(*[CHUNK] * CHUNKS)

    async def work(upload: Upload) -> None:
        async with aclosing(opened(server, *options)) as storage:
            await upload.store(storage, expected)

    with RawServer(behave) as server:
        try:
            asyncio.run(work(upload))
        finally:
            assert upload.is_closed
    return server


def responds(status: int, then: Behaviour = Connection.hang) -> Behaviour:
    def behave(connection: Connection) -> None:
        connection.respond(status, f"Location: {connection.server.url}/elsewhere/else/where")
        then(connection)

    return behave


def close(connection: Connection) -> None:
    """Do nothing more: the server closes the connection."""


@both
@pytest.mark.parametrize(
    ("status", "then"),
    [
        *((status, Connection.hang) for status in ERRORS),
        *((status, close) for status in (307, 400, 413, 503)),
        *((status, Connection.reset) for status in (307, 400)),
    ],
)
def test_an_early_response_ends_the_transfer(opened: Opener, status: int, then: Behaviour) -> None:
    # After a reset, the system may discard the response before anyone has read it.
    error = ERRORS[status] if then is Connection.hang else (ERRORS[status], StorageUnavailable)
    with pytest.raises(error) as raised:
        store(opened, responds(status, then))
    if then is Connection.hang:
        assert str(status) in str(raised.value)


@both
@pytest.mark.parametrize("status", [307, 400])
def test_an_early_response_ends_a_transfer_that_waits_for_upstream(
    opened: Opener, status: int
) -> None:
    with pytest.raises(ERRORS[status], match=str(status)):
        store(opened, responds(status), upload=Upload(b"x" * 1000, b"x", stalls=True))


@both
def test_no_redirect_is_followed(opened: Opener) -> None:
    requests = []

    def redirect(connection: Connection) -> None:
        requests.append(connection.path)
        responds(307)(connection)

    with pytest.raises(StorageUnavailable):
        store(opened, redirect)
    with pytest.raises(StorageUnavailable):
        store(opened, redirect, upload=Upload(b"small"), expected=SMALL)
    assert len(requests) == 2
    assert all(path.endswith(FILE) for path in requests)


@both
def test_success_before_the_end_of_the_file_is_none(opened: Opener) -> None:
    status = 200 if opened is open_s3 else 201
    with pytest.raises(StorageUnavailable, match="before"):
        store(opened, responds(status))


def read_some(connection: Connection) -> None:
    for _ in range(100):
        connection.socket.recv(10_000)


@both
@pytest.mark.parametrize("then", [close, Connection.reset])
def test_a_connection_that_breaks_ends_the_transfer(opened: Opener, then: Behaviour) -> None:
    def behave(connection: Connection) -> None:
        read_some(connection)
        then(connection)

    for upload in (None, Upload(CHUNK, CHUNK, stalls=True)):
        with pytest.raises(StorageUnavailable):
            store(opened, behave, upload=upload)


@both
@pytest.mark.parametrize("behave", [Connection.hang, read_some])
def test_a_server_that_takes_no_more_bytes_is_given_up_after_the_timeout(
    opened: Opener, behave: Behaviour
) -> None:
    def stall(connection: Connection) -> None:
        behave(connection)
        connection.hang()

    with pytest.raises(StorageUnavailable):
        store(opened, stall, "timeout = 0.5")


@both
def test_a_server_that_never_answers_is_given_up_after_the_timeout(opened: Opener) -> None:
    with pytest.raises(StorageUnavailable):
        store(opened, Connection.hang, "timeout = 0.5", upload=Upload(b"small"), expected=SMALL)


@both
def test_a_slow_server_is_not_given_up_while_bytes_move(opened: Opener) -> None:
    body = CHUNK * 8
    size = len(body)
    md5 = hashlib.md5(body, usedforsecurity=False).hexdigest()

    def read_slowly(connection: Connection) -> None:
        left = size
        while left > 0:
            left -= len(connection.socket.recv(min(left, 1024**2), 0x100))  # MSG_WAITALL
            time.sleep(0.1)
        connection.respond(200 if opened is open_s3 else 201, f'ETag: "{md5}"')

    expected = ExpectedContent("sha256", hashlib.sha256(body).hexdigest(), size)
    store(opened, read_slowly, "timeout = 2", upload=Upload(body), expected=expected)


def test_s3_s_own_timeout_passes() -> None:
    def behave(connection: Connection) -> None:
        connection.respond(400, body=b"<Error><Code>RequestTimeout</Code></Error>")

    with pytest.raises(StorageUnavailable, match="RequestTimeout"):
        store(open_s3, behave, upload=Upload(b"x", b"x", stalls=True))
