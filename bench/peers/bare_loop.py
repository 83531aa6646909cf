"""The limit for a mirror in a folder: fetch, hash, write and rename, and nothing else.

    python -m bench.peers.bare_loop UPSTREAM FOLDER

Publishes no page, keeps no state, resumes nothing, and flushes nothing to the disk.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import sys
from pathlib import Path
from typing import Any, Final
from urllib.parse import urljoin, urlsplit

import aiohttp
import uvloop

_CONNECTIONS: Final = 10
_ACCEPT: Final = {"Accept": "application/vnd.pypi.simple.v1+json"}


async def mirror(upstream: str, folder: Path) -> None:
    """Mirror everything that upstream lists."""
    async with aiohttp.ClientSession(read_bufsize=2**18) as session:
        root = await _read_json(session, f"{upstream}/simple/")
        names = iter([project["name"] for project in root["projects"]])
        files: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

        async def read_pages() -> None:
            for name in names:
                url = f"{upstream}/simple/{name}/"
                for file in (await _read_json(session, url))["files"]:
                    files.put_nowait({**file, "url": urljoin(url, file["url"])})
                    if file.get("core-metadata"):
                        metadata = {
                            "url": f"{file['url']}.metadata",
                            "hashes": file["core-metadata"],
                        }
                        files.put_nowait({**metadata, "url": urljoin(url, metadata["url"])})

        await asyncio.gather(*(read_pages() for _ in range(_CONNECTIONS)))

        async def fetch() -> None:
            while not files.empty():
                await _fetch(session, files.get_nowait(), folder)

        await asyncio.gather(*(fetch() for _ in range(_CONNECTIONS)))


async def _read_json(session: aiohttp.ClientSession, url: str) -> dict[str, Any]:
    async with session.get(url, headers=_ACCEPT) as response:
        page: dict[str, Any] = json.loads(await response.read())
        return page


async def _fetch(session: aiohttp.ClientSession, file: dict[str, Any], folder: Path) -> None:
    sha256, blake2b = hashlib.sha256(), hashlib.blake2b(digest_size=32)
    path = folder / urlsplit(file["url"]).path.lstrip("/")
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".tmp")
    with temporary.open("wb") as output:
        async with session.get(file["url"], headers={"Accept-Encoding": "identity"}) as response:
            async for chunk in response.content.iter_chunked(2**18):
                sha256.update(chunk)
                blake2b.update(chunk)
                output.write(chunk)
    if sha256.hexdigest() != file["hashes"]["sha256"]:
        msg = f"{file['url']} has other bytes than its page says"
        raise ValueError(msg)
    temporary.rename(path)


if __name__ == "__main__":
    uvloop.run(mirror(sys.argv[1], Path(sys.argv[2])))
