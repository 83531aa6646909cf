"""A small real proxy on loopback that resolves every host to this machine."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

SOCKS4, SOCKS5 = b"\x04", b"\x05"
DONE = b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00"


@dataclass
class Proxy:
    """A SOCKS 4, SOCKS 5 and HTTP proxy that records the hosts and users of its clients."""

    port: int = 0
    hosts: list[str] = field(default_factory=list)
    users: list[str] = field(default_factory=list)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            version = await reader.readexactly(1)
            if version == SOCKS5:
                port = await self._socks5(reader, writer)
            elif version == SOCKS4:
                port = await self._socks4(reader, writer)
            else:
                await self._http(version, reader, writer)
                return
            await _join(reader, writer, port)
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def _socks5(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        methods = await reader.readexactly((await reader.readexactly(1))[0])
        if b"\x02" in methods:
            writer.write(b"\x05\x02")
            await reader.readexactly(1)
            name, secret = [await _field(reader) for _ in range(2)]
            self.users.append(f"{name}:{secret}")
            writer.write(b"\x01\x00")
        else:
            writer.write(b"\x05\x00")
        kind = (await reader.readexactly(4))[3]
        numbers = await reader.readexactly(4) if kind == 1 else b""
        host = ".".join(map(str, numbers)) if kind == 1 else await _field(reader)
        port = int.from_bytes(await reader.readexactly(2))
        self.hosts.append(host)
        writer.write(DONE)
        return port

    async def _socks4(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> int:
        await reader.readexactly(1)
        port = int.from_bytes(await reader.readexactly(2))
        numbers = await reader.readexactly(4)
        await reader.readuntil(b"\x00")
        has_name = numbers[:3] == b"\x00\x00\x00"  # SOCKS 4a
        host = (await reader.readuntil(b"\x00"))[:-1].decode() if has_name else ""
        self.hosts.append(host or ".".join(map(str, numbers)))
        writer.write(b"\x00\x5a\x00\x00\x00\x00\x00\x00")
        return port

    async def _http(
        self, first: bytes, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        head = first + await reader.readuntil(b"\r\n\r\n")
        line, _, rest = head.partition(b"\r\n")
        method, url, version = line.split()
        host, _, path = url.removeprefix(b"http://").partition(b"/")
        name, _, port = host.decode().partition(":")
        self.hosts.append(name)
        if b"proxy-authorization" in rest.lower():
            self.users.append("somebody")
        head = b" ".join((method, b"/" + path, version)) + b"\r\n" + rest
        await _join(reader, writer, int(port), head)


@asynccontextmanager
async def proxy() -> AsyncIterator[Proxy]:
    instance = Proxy()
    server = await asyncio.start_server(instance.serve, "127.0.0.1", 0)
    instance.port = server.sockets[0].getsockname()[1]
    async with server:
        yield instance


async def _join(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, port: int, head: bytes = b""
) -> None:
    upstream, to_upstream = await asyncio.open_connection("127.0.0.1", port)
    try:
        to_upstream.write(head)
        await asyncio.gather(_pump(reader, to_upstream), _pump(upstream, writer))
    finally:  # also when the test ends first
        to_upstream.close()


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(65536):
        writer.write(chunk)
        await writer.drain()
    writer.close()


async def _field(reader: asyncio.StreamReader) -> str:
    return (await reader.readexactly((await reader.readexactly(1))[0])).decode()
