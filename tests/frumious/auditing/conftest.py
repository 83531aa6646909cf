"""Mirrors to audit, on every storage."""

from __future__ import annotations

import uuid
from typing import TYPE_CHECKING

import pytest

from tests.frumious.auditing.mirrors import AuditedMirror
from tests.servers.s3 import S3Server
from tests.upstream import Server, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.world import Aws


# A Swift container has no compressed variants of JSON pages.
with_json_variants = pytest.mark.parametrize("storage", ["filesystem", "s3"], indirect=True)


@pytest.fixture(
    params=["filesystem", "s3", pytest.param("swift", marks=pytest.mark.servers)], scope="module"
)
def storage(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[[], str]]:
    """Return what makes the configuration of an empty mirror."""
    match request.param:
        case "filesystem":
            yield lambda: f"directory = {tmp_path_factory.mktemp('mirror')}"
        case "s3":
            aws: Aws = request.getfixturevalue("aws")
            server = S3Server(aws.s3.meta.endpoint_url, "testing", "testing")
            yield (
                lambda: (
                    f"storage-backend = s3\ndirectory = /{server.bucket()}/some/prefix\n[s3]\n"
                    f"endpoint_url = {server.endpoint}\naws_access_key_id = testing\n"
                    "aws_secret_access_key = testing\nregion_name = us-east-1"
                )
            )
        case _:
            from tests.servers.swift import SwiftServer  # noqa: PLC0415

            with SwiftServer() as swift:
                yield (
                    lambda: (
                        f"storage-backend = swift\ndirectory = /mirror\n[swift]\nauth_version = 1\n"
                        f"auth_url = {swift.auth_url}\nusername = {swift.user}\n"
                        f"password = {swift.key}\ndefault_container = mirror-{uuid.uuid4()}"
                    )
                )


@pytest.fixture
def audited(upstream: Server, storage: Callable[[], str]) -> Iterator[AuditedMirror]:
    """A mirror of three projects with names that sort differently as folders."""
    for name in ("demo", "demo-more", "demo0"):
        upstream.index.upload(wheel(name, "1.0"))
        upstream.index.upload(wheel(name, "2.0"))
        upstream.index.upload(sdist(name, "1.0"))
    with AuditedMirror(upstream, storage()) as mirror:
        mirror.sync()
        yield mirror
