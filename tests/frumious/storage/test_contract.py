"""Every storage, and every server that a storage supports, fulfils the same contract."""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager, aclosing, asynccontextmanager
from typing import TYPE_CHECKING

import pytest

from frumious.storage.filesystem.storage import FilesystemStorage
from frumious.storage.s3.storage import S3Storage
from tests.frumious.storage.contract import STATEMENTS, Subject
from tests.servers.localstack import localstack
from tests.servers.makers import ALL_AT_ONCE, MAKERS
from tests.servers.rclone import rclone
from tests.servers.recording_proxy import RecordingProxy
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator

    from frumious.model.types import Key
    from frumious.storage.protocol import Storage
    from tests.frumious.storage.contract import Statement
    from tests.world import Aws

    Opener = Callable[[], AbstractAsyncContextManager[Subject]]

TRAITS = {**MAKERS, "all_at_once": ALL_AT_ONCE}
FEW = 250  # for tests that must be fast: they have small pages


@pytest.fixture(
    scope="module",
    params=[
        "filesystem",
        "moto",
        "all_at_once",  # the traits of makers
        *(pytest.param(maker, marks=pytest.mark.servers) for maker in MAKERS),
        *(
            pytest.param(server, marks=pytest.mark.servers)
            for server in ("localstack", "rclone", "swift_s3", "swift")
        ),
    ],
)
def opener(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Opener]:
    """Start the storage's server once; return a function that opens an empty mirror on it."""
    match request.param:
        case "filesystem":
            yield lambda: _open_folder(tmp_path_factory)
        case "moto":
            aws: Aws = request.getfixturevalue("aws")
            server = S3Server(aws.s3.meta.endpoint_url, "testing", "testing")
            yield lambda: _open_bucket(server, "config_param_MaxKeys = 100", many=FEW)
        case maker if maker in TRAITS:
            aws = request.getfixturevalue("aws")
            with RecordingProxy(aws.s3.meta.endpoint_url, TRAITS[maker]) as proxy:
                server = S3Server(proxy.url, "testing", "testing")
                yield lambda: _open_bucket(server, "config_param_MaxKeys = 100", many=FEW)
        case "localstack":
            with localstack() as server:  # it compares keys in their URL-encoded form
                yield lambda: _open_bucket(server, begins_anywhere=False)
        case "rclone":
            with rclone() as server:
                yield lambda: _open_bucket(server)
        case kind:
            from tests.servers.swift import SwiftServer, open_swift  # noqa: PLC0415

            with SwiftServer() as swift:
                if kind == "swift_s3":
                    server = S3Server(swift.s3_endpoint, swift.user, swift.key)
                    yield lambda: _open_bucket(server, many=1100)
                else:
                    yield lambda: _open_container(open_swift(swift))


@pytest.mark.parametrize("statement", STATEMENTS, ids=lambda statement: statement.__name__)
def test_every_storage_fulfils_the_contract(statement: Statement, opener: Opener) -> None:
    async def check() -> None:
        async with opener() as subject:
            await statement(subject)

    asyncio.run(check())


@asynccontextmanager
async def _open_folder(folders: pytest.TempPathFactory) -> AsyncIterator[Subject]:
    async with aclosing(FilesystemStorage(folders.mktemp("mirror"))) as storage:
        yield Subject(storage)


@asynccontextmanager
async def _open_bucket(
    server: S3Server, options: str = "", *, many: int = 2500, begins_anywhere: bool = True
) -> AsyncIterator[Subject]:
    client = server.client()
    config = server.config(options)

    async def content_type(key: Key) -> str:
        response = client.head_object(Bucket=config.bucket, Key=f"{config.prefix}/{key}")
        return response["ContentType"]

    async with aclosing(S3Storage(config)) as storage:
        yield Subject(storage, many, begins_anywhere, content_type)


@asynccontextmanager
async def _open_container(opening: AbstractAsyncContextManager[Storage]) -> AsyncIterator[Subject]:
    async with opening as storage:
        yield Subject(storage)
