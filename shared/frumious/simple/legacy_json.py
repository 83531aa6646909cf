"""PyPI's legacy JSON (`/pypi/<project>/json`), which the mirror copies."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Container, Iterator

    from frumious.model.types import Json, JsonObject

_OLDEST: Final = Version("0.dev0")


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


def only(filenames: Container[str], body: bytes) -> bytes:
    """Return the JSON of these files alone: without other releases, or what describes them."""
    payload = parse(body)
    found = payload.get("releases")
    releases: JsonObject = {}
    for version, files_ in found.items() if isinstance(found, dict) else ():
        if kept := _only(filenames, files_):
            releases[version] = kept
    payload["releases"] = releases
    payload["urls"] = _only(filenames, payload.get("urls"))
    info = payload.get("info")
    info = info if isinstance(info, dict) else {}
    if info.get("version") not in releases and not payload["urls"]:
        newest = max(releases, key=_order, default=None)
        payload["info"] = {"name": info.get("name"), "version": newest}
        payload["urls"] = releases.get(newest or "", [])
        payload["vulnerabilities"] = []
    return msgspec.json.encode(payload)


def _only(filenames: Container[str], found: Json) -> list[Json]:
    files_ = found if isinstance(found, list) else []
    return [file for file in files_ if isinstance(file, dict) and file.get("filename") in filenames]


def _order(text: str) -> tuple[bool, bool, Version, str]:
    """Return the sort key of versions: stable ones last, those that are not valid first."""
    try:
        version = Version(text)
    except InvalidVersion:
        return False, False, _OLDEST, text
    return True, not version.is_prerelease, version, text


def files(payload: JsonObject) -> Iterator[JsonObject]:
    """Yield the files of all releases, those of the latest one twice."""
    releases = payload.get("releases")
    for found in (payload.get("urls"), *(releases.values() if isinstance(releases, dict) else ())):
        if isinstance(found, list):
            yield from (file for file in found if isinstance(file, dict))
