"""One object into Swift as it arrives: a PUT that holds nothing but the chunk under way.

Swift makes an object of what it got only when all of the announced length, or the end of a chunked
body, has arrived: a connection that is closed before leaves nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import quote

import aiohttp
from yarl import URL

from frumious.model.checksums import WrongBytes
from frumious.storage.protocol import StorageUnavailable
from frumious.storage.swift.account import answered

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

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
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(ssl=account.tls),
            timeout=aiohttp.ClientTimeout(total=global_timeout, connect=timeout, sock_read=None),
            trust_env=True,  # as swiftclient does
        )

    async def close(self) -> None:
        """Close the session's connections."""
        await self._session.close()

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
        source = _Source(chunks, size)
        length = {} if size is None else {"Content-Length": str(size)}
        self._account.requests += 1
        try:
            async with self._session.put(
                URL(f"{url}{query}", encoded=True),
                headers={**headers, **length, "X-Auth-Token": access.token},
                data=source.read(),
            ) as answer:
                said = await answer.text(errors="replace")
        except (aiohttp.ClientError, TimeoutError) as error:
            if source.error is not None:
                raise source.error from None
            msg = f"Swift did not take {place}: {str(error) or type(error).__name__}"
            raise StorageUnavailable(msg) from error
        finally:
            await source.stopped.wait()
        if source.error is not None:
            raise source.error
        if answer.status == HTTPStatus.CREATED:
            etag = answer.headers.get("ETag", "").strip('"')
            return Sent(source.sent, source.md5.hexdigest(), etag)
        if answer.status == HTTPStatus.UNAUTHORIZED:  # the token was good when it was asked for
            await self._account.forget_token()
            msg = f"Swift no longer takes the token for {place}"
            raise StorageUnavailable(msg)
        raise answered(answer.status, str(place), said)


class _Source:
    """The chunks, as aiohttp's writer takes them, counted and hashed.

    Remembers why they ended early, which aiohttp wraps in an error of its own, and whether they
    are at rest: the writer is told to stop when the request is over, and stops a little later.
    """

    def __init__(self, chunks: AsyncIterator[bytes], size: int | None) -> None:
        self.error: Exception | None = None
        self.sent = 0
        self.md5 = hashlib.md5(usedforsecurity=False)  # what Swift compares
        self.stopped = asyncio.Event()
        self.stopped.set()
        self._chunks = chunks
        self._size = size

    async def read(self) -> AsyncIterator[bytes]:
        self.stopped.clear()
        try:
            async for chunk in self._chunks:
                self.sent += len(chunk)
                if self._size is not None and self.sent > self._size:
                    break
                self.md5.update(chunk)
                yield chunk
            if self._size is not None and self.sent != self._size:
                msg = (
                    f"there are {self.sent} bytes so far, not the {self._size} that were announced"
                )
                raise WrongBytes(msg)  # noqa: TRY301 (it is remembered as the others are)
        except Exception as error:
            self.error = error
            raise
        finally:
            self.stopped.set()
