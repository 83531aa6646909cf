"""PyPI's legacy JSON of projects (`/pypi/<project>/json`) and releases, which the mirror copies."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import msgspec
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator

    from frumious.model.pages import File
    from frumious.model.types import Json, JsonObject

_LOGIN: Final = re.compile(r"(?<=://)[^/]*@")
_OLDEST: Final = Version("0.dev0")


def parse(body: bytes) -> JsonObject:
    """Parse legacy JSON that was checked."""
    payload: JsonObject = msgspec.json.decode(body)
    return payload


def without_secrets(body: bytes) -> bytes:
    """Return the JSON with the `_public` URLs of its files."""
    payload = parse(body)
    changed = False
    for file in files(payload):
        url = file.get("url")
        if (public := _public(url)) != url:
            file["url"] = public
            changed = True
    return msgspec.json.encode(payload) if changed else body


def _public(url: Json) -> Json:
    """Return a URL without its query, which may be a signature, and without a login."""
    return _LOGIN.sub("", url.partition("?")[0]) if isinstance(url, str) else url


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
    return [file for file in _entries(found) if _filename(file) in filenames]


def _entries(found: Json) -> list[JsonObject]:
    return [file for file in found if isinstance(file, dict)] if isinstance(found, list) else []


def _filename(file: JsonObject) -> str:
    """Return the filename; what is not a text is that of no file."""
    return str(file.get("filename"))


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
        yield from _entries(found)


def latest_release(payload: JsonObject, version: str) -> JsonObject | None:
    """Return the JSON of a release if it is the latest one, which the project's JSON describes.

    Both are the same apart from `releases` (PyPI's documentation of the JSON API). Some mirrors
    abridge `info`: then upstream has to be asked.
    """
    info = payload.get("info")
    if not isinstance(info, dict) or info.get("version") != version or "requires_dist" not in info:
        return None
    return payload


def describes(payload: JsonObject, shown: Iterable[File]) -> bool:
    """Return whether the JSON of a release has these files, as the project's page has them."""
    described = {_filename(entry): entry for entry in _entries(payload.get("urls"))}
    return all(
        file.filename in described
        and bool(described[file.filename].get("yanked")) == (file.yanked is not False)
        for file in shown
    )


def of_release(payload: JsonObject, shown: Iterable[File]) -> bytes:
    """Return the JSON of a release with these files alone, and with their `_public` URLs."""
    sha256s = {file.filename: file.hashes.get("sha256") for file in shown}
    urls: list[Json] = []
    for entry in _entries(payload.get("urls")):
        name, digests = _filename(entry), entry.get("digests")
        sha256 = digests.get("sha256") if isinstance(digests, dict) else None
        if name not in sha256s or (sha256 and sha256s[name] and sha256 != sha256s[name]):
            continue
        urls.append({**entry, "url": _public(entry.get("url"))})
    others = {key: value for key, value in payload.items() if key != "releases"}
    return msgspec.json.encode({**others, "urls": urls})
