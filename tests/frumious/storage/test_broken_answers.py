"""Answers that break off or make no sense are faults that may pass, whatever was asked."""

from __future__ import annotations

import asyncio
import json
from contextlib import aclosing
from typing import TYPE_CHECKING

import pytest
from msgspec import structs

from frumious.errors import FrumiousError
from frumious.model.types import Key
from frumious.storage.protocol import StorageUnavailable
from tests.frumious.storage.test_trickling import CONFIGS, OPERATIONS, PAGE, read_body
from tests.servers.raw import Connection, RawServer, swift_config

if TYPE_CHECKING:
    from collections.abc import Callable

    from frumious.config.settings import Config
    from frumious.storage.protocol import Storage

    Behaviour = Callable[[Connection], None]

OTHER = Key("web/simple/demo/index.v1_json")
READS = ("read", "stream", "list")
SORRY = b"<html><body>We are being maintained<br></body></html>"


def breaks_off_in_its_head(connection: Connection) -> None:
    read_body(connection)
    connection.socket.sendall(b"HTTP/1.1 200 OK\r\nContent-Le")


def breaks_off_in_its_body(connection: Connection) -> None:
    read_body(connection)
    connection.socket.sendall(b'HTTP/1.1 200 OK\r\nETag: "x"\r\nContent-Length: 1000\r\n\r\nhalf')


def is_reset_in_its_body(connection: Connection) -> None:
    breaks_off_in_its_body(connection)
    connection.reset()


def is_another_page(connection: Connection) -> None:
    read_body(connection)
    connection.respond(200, "Content-Type: text/html", "Connection: close", body=SORRY)


def is_text(connection: Connection) -> None:
    read_body(connection)
    connection.respond(503, "Connection: close", body=b"we are\nbusy")


IN_BODY = (breaks_off_in_its_body, is_reset_in_its_body)


@pytest.fixture(autouse=True)
def without_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("swiftclient.client.sleep", lambda _: None)


def impatient(config: Config) -> Config:
    return structs.replace(config, s3=structs.replace(config.s3, max_attempts=1))


@pytest.mark.parametrize(
    "behave",
    [
        breaks_off_in_its_head,
        breaks_off_in_its_body,
        is_reset_in_its_body,
        is_another_page,
        is_text,
    ],
)
@pytest.mark.parametrize("kind", CONFIGS)
def test_an_answer_that_is_none_may_be_better_at_the_next_attempt(
    kind: str, behave: Behaviour
) -> None:
    async def outcome(name: str, storage: Storage) -> Exception | None:
        try:
            await OPERATIONS[name](storage)
        except FrumiousError as error:
            return error
        return None

    async def work() -> None:
        opened, config = CONFIGS[kind]
        async with aclosing(opened(impatient(config(server, "timeout = 5")))) as storage:
            outcomes = await asyncio.gather(*(outcome(name, storage) for name in OPERATIONS))
        for name, error in zip(OPERATIONS, outcomes, strict=True):
            # The status may say that something is written; the answer to a HEAD has no body.
            is_done = error is None and behave is not is_text and name not in READS
            is_done = is_done and (name not in {"head", "store"} or behave in IN_BODY)
            assert is_done or isinstance(error, StorageUnavailable), f"{name}: {error!r}"
            assert "\n" not in str(error), "an error is one line of a log"

    with RawServer(behave) as server:
        asyncio.run(work())


@pytest.mark.parametrize("status", [498, 499])
@pytest.mark.parametrize("name", ["read", "head", "write", "list", "delete", "store"])
def test_statuses_of_swift_s_own_for_what_passes(status: int, name: str) -> None:
    """Its middleware ratelimit answers 498; 499 says that the request broke off."""

    def behave(connection: Connection) -> None:
        read_body(connection)
        connection.respond(status, "Connection: close", body=b"Slow down")

    async def work() -> None:
        opened, _ = CONFIGS["swift"]
        async with aclosing(opened(swift_config(server, "timeout = 5"))) as storage:
            with pytest.raises(StorageUnavailable, match=str(status)):
                await OPERATIONS[name](storage)

    with RawServer(behave) as server:
        asyncio.run(work())


@pytest.mark.parametrize(
    ("code", "status"),
    [(200, "401 Unauthorized"), (200, "503 Service Unavailable"), (404, "404 Not Found")],
)
def test_what_fails_in_a_deletion_in_bulk_is_deleted_singly(code: int, status: str) -> None:
    """The token may expire while the cluster deletes, and one of its servers may be down."""
    errors = {"Response Status": status, "Errors": [["/c/n", status]]}

    def behave(connection: Connection) -> None:
        read_body(connection)
        if connection.method == "POST":
            connection.respond(code, body=json.dumps(errors).encode())
        else:
            connection.respond(204)

    async def work() -> None:
        opened, _ = CONFIGS["swift"]
        async with aclosing(opened(swift_config(server, "timeout = 5"))) as storage:
            await storage.delete([PAGE, OTHER])

    with RawServer(behave, {"bulk_delete": {}}) as server:
        asyncio.run(work())
        deleted = [path for method, path in server.requests if method == "DELETE"]
        assert sorted(path.partition("mirror/")[2] for path in deleted) == sorted([PAGE, OTHER])
