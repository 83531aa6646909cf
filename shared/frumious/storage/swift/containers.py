"""The mirror's containers: made on demand, opened to readers where that is asked for.

Nothing that an operator has set on a container is taken away.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from frumious.storage.protocol import StorageRefused
from frumious.storage.swift import capabilities
from frumious.storage.swift.account import NotThere
from frumious.storage.swift.listing import listing
from frumious.storage.swift.locations import STATE, STATE_KEYS, Location, Span

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Locations

logger = logging.getLogger(__name__)

_ACL: Final = "x-container-read"
_EVERYBODY: Final = ".r:*"  # reads objects; listing them would be .rlistings
_INDEX: Final = "x-container-meta-web-index"
_PAGE: Final = "index.html"


class Containers:
    """Sees to it, once for each container, that it is there and as it has to be."""

    def __init__(self, account: SwiftAccount, places: Locations, *, publish: bool) -> None:
        self._account = account
        self._places = places
        self._publish = publish
        self._ready: set[str] = set()
        self._one = asyncio.Lock()

    def forget(self) -> None:
        """Look again: a container has gone."""
        self._ready.clear()

    async def ready(self, container: str, *, reading: bool = False) -> None:
        """Make sure that objects in a container can be written, or read.

        A mirror that is not published is read without a request more.
        """
        if container in self._ready or (reading and not self._publish):
            return
        async with self._one:
            if self._publish and self._places.state not in self._ready:
                # Before readers are let in where it may still be.
                await self._open(self._places.state)
                await self._take_state_in()
                self._ready.add(self._places.state)
            if container in self._ready:
                return
            await self._open(container)
            if self._publish and container == self._places.web:
                await self._warn_without_pages()
            self._ready.add(container)

    async def _open(self, container: str) -> None:
        what = f"the container {container!r}"
        wanted = self._wanted(container)
        try:
            held = await self._account.do(
                lambda swift: swift.head_container(container), what, read_only=True
            )
        except NotThere:
            logger.info("container made", extra={"container": container})
            await self._account.do(lambda swift: swift.put_container(container, wanted), what)
            return
        if missing := _missing(held, wanted):
            logger.info("container opened to readers", extra={"container": container})
            try:
                await self._account.do(lambda swift: swift.post_container(container, missing), what)
            except StorageRefused as error:
                msg = f"{error}; publish = true needs the right to change {what}"
                raise StorageRefused(msg) from error

    def _wanted(self, container: str) -> Mapping[str, str]:
        """Return what a container must have; segments are read on behalf of the reader."""
        if not self._publish or container == self._places.state:
            return {}
        return (
            {_ACL: _EVERYBODY}
            if container == self._places.segments
            else {_ACL: _EVERYBODY, _INDEX: _PAGE}
        )

    async def _warn_without_pages(self) -> None:
        if not (await capabilities.ask(self._account)).serves_pages:
            logger.warning(
                "the cluster has no staticweb: readers get files, but no index pages",
                extra={"container": self._places.web},
            )

    async def _take_state_in(self) -> None:
        """Move what readers must not see out of the container that they now see.

        It is there when the mirror was begun without `publish`. What is there was written last.
        """
        places = self._places
        names = [places.directory + key for key in STATE_KEYS]
        span = Span(places.web, places.directory + STATE)
        names += [entry["name"] async for entry in listing(self._account, span)]
        for name in names:
            source, target = Location(places.web, name), Location(places.state, name)
            try:
                await self._move(source, target)
            except NotThere:
                continue
            logger.info("state moved", extra={"key": name, "container": target.container})

    async def _move(self, source: Location, target: Location) -> None:
        await self._account.do(
            lambda swift: swift.copy_object(
                source.container, source.name, f"/{target.container}/{target.name}"
            ),
            str(source),
        )
        await self._account.do(
            lambda swift: swift.delete_object(source.container, source.name), str(source)
        )


def _missing(held: Mapping[str, str], wanted: Mapping[str, str]) -> dict[str, str]:
    """Return the headers that a container lacks; readers are added to those it has."""
    missing = {}
    for header, value in wanted.items():
        said = held.get(header, "")
        if value in said.split(","):
            continue
        missing[header] = f"{said},{value}" if header == _ACL and said else value
    return missing
