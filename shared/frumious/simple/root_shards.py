"""The root index in shards: each is a list of projects as the root index has them (PEP 691)."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Final

import msgspec

from frumious.model.root_shards import digits_of, shard_key
from frumious.simple import root_index

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.pages import DelistedProject, ListedProject
    from frumious.model.types import Key
    from frumious.simple.project_list import Batch

_VERSION: Final = 1  # of the head


class Shards:
    """All shards of a root index, as bytes: at PyPI's size 52 MB."""

    def __init__(self, listed: Iterable[Batch], number: int) -> None:
        """Distribute the projects; they are sorted.

        Raises:
            InvalidPage: what is listed comes from a page that is no root index.
        """
        self.projects = 0
        self._number = number
        digits = digits_of(number)
        self._lists = {f"{each:0{digits}x}": bytearray() for each in range(number)}
        for batch in listed:
            self.projects += len(batch.projects)
            for project, entry in zip(batch.projects, batch.entries, strict=True):
                # As `shard_of`, which would take longer.
                entries = self._lists[hashlib.sha256(project.encode()).hexdigest()[:digits]]
                if entries:
                    entries += b","
                entries += root_index.json_entry(entry).encode()

    def pages(self) -> Iterator[tuple[Key, bytes]]:
        """Yield each shard once; the list that it was made from is dropped."""
        for name in [*self._lists]:
            yield shard_key(name), _page(bytes(b"[" + self._lists.pop(name) + b"]"))

    def head(self, serial: int | None) -> bytes:
        """Render what readers need to know of the shards."""
        return head(serial, self.projects, self._number)


def head(serial: int | None, projects: int, number: int) -> bytes:
    """Render what readers need to know of the shards: how to find one, and how new they are."""
    values = {
        "version": _VERSION,
        "digits": digits_of(number),
        "serial": serial,
        "projects": projects,
    }
    return msgspec.json.encode(values)


def merged(
    body: bytes, key: Key, changes: Mapping[NormalizedName, ListedProject | DelistedProject]
) -> bytes:
    """Return a shard after changes of its own projects, by the rules of the root index.

    Raises:
        InvalidPage, NotSorted: `body` is no shard.
    """
    batches = (batch for batch, _ in root_index.merge(root_index.batches(body, key), changes))
    return _page(root_index.json_projects(batches, as_stored=True))


def _page(projects: bytes) -> bytes:
    # Without the serial of the mirror, with which all shards would change.
    return root_index.json_page(projects, None, {})
