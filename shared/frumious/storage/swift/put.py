"""A streamed PUT of one object to Swift.

Swift creates the object only when the whole Content-Length, or the end of a chunked body, has
arrived. A connection that breaks earlier leaves nothing behind.
"""

from __future__ import annotations

import hashlib
from contextlib import aclosing
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

from frumious.storage.protocol import StorageUnavailable
from frumious.storage.streamed_put import PutClient
from frumious.storage.swift.account import response_error

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping

    from frumious.storage.swift.account import SwiftAccount
    from frumious.storage.swift.locations import Location


@dataclass(frozen=True, slots=True)
class Sent:
    """What was sent, and the etag that Swift returned."""

    size: int  # bytes
    md5: str  # of what was sent
    etag: str  # md5 of what arrived, unless it is a manifest


class SwiftPut:
    """Uploads objects to one account over one session. Times are seconds."""

    def __init__(self, account: SwiftAccount, timeout: float, global_timeout: float) -> None:
        self._account = account
        self._client = PutClient(
            "Swift",
            timeout=timeout,
            global_timeout=global_timeout,
            tls=account.tls,
            trust_env=True,  # as swiftclient does
        )

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def send(
        self,
        location: Location,
        chunks: AsyncIterator[bytes],
        headers: Mapping[str, str],
        *,
        size: int | None,
        query: str = "",
    ) -> Sent:
        """Upload the chunks as one object, which has `size` bytes unless that is None.

        Errors of `chunks` are raised here, and then nothing has been stored.

        Raises:
            WrongBytes: `chunks` has fewer bytes than `size`, or more.
            StorageUnavailable: Swift did not respond, or refused for now.
            StorageRefused: Swift refuses the object.
        """
        access = await self._account.access()
        url = f"{access.url}/{quote(location.container)}/{quote(location.name)}"
        length = {} if size is None else {"Content-Length": str(size)}
        sent = 0
        md5 = hashlib.md5(usedforsecurity=False)  # which Swift compares

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
                name=str(location),
            )
        if response.status == HTTPStatus.CREATED:
            etag = response.headers.get("ETag", "").strip('"')
            return Sent(sent, md5.hexdigest(), etag)
        if response.status == HTTPStatus.UNAUTHORIZED:  # the token expired just now
            await self._account.forget_token()
            msg = f"the token has expired for {location}"
            raise StorageUnavailable(msg)
        if response.status < HTTPStatus.MULTIPLE_CHOICES:
            msg = f"something else than Swift responds {response.status} for {location}"
            raise StorageUnavailable(msg)
        raise response_error(response.status, str(location), response.text)
