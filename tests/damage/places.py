"""Where mirrors are: a folder each, a bucket each in one moto, or a container each in one Swift."""

from __future__ import annotations

import uuid
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

from localcloud.moto_server import MotoServer
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    NewMirror = Callable[[], str]  # the lines of mirror.conf that name an empty storage

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 (only the parent of temporary folders)


@contextmanager
def folders() -> Iterator[NewMirror]:
    with TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None) as top:
        yield lambda: f"directory = {top}/{uuid.uuid4()}"


@contextmanager
def buckets() -> Iterator[NewMirror]:
    moto = MotoServer()
    server = S3Server(moto.endpoint, "testing", "testing")
    try:
        yield (
            lambda: (
                f"storage-backend = s3\ndirectory = /{server.bucket()}/prefix\n[s3]\n"
                f"endpoint_url = {server.endpoint}\nregion_name = us-east-1\n"
                "aws_access_key_id = testing\naws_secret_access_key = testing"
            )
        )
    finally:
        moto.stop()


@contextmanager
def containers() -> Iterator[NewMirror]:
    from tests.servers.swift import SwiftServer  # noqa: PLC0415 (only where Swift is installed)

    with SwiftServer() as swift:
        yield (
            lambda: (
                f"storage-backend = swift\ndirectory = /mirror\n[swift]\nauth_version = 1\n"
                f"auth_url = {swift.auth_url}\nusername = {swift.user}\npassword = {swift.key}\n"
                f"default_container = mirror-{uuid.uuid4()}"
            )
        )


PLACES: Final = {"filesystem": folders, "s3": buckets, "swift": containers}
