"""The mirror's containers: created on demand, and opened to readers when the mirror is published.

Settings that an operator has made on a container are kept.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from frumious.storage.protocol import StorageRefused
from frumious.storage.swift import capabilities
from frumious.storage.swift.account import NotFound
from frumious.storage.swift.locations import STATE, STATE_KEYS, Location, Span
from frumious.storage.swift.objects import list_objects

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Locations

logger = logging.getLogger(__name__)

_ACL: Final = "x-container-read"
_EVERYBODY: Final = ".r:*"  # may read objects, but not list them (.rlistings)
_INDEX: Final = "x-container-meta-web-index"
_PAGE: Final = "index.html"


class Containers:
    """Ensures, once for each container, that it exists with the required headers."""

    def __init__(self, account: SwiftAccount, locations: Locations, *, publish: bool) -> None:
        self._account = account
        self._locations = locations
        self._publish = publish
        self._ready: set[str] = set()
        self._lock = asyncio.Lock()

    def forget(self) -> None:
        """Check all containers again: one was deleted."""
        self._ready.clear()

    async def ensure(self, container: str, *, read_only: bool = False) -> None:
        """Ensure that objects in a container can be written, or read.

        Reading a mirror that is not published needs no check.
        """
        if container in self._ready or (read_only and not self._publish):
            return
        async with self._lock:
            if self._publish and self._locations.state not in self._ready:
                # First, because the state may be in the container that readers will see.
                await self._configure(self._locations.state)
                await self._move_state()
                self._ready.add(self._locations.state)
            if container in self._ready:
                return
            await self._configure(container)
            if self._publish and container == self._locations.web:
                await self._warn_without_staticweb()
            self._ready.add(container)

    async def _configure(self, container: str) -> None:
        target = f"the container {container!r}"
        required = self._required_headers(container)
        try:
            current = await self._account.run(
                lambda swift: swift.head_container(container), target, read_only=True
            )
        except NotFound:
            logger.info("container created", extra={"container": container})
            await self._account.run(lambda swift: swift.put_container(container, required), target)
            return
        if missing := _missing_headers(current, required):
            logger.info("container opened to readers", extra={"container": container})
            try:
                await self._account.run(
                    lambda swift: swift.post_container(container, missing), target
                )
            except StorageRefused as error:
                msg = f"{error}; publish = true requires the permission to change {target}"
                raise StorageRefused(msg) from error

    def _required_headers(self, container: str) -> Mapping[str, str]:
        """Return the headers that a container must have; readers read segments too."""
        if not self._publish or container == self._locations.state:
            return {}
        return (
            {_ACL: _EVERYBODY}
            if container == self._locations.segments
            else {_ACL: _EVERYBODY, _INDEX: _PAGE}
        )

    async def _warn_without_staticweb(self) -> None:
        if not (await capabilities.fetch(self._account)).serves_pages:
            logger.warning(
                "the cluster has no staticweb: it serves files, but no index pages",
                extra={"container": self._locations.web},
            )

    async def _move_state(self) -> None:
        """Move the state out of the container that readers can see.

        It is there when the mirror was created without `publish`, and newer than any state in the
        state's container.
        """
        locations = self._locations
        names = [locations.directory + key for key in STATE_KEYS]
        span = Span(locations.web, locations.directory + STATE)
        names += [entry["name"] async for entry in list_objects(self._account, span)]
        for name in names:
            source, target = Location(locations.web, name), Location(locations.state, name)
            try:
                await self._move(source, target)
            except NotFound:
                continue
            logger.info("state moved", extra={"key": name, "container": target.container})

    async def _move(self, source: Location, target: Location) -> None:
        await self._account.run(
            lambda swift: swift.copy_object(
                source.container, source.name, f"/{target.container}/{target.name}"
            ),
            str(source),
        )
        await self._account.run(
            lambda swift: swift.delete_object(source.container, source.name), str(source)
        )


def _missing_headers(current: Mapping[str, str], required: Mapping[str, str]) -> dict[str, str]:
    """Return the headers to set on a container; an ACL keeps the entries that it has."""
    missing = {}
    for header, value in required.items():
        present = current.get(header, "")
        if value in present.split(","):
            continue
        missing[header] = f"{present},{value}" if header == _ACL and present else value
    return missing
