"""PyPI's legacy JSON (`/pypi/<project>/json`), which the mirror copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.model.types import JsonObject


def parse(body: bytes) -> JsonObject:
    """Parse legacy JSON that was checked."""
    payload: JsonObject = msgspec.json.decode(body)
    return payload


def without_queries(body: bytes) -> bytes:
    """Return the JSON without queries in the URLs of its files: they may be signatures."""
    payload = parse(body)
    changed = False
    for file in files(payload):
        url = file.get("url")
        if isinstance(url, str) and "?" in url:
            file["url"] = url.partition("?")[0]
            changed = True
    return msgspec.json.encode(payload) if changed else body


def files(payload: JsonObject) -> Iterator[JsonObject]:
    """Yield the files of all releases, those of the latest one twice."""
    releases = payload.get("releases")
    for found in (payload.get("urls"), *(releases.values() if isinstance(releases, dict) else ())):
        if isinstance(found, list):
            yield from (file for file in found if isinstance(file, dict))
