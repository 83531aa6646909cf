"""The root index in shards: those that change are written, then the head, then the JSON page.

The root index's JSON page says in how many shards it was published. Where it says another number
than the configuration, all shards are written. A shard is merged by the rules of the root index, so
that to do it twice changes nothing, and a finalizer that was overtaken takes back no serial.
"""

from __future__ import annotations

import asyncio
import logging
from collections import defaultdict
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from frumious.concurrency import in_groups
from frumious.model.checksums import md5
from frumious.model.root_shards import HEAD, SHARDS, is_shard, shard_key, shard_of
from frumious.simple import root_index, root_shards
from frumious.simple.root_shards import Shards
from frumious.simple.values import InvalidPage
from frumious.state.replacing import replace_object
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.pages import DelistedProject, ListedProject
    from frumious.model.types import Key
    from frumious.state.page_store import PageStore
    from frumious.storage.protocol import Entry, Storage

logger = logging.getLogger(__name__)

_MAX_RACES = 3  # that are lost in a row


class ShardsOvertaken(Conflict):
    """Another process has published the root index while this one wrote shards of an older one."""


@contextmanager
def noting_overtaken(*, written: bool) -> Iterator[None]:
    """Let a conflict of the block say that shards have been `written` before it.

    Raises:
        ShardsOvertaken: instead of another conflict.
    """
    try:
        yield
    except Conflict as error:
        if not written:
            raise
        raise ShardsOvertaken(str(error)) from error


@dataclass(frozen=True, slots=True)
class NextIndex:
    """The root index that is about to be published."""

    changes: Mapping[NormalizedName, ListedProject | DelistedProject]  # since the one before
    listed: bytes  # the list of projects, as `root_index.json_projects` renders it
    serial: int | None
    projects: int


async def update_shards(index: NextIndex, pages: PageStore, *, trusted: bool) -> None:
    """Bring the shards in step with the root index before it is published.

    With `trusted` they are those of the root index before, so that only the changes are merged.

    Raises:
        Conflict: another process has written one since.
    """
    if trusted:
        try:
            await _change_shards(index, pages)
        except (InvalidPage, root_index.NotSorted) as error:
            logger.warning("all shards of the root index are published: %s", error)
        else:
            return
    await publish_shards(root_index.json_page(index.listed, index.serial, {}), pages)


async def publish_shards(page: bytes, pages: PageStore) -> None:
    """Make the shards those of a root index in JSON, whatever is stored of them.

    Without `root-index-shards`, all are deleted. What a listing shows to be right is not read.

    Raises:
        Conflict: another process has written one since.
        InvalidPage: `page` is no root index.
    """
    number, storage, root = pages.root_shards, pages.storage, pages.layout.root_manifest
    found = {entry.key: entry async for entry in storage.list(SHARDS) if is_shard(entry.key)}
    if number:
        serial = cast("int | None", root_index.meta(page, root)["_last-serial"])
        shards = await asyncio.to_thread(Shards, root_index.batches(page, root), number)
        await in_groups(
            _correct(key, body, found.pop(key, None), storage) for key, body in shards.pages()
        )
        await _correct(HEAD, shards.head(serial), found.pop(HEAD, None), storage)
    if found:
        await storage.delete(sorted(found))


async def restore_shards(pages: PageStore) -> None:
    """Make the shards those of the root index that another finalizer has published.

    It published them before that, and this process has overwritten them.

    Raises:
        Conflict: others publish again and again.
    """
    for _ in range(_MAX_RACES):
        _, stored = await pages.read_root_index()
        if stored is None:
            return
        await publish_shards(stored.body, pages)
        head = await pages.storage.head(pages.layout.root_manifest)
        if head is not None and head.etag == stored.etag:
            return
    msg = f"the root index was replaced {_MAX_RACES} times while its shards were written"
    raise Conflict(msg)


async def _change_shards(index: NextIndex, pages: PageStore) -> None:
    """Merge changes into the shards of their projects.

    Raises:
        InvalidPage, NotSorted: one is missing or damaged.
    """
    number, storage = pages.root_shards, pages.storage
    by_shard: defaultdict[Key, dict[NormalizedName, ListedProject | DelistedProject]]
    by_shard = defaultdict(dict)
    for project, change in index.changes.items():
        by_shard[shard_key(shard_of(project, number))][project] = change
    await in_groups(_change(key, each, storage) for key, each in by_shard.items())
    await _replace(HEAD, root_shards.head(index.serial, index.projects, number), storage)


async def _change(
    key: Key,
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
    storage: Storage,
) -> None:
    stored = await storage.read(key)
    if stored is None:
        msg = f"{key!r} is missing"
        raise InvalidPage(msg)
    body = root_shards.merged(stored.body, key, changes)
    if body != stored.body:
        await storage.write(key, body, replacing=stored.etag)


async def _correct(key: Key, body: bytes, entry: Entry | None, storage: Storage) -> None:
    """Write an object unless it is the same, as far as a listing says: ETags are often MD5."""
    if entry is None:
        with suppress(Conflict):  # listings of a container may lag
            await storage.create(key, body)
            return
    elif entry.has_md5(md5(body)):
        return
    await _replace(key, body, storage)


async def _replace(key: Key, body: bytes, storage: Storage) -> None:
    stored = await storage.read(key)
    if stored is None or stored.body != body:
        await replace_object(key, body, stored.etag if stored is not None else None, storage)
