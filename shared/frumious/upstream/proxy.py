"""The way to a host: straight, or through the configured proxy."""

from __future__ import annotations

from typing import Any
from urllib.parse import urlsplit

import aiohttp


class ProxyRouter:
    """The session for each host; the sessions' options are aiohttp's."""

    def __init__(self, proxy: str, no_proxy: str, **options: Any) -> None:  # noqa: ANN401
        self._no_proxy = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
        self._straight = aiohttp.ClientSession(**options)
        self._proxied: aiohttp.ClientSession | None = None
        self.errors: tuple[type[Exception], ...] = (aiohttp.ClientError, TimeoutError)
        if proxy.startswith("socks"):
            # Few need it, and it takes time to import.
            from aiohttp_socks import (  # noqa: PLC0415
                ProxyConnectionError,
                ProxyConnector,
                ProxyError,
                ProxyTimeoutError,
            )

            # With socks5h, as curl has it, the proxy resolves names; here it always does.
            connector = ProxyConnector.from_url(proxy.replace("socks5h", "socks5", 1), rdns=True)
            self._proxied = aiohttp.ClientSession(connector=connector, **options)
            self.errors = (*self.errors, ProxyError, ProxyConnectionError, ProxyTimeoutError)
        elif proxy:
            self._proxied = aiohttp.ClientSession(proxy=proxy, **options)

    def to(self, url: str) -> aiohttp.ClientSession:
        """Return the session that reaches an address."""
        if self._proxied is None:
            return self._straight
        return self._straight if self._passes_by(url) else self._proxied

    def _passes_by(self, url: str) -> bool:
        """Say whether NO_PROXY names the host, or one above it, with or without its port."""
        parts = urlsplit(url)
        host, place = parts.hostname or "", parts.netloc.rpartition("@")[2].lower()
        return any(
            name == "*" or name in {host, place} or host.endswith(f".{name}")
            for name in self._no_proxy
            if name
        )

    async def close(self) -> None:
        """Close all connections."""
        await self._straight.close()
        if self._proxied is not None:
            await self._proxied.close()
