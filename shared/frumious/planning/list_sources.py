"""Fetch lists from files, from buckets, and from sites."""

from __future__ import annotations

import asyncio
import io
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.config import values
from frumious.config.filters import is_address
from frumious.errors import FrumiousError
from frumious.upstream.client import Client
from frumious.upstream.responses import etag_of

if TYPE_CHECKING:
    from frumious.clock import Clock
    from frumious.config.settings import Config

_MAX_SIZE: Final = 32 * 1024**2  # bytes
_MAX_TIME: Final = 60.0  # seconds, in which all attempts have to succeed


class ListUnreadable(FrumiousError):
    """A list that is not there, or cannot be read now."""


async def fetch_list(
    source: str, etag: str, config: Config, clock: Clock
) -> tuple[bytes | None, str]:
    """Return the content of a list, and its ETag; None: it still has the one that is given.

    Raises:
        ListUnreadable: it cannot be read.
    """
    try:
        if not is_address(source):
            return await asyncio.to_thread(_read_file, Path(source)), ""
        if source.startswith("s3://"):
            return await asyncio.to_thread(_read_object, source, etag, config)
        async with asyncio.timeout(_MAX_TIME):
            return await _read_address(source, etag, config, clock)
    except TimeoutError as error:
        msg = f"the list {source!r} cannot be read: it takes longer than {_MAX_TIME:.0f} seconds"
        raise ListUnreadable(msg) from error
    except (OSError, FrumiousError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"the list {source!r} cannot be read: {reason}"
        raise ListUnreadable(msg) from error


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        body = file.read(_MAX_SIZE + 1)
    if len(body) > _MAX_SIZE:
        msg = f"it has more than {_MAX_SIZE:,} bytes"
        raise ListUnreadable(msg)
    return body


def _read_object(uri: str, etag: str, config: Config) -> tuple[bytes | None, str]:
    from frumious.storage.s3.fetching import fetch_object  # noqa: PLC0415 (if it is needed)

    file = io.BytesIO()
    new_etag = fetch_object(uri, etag, _MAX_SIZE, _MAX_TIME, file, config)
    return None if new_etag == etag else file.getvalue(), new_etag


async def _read_address(
    url: str, etag: str, config: Config, clock: Clock
) -> tuple[bytes | None, str]:
    bare, login = values.split_login(url)
    address = values.address(bare)
    own = replace(
        config,
        allowed_hosts=frozenset([address] if address is not None else []),
        public_hosts=frozenset(),
        logins={} if login is None else {bare: login},
    )
    client = Client(own, clock)
    headers = {"If-None-Match": etag} if etag else {}
    try:
        response = await client.fetch(bare, limit=_MAX_SIZE, headers=headers)
    finally:
        await client.close()
    if etag and response.status == HTTPStatus.NOT_MODIFIED:
        return None, etag
    response.check_status()
    return response.body, etag_of(response)
