"""Read the lists of `[locks] files` anew, and store them for the workers.

A list that cannot be read stops the plan: nothing is removed because of it.
"""

from __future__ import annotations

import asyncio
import io
import logging
from contextlib import suppress
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from typing import TYPE_CHECKING, Final

from frumious import __version__
from frumious.config import values
from frumious.config.settings import PYPI
from frumious.errors import FrumiousError
from frumious.model.lists import Lists, LockedList
from frumious.redaction import redact
from frumious.state.objects import LedgerCorrupt
from frumious.upstream.client import Client

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.clock import Clock
    from frumious.config.settings import Config
    from frumious.mirror import Mirror
    from frumious.selection.locks import UnreadLocks

logger = logging.getLogger(__name__)

_MAX_LIST: Final = 32 * 1024**2  # bytes
_MAX_LISTS: Final = 1000
_MAX_SHOWN: Final = 20  # packages from elsewhere


class ListUnreadable(FrumiousError):
    """A list that is not there, or cannot be read now."""


async def follow_lists(mirror: Mirror, *, store: bool = True) -> Mirror:
    """Return the mirror with the selection by the lists as they are now.

    With `store`, the workers of later jobs select by them as well.

    Raises:
        ListUnreadable, InvalidList: one of them cannot be read; the text names it.
    """
    if mirror.config.selection.unread_locks is None:
        return mirror
    stored: Lists | None = None
    with suppress(LedgerCorrupt):  # it is written anew
        stored = await mirror.ledger.lists(mirror.selection.lists)  # perhaps read just now
    current = await read_lists(mirror.config, mirror.clock, stored)
    if store and current != stored:
        await mirror.ledger.write_lists(current)
    return mirror.with_lists(current)


async def read_lists(config: Config, clock: Clock, stored: Lists | None = None) -> Lists:
    """Read the lists of a configuration; those that did not change are taken from `stored`.

    Raises:
        ListUnreadable, InvalidList: as for `follow_lists`.
    """
    unread = config.selection.unread_locks
    if unread is None:
        return Lists()
    # Lock files name PyPI also where `master` is a mirror of it.
    indexes = (PYPI, config.master, *unread.indexes)
    read_by = f"{__version__} {' '.join(indexes)}"
    previous = {} if stored is None else {each.source: each for each in stored.lists}
    unchanged = previous if stored is not None and stored.read_by == read_by else {}
    lists = [
        await _read(source, unchanged.get(redact(source)), indexes, config, clock)
        for source in _sources(unread)
    ]
    if not any(each.pins for each in lists):
        msg = "the lists of [locks] files pin nothing of the index: nothing would be mirrored"
        raise ListUnreadable(msg)
    for each in lists:
        before = previous.get(each.source)
        if each.left_out and (before is None or before.left_out != each.left_out):
            logger.warning(
                "%s: left out, as they do not come from the index: %s%s",
                each.source,
                ", ".join(each.left_out[:_MAX_SHOWN]),
                ", ..." if len(each.left_out) > _MAX_SHOWN else "",
            )
    return Lists(lists=tuple(lists), read_by=read_by)


def _sources(unread: UnreadLocks) -> Iterator[str]:
    """Yield every list, with the files that match patterns."""
    found: list[str] = []
    for source in unread.sources:
        if "://" in source or not any(character in source for character in "*?["):
            found.append(source)
            continue
        path = Path(source)
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not matches:
            msg = f"[locks] files: no file matches {source!r}"
            raise ListUnreadable(msg)
        found += map(str, matches)
    if len(found) > _MAX_LISTS:
        msg = f"[locks] files names {len(found)} lists; at most {_MAX_LISTS} are read"
        raise ListUnreadable(msg)
    yield from dict.fromkeys(found)


async def _read(
    source: str, known: LockedList | None, indexes: tuple[str, ...], config: Config, clock: Clock
) -> LockedList:
    """Read one list; return the known one if it has not changed."""
    from frumious.locks.parse import parse_list  # noqa: PLC0415 (few mirrors have lists)

    etag = known.etag if known is not None else ""
    scheme, separator, _ = source.partition("://")
    body: bytes | None
    try:
        if not separator:
            body, etag = await asyncio.to_thread(_read_file, Path(source)), ""
        elif scheme == "s3":
            body, etag = await asyncio.to_thread(_read_object, source, etag, config)
        else:
            body, etag = await _read_address(source, etag, config, clock)
    except (OSError, FrumiousError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        msg = f"the list {source!r} cannot be read: {reason}"
        raise ListUnreadable(msg) from error
    if body is None and known is not None:
        return known
    shown = redact(source)
    found = parse_list(shown, body or b"", indexes)
    return LockedList(source=shown, etag=etag, pins=found.pins, left_out=tuple(found.left_out))


def _read_file(path: Path) -> bytes:
    with path.open("rb") as file:
        body = file.read(_MAX_LIST + 1)
    if len(body) > _MAX_LIST:
        msg = f"it has more than {_MAX_LIST:,} bytes"
        raise ListUnreadable(msg)
    return body


async def _read_address(
    url: str, etag: str, config: Config, clock: Clock
) -> tuple[bytes | None, str]:
    """Return the body and its ETag; None: it has not changed."""
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
        response = await client.fetch(bare, limit=_MAX_LIST, headers=headers)
    finally:
        await client.close()
    if etag and response.status == HTTPStatus.NOT_MODIFIED:
        return None, etag
    response.check_status()
    return response.body, response.headers.get("ETag", "")


def _read_object(uri: str, etag: str, config: Config) -> tuple[bytes | None, str]:
    """Return the body and its ETag; None: it has not changed."""
    from frumious.storage.s3.fetching import fetch_object  # noqa: PLC0415 (if it is needed)

    file = io.BytesIO()
    new_etag = fetch_object(uri, etag, _MAX_LIST, file, config)
    return None if new_etag == etag else file.getvalue(), new_etag
