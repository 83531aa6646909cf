"""What was found out about a server, kept in the bucket for a day: probing takes many requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from frumious.model.types import Key
from frumious.storage.s3.capabilities import Capabilities
from frumious.storage.s3.objects import Objects

if TYPE_CHECKING:
    from frumious.storage.s3.bucket import Bucket

FINDINGS: Final = Key("state/s3-server.json")

_VERSION: Final = 1  # of what is probed
_MAX_AGE: Final = timedelta(days=1)


class _Findings(Struct, frozen=True):
    endpoint: str
    server: str  # as its responses name it, often with a version
    capabilities: Capabilities
    version: int


async def read_findings(bucket: Bucket) -> Capabilities | None:
    """Return what was found out; None: nothing, too long ago, or about another server."""

    def get() -> Capabilities | None:
        response = bucket.client.get_object(
            Bucket=bucket.name, Key=bucket.prefix + FINDINGS, **bucket.options("GetObject")
        )
        body = response["Body"].read()
        if abs(datetime.now(UTC) - response["LastModified"]) > _MAX_AGE:
            return None
        try:
            found = msgspec.json.decode(body, type=_Findings)
        except ValueError:
            return None
        return found.capabilities if found == _findings(bucket, found.capabilities) else None

    return await bucket.find(get, FINDINGS)


async def keep_findings(bucket: Bucket, capabilities: Capabilities) -> None:
    """Keep what was found out."""
    body = msgspec.json.encode(_findings(bucket, capabilities))
    await Objects(bucket, capabilities).put(FINDINGS, body)


def _findings(bucket: Bucket, capabilities: Capabilities) -> _Findings:
    return _Findings(bucket.endpoint, bucket.server, capabilities, _VERSION)
