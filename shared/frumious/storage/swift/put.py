"""One object into Swift as it arrives: a PUT that holds nothing but the chunk under way.

Swift makes an object of what it got only when all of the announced length, or the end of a chunked
body, has arrived: a connection that is closed before leaves nothing.
"""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp

from frumious.storage.protocol import StorageUnavailable
from frumious.storage.streamed_put import PutClient
from frumious.storage.swift.account import answered

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Location


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and what Swift says of it."""

    size: int  # bytes
    md5: str  # of what was sent
    etag: str  # of what arrived: its md5, where it is no manifest


class SwiftPut:
    """Sends objects to one account, over one session. Times are seconds."""

    def __init__(self, account: SwiftAccount, timeout: float, global_timeout: float) -> None:
        self._account = account
        self._client = PutClient(
            "Swift",
            timeout=timeout,
            global_timeout=global_timeout,
            connector=aiohttp.TCPConnector(ssl=account.tls),
            trust_env=True,  # as swiftclient does
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self,
        place: Location,
        chunks: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        size: int | None,
        query: str = "",
    ) -> Sent:
        """Write the chunks as one object, of `size` bytes where that is known.

        Whatever `chunks` raises is raised here, and nothing has been stored then.

        Raises:
            WrongBytes: there were fewer bytes than `size`, or more.
            StorageUnavailable: Swift did not answer, or refused for now.
            StorageRefused: Swift will not take the object.
        """
        access = await self._account.access()
        url = f"{access.address}/{quote(place.container)}/{quote(place.name)}"
        length = {} if size is None else {"Content-Length": str(size)}
        sent = 0
        md5 = hashlib.md5(usedforsecurity=False)  # what Swift compares

        async def hashed() -> AsyncGenerator[bytes, None]:
            nonlocal sent
            async for chunk in chunks:
                sent += len(chunk)
                md5.update(chunk)
                yield chunk

        self._account.requests += 1
        async with aclosing(hashed()) as body:
            response = await self._client.put(
                f"{url}{query}",
                body,
                {**headers, **length, "X-Auth-Token": access.token},
                size=size,
                name=str(place),
            )
        if response.status == HTTPStatus.CREATED:
            etag = response.headers.get("ETag", "").strip('"')
            return Sent(sent, md5.hexdigest(), etag)
        if response.status == HTTPStatus.UNAUTHORIZED:  # the token was valid a moment ago
            await self._account.forget_token()
            msg = f"Swift no longer takes the token for {place}"
            raise StorageUnavailable(msg)
        raise answered(response.status, str(place), response.text)
