"""PyPI's legacy JSON (`/pypi/<project>/json`), which the mirror copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.model.types import Json


def without_queries(body: bytes) -> bytes:
    """Return the JSON without queries in the URLs of its files: they may be signatures."""
    payload = msgspec.json.decode(body)
    changed = False
    for file in _files(payload):
        url = file.get("url")
        if isinstance(url, str) and "?" in url:
            file["url"] = url.partition("?")[0]
            changed = True
    return msgspec.json.encode(payload) if changed else body


def _files(payload: dict[str, Json]) -> Iterator[dict[str, Json]]:
    releases = payload.get("releases")
    for files in (payload.get("urls"), *(releases.values() if isinstance(releases, dict) else ())):
        if isinstance(files, list):
            yield from (file for file in files if isinstance(file, dict))
