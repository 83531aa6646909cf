"""Upstream through a proxy: a real one on loopback."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from frumious.clock import Clock
from frumious.config import loading
from frumious.upstream.client import Client
from frumious.upstream.failures import UpstreamUnavailable
from tests.servers.proxy import proxy

if TYPE_CHECKING:
    from tests.upstream import Server


async def fetch(master: str, lines: str = "", environment: dict[str, str] | None = None) -> int:
    text = (
        f"[mirror]\ndirectory = /mirror\nmaster = {master}\nallow-non-https = true\n"
        f"timeout = 5\n{lines}\n"
    )
    client = Client(loading.parse(text, environment or {}), Clock())
    try:
        async with client.open(f"{master}/simple/", headers={}) as response:
            await response.read()
            return response.status
    finally:
        await client.close()


@pytest.mark.parametrize("scheme", ["http", "socks4", "socks5", "socks5h"])
def test_upstream_is_reached_through_the_proxy(upstream: Server, scheme: str) -> None:
    async def go() -> tuple[int, list[str]]:
        async with proxy() as server:
            # No name server knows it: the proxy must receive the name.
            master = upstream.url.replace("127.0.0.1", "upstream.invalid")
            status = await fetch(master, f"proxy = {scheme}://127.0.0.1:{server.port}")
            return status, server.hosts

    status, hosts = asyncio.run(go())

    assert status == 200
    assert set(hosts) == {"upstream.invalid"}


@pytest.mark.parametrize(("scheme", "user"), [("http", "somebody"), ("socks5", "me:hush")])
def test_the_proxy_receives_the_credentials(upstream: Server, scheme: str, user: str) -> None:
    async def go() -> list[str]:
        async with proxy() as server:
            await fetch(upstream.url, f"proxy = {scheme}://me:hush@127.0.0.1:{server.port}")
            return server.users

    assert asyncio.run(go()) == [user]


@pytest.mark.parametrize("name", ["SOCKS5_PROXY", "HTTP_PROXY", "ALL_PROXY"])
@pytest.mark.parametrize(
    ("no_proxy", "passes"),
    [("", True), ("other.example", True), ("0.0.1", False), ("127.0.0.1", False), ("*", False)],
)
def test_the_environment_s_proxy_leaves_out_what_no_proxy_names(
    upstream: Server, name: str, no_proxy: str, *, passes: bool
) -> None:
    async def go() -> bool:
        async with proxy() as server:
            environment = {name: f"127.0.0.1:{server.port}", "NO_PROXY": no_proxy}
            assert await fetch(upstream.url, environment=environment) == 200
            return bool(server.hosts)

    assert asyncio.run(go()) is passes


@pytest.mark.parametrize("scheme", ["http", "https", "socks4", "socks5"])
def test_without_its_proxy_upstream_is_unavailable(upstream: Server, scheme: str) -> None:
    with pytest.raises(UpstreamUnavailable) as caught:
        asyncio.run(fetch(upstream.url, f"proxy = {scheme}://me:hush@127.0.0.1:9"))

    assert "hush" not in str(caught.value)
