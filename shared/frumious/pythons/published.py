"""The builds that the mirror has, by the list that it publishes."""

from __future__ import annotations

import hashlib
import re
from contextlib import aclosing
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.types import Key
from frumious.pythons.listing import parse, select

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.pythons.listing import Build
    from frumious.storage.protocol import Storage

LIST: Final = Key(f"{layout.PYTHON_BUILDS}downloads.json")
_KEY: Final = re.compile(
    rf"{layout.PYTHON_BUILDS}[A-Za-z0-9_]+(?:/[A-Za-z0-9_+][A-Za-z0-9._+-]*){{1,4}}"
)


async def read_published(storage: Storage) -> Mapping[Key, Build]:
    """Return the builds that the mirror's own list names, by key.

    Raises:
        InvalidList: the list is damaged.
    """
    stored = await storage.read(LIST)
    return {} if stored is None else select(parse(stored.body, LIST), None)[0]


async def is_intact(build: Build, storage: Storage) -> bool:
    """Read a build, and return whether it has the digest of the list."""
    opened = await storage.stream(build.key)
    if opened is None:
        return False
    digest = hashlib.sha256()
    async with aclosing(opened.chunks) as chunks:
        async for chunk in chunks:
            digest.update(chunk)
    return digest.hexdigest() == build.sha256


def is_build_key(key: str) -> bool:
    """Return whether a key can be that of a build."""
    return key != LIST and _KEY.fullmatch(key) is not None
