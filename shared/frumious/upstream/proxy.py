"""Choice of the HTTP session for a host: direct, or through the configured proxy."""

from __future__ import annotations

import os
from ssl import SSLError
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp

if TYPE_CHECKING:
    from aiohttp.abc import AbstractResolver


class ProxyRouter:
    """Two HTTP sessions, direct and proxied; `options` are those of aiohttp's ClientSession.

    `resolver` resolves names for direct connections; the proxy resolves them for the others.
    """

    def __init__(
        self,
        proxy: str,
        no_proxy: str,
        resolver: AbstractResolver,
        **options: Any,  # noqa: ANN401
    ) -> None:
        self._resolver = resolver
        self._no_proxy = [name.strip().lstrip(".").lower() for name in no_proxy.split(",")]
        options["cookie_jar"] = aiohttp.DummyCookieJar()  # upstream needs none
        # Others limit the connections.
        connector = aiohttp.TCPConnector(resolver=resolver, limit=0)
        self._direct = aiohttp.ClientSession(connector=connector, **options)
        self._proxied: aiohttp.ClientSession | None = None
        self.errors: tuple[type[Exception], ...] = (aiohttp.ClientError, TimeoutError)
        if proxy.startswith("socks"):
            # Rarely needed, and slow to import.
            from aiohttp_socks import (  # noqa: PLC0415
                ProxyConnectionError,
                ProxyConnector,
                ProxyError,
                ProxyTimeoutError,
            )

            # curl's socks5h lets the proxy resolve names; here it always does.
            url = proxy.replace("socks5h", "socks5", 1)
            connector = ProxyConnector.from_url(url, rdns=True, limit=0)
            self._proxied = aiohttp.ClientSession(connector=connector, **options)
            self.errors = (*self.errors, ProxyError, ProxyConnectionError, ProxyTimeoutError)
        elif proxy:
            connector = aiohttp.TCPConnector(limit=0)
            self._proxied = aiohttp.ClientSession(proxy=proxy, connector=connector, **options)

    def session_for(self, url: str) -> aiohttp.ClientSession:
        """Return the session for a URL."""
        return self._direct if self._proxied is None or self._bypasses(url) else self._proxied

    def _bypasses(self, url: str) -> bool:
        """Return whether NO_PROXY matches the host or a parent domain, with or without a port."""
        parts = urlsplit(url)
        host, host_and_port = parts.hostname or "", parts.netloc.rpartition("@")[2].lower()
        return any(
            name == "*" or name in {host, host_and_port} or host.endswith(f".{name}")
            for name in self._no_proxy
            if name
        )

    async def close(self) -> None:
        """Close the connections."""
        await self._direct.close()
        await self._resolver.close()
        if self._proxied is not None:
            await self._proxied.close()


def explain_error(error: Exception) -> str:
    """Return what failed: the proxy, TLS, the connection, or the response."""
    match error:
        case aiohttp.ClientProxyConnectionError():
            return f"the proxy {error.host}:{error.port} does not respond: {_cause(error)}"
        case aiohttp.ClientHttpProxyError():
            return f"the proxy refuses: {error.status} {error.message}"
        case aiohttp.ClientConnectorError() if "WRONG_VERSION_NUMBER" in str(error):
            return f"{error.host}:{error.port} does not speak TLS; is http:// right?"
        case aiohttp.ClientConnectorSSLError():
            return f"no TLS connection to {error.host}:{error.port}: {_cause(error)}"
        case aiohttp.ClientConnectorError():
            return f"cannot connect to {error.host}:{error.port}: {_cause(error)}"
    text = str(error) or type(error).__name__
    is_proxy = type(error).__module__.startswith(("aiohttp_socks", "python_socks"))
    return f"the proxy fails: {text}" if is_proxy else text


def _cause(error: aiohttp.ClientConnectorError) -> str:
    """Return the cause without addresses, if the operating system names one."""
    if error.errno is not None and error.errno > 0 and not isinstance(error.os_error, SSLError):
        return os.strerror(error.errno)
    return error.strerror or str(error.os_error)
