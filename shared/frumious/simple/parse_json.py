"""Parser of the Simple API in JSON (PEP 691).

A page that violates the PEPs is an error. A single file that does is refused by itself.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import urldefrag, urljoin

from frumious.model.checksums import MAX_FILE_SIZE
from frumious.model.pages import File, ProjectPage, Publication, Status
from frumious.model.types import Json, JsonObject, Key, RunId
from frumious.simple.values import (
    API_VERSION,
    InvalidPage,
    InvalidValue,
    ParsedPage,
    check_name,
    check_url,
    parse_hashes,
    parse_serial,
    without_duplicates,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.utils import NormalizedName

T = TypeVar("T")

_PUBLICATION = "_frumious"
# Limits against small bodies that take much memory ("[]," takes 64 bytes) or recurse deeply. A
# file takes some twenty values and five levels.
_MAX_VALUES: Final = 4_000_000
_MAX_DEPTH: Final = 100
_MAX_NAME_LENGTH: Final = 255  # characters of a refused file's name that are reported


def project_page(body: bytes, url: str, project: NormalizedName) -> ParsedPage:
    """Parse upstream's project page in JSON (PEP 691, API 1.x).

    `url` is the page's own, after redirects; file URLs are resolved against it.

    Raises:
        InvalidPage: `body` is not a project page, or another project's.
    """
    payload = json_object(body, url)
    try:
        meta = _pop(payload, "meta", dict)
        meta.pop(_PUBLICATION, None)  # private to the mirror that wrote it
        parsed = _page(payload, meta, url)
        check_name(parsed.page.name, project)
    except InvalidValue as error:
        msg = f"{url} is not a project page: {error}"
        raise InvalidPage(msg) from error
    return parsed


def manifest(body: bytes, key: Key) -> ProjectPage:
    """Parse the mirror's own project page, with its private part.

    Raises:
        InvalidPage: `body` is not a project page.
    """
    payload = _object(body, key)
    try:
        meta = _pop(payload, "meta", dict)
        publication = _publication(meta.pop(_PUBLICATION, None))
        return replace(_page(payload, meta, f"/{key}").page, publication=publication)
    except InvalidValue as error:
        msg = f"{key!r} is not a project page: {error}"
        raise InvalidPage(msg) from error


def _page(payload: JsonObject, meta: JsonObject, url: str) -> ParsedPage:
    files: list[File] = []
    refused: dict[str, str] = {}
    for entry in _pop(payload, "files", list):
        try:
            files.append(_file(entry, url))
        except InvalidValue as error:
            refused[_filename(entry)] = str(error)
    versions = payload.pop("versions", None)
    page = ProjectPage(
        name=_pop(payload, "name", str),
        api_version=_api_version(meta),
        files=tuple(files),
        versions=None if versions is None else tuple(_strings(versions, "versions")),
        serial=parse_serial(meta.pop("_last-serial", None)),
        status=_status(payload.pop("project-status", None)),
        meta=meta,
        extra=payload,
    )
    return without_duplicates(page, refused)


def json_object(body: bytes, url: str) -> JsonObject:
    """Parse upstream's JSON object.

    Raises:
        InvalidPage: `body` is not a JSON object, or has too many values or levels.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MAX_VALUES:
        msg = f"{url} has more than {_MAX_VALUES} values"
        raise InvalidPage(msg)
    payload = _object(body, url)
    level: list[Json] = [payload]
    for _ in range(_MAX_DEPTH):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else cast("list[Json]", outer))
            if isinstance(inner, dict | list)
        ]
        if not level:
            return payload
    msg = f"{url} is nested more than {_MAX_DEPTH} levels deep"
    raise InvalidPage(msg)


def _object(body: bytes, url: str) -> JsonObject:
    try:
        payload = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        msg = f"{url} is not JSON: {error}"
        raise InvalidPage(msg) from error
    if not isinstance(payload, dict):
        msg = f"{url} is not a JSON object"
        raise InvalidPage(msg)
    return payload


def _refuse_constant(constant: str) -> Json:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        msg = f"{digits:.80} exceeds the range of numbers"
        raise ValueError(msg)
    return number


def _pop(payload: JsonObject, key: str, kind: type[T]) -> T:
    value = payload.pop(key, None)
    if not isinstance(value, kind):
        msg = f"{key!r} is {value!r:.80}, not a {kind.__name__}"
        raise InvalidValue(msg)
    return value


def _api_version(meta: JsonObject) -> str:
    version = meta.pop("api-version", None)
    if isinstance(version, str) and API_VERSION.fullmatch(version):
        return version
    msg = f"the API version is {version!r:.80}; only 1.x is supported"
    raise InvalidValue(msg)


def _strings(value: Json, key: str) -> list[str]:
    if isinstance(value, list) and all(isinstance(item, str) for item in value):
        return cast("list[str]", value)
    msg = f"{key!r} is {value!r:.80}, not a list of strings"
    raise InvalidValue(msg)


def _string_map(value: Json, key: str) -> dict[str, str]:
    if isinstance(value, dict) and all(isinstance(item, str) for item in value.values()):
        return cast("dict[str, str]", value)
    msg = f"{key!r} is {value!r:.80}, not an object of strings"
    raise InvalidValue(msg)


def _metadata_hashes(value: Json, key: str) -> bool | dict[str, str]:
    """Parse the hashes of PEP 658; metadata may exist without hashes."""
    hashes = _string_map(value, key)
    return parse_hashes(hashes) if hashes else True


def _status(value: Json) -> Status | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        msg = f"'project-status' is {value!r:.80}, not an object"
        raise InvalidValue(msg)
    reason = value.pop("reason", None)
    if reason is not None and not isinstance(reason, str):
        msg = f"the project status's reason is {reason!r:.80}, not a string"
        raise InvalidValue(msg)
    status = value.pop("status", "active")
    if not isinstance(status, str):
        msg = f"the project status is {status!r:.80}, not a string"
        raise InvalidValue(msg)
    return Status(status=status, reason=reason, extra=value)


def _publication(value: Json) -> Publication | None:
    if value is None:
        return None
    if not isinstance(value, dict):
        msg = f"{_PUBLICATION!r} is {value!r:.80}, not an object"
        raise InvalidValue(msg)
    return Publication(
        run=RunId(_pop(value, "run", str)),
        selection=_pop(value, "selection", str),
        etag=_optional(value, "etag", str) or "",
        added=tuple(Key(key) for key in _strings(value.pop("added", []), "added")),
        removed=tuple(Key(key) for key in _strings(value.pop("removed", []), "removed")),
        refused=_string_map(value.pop("refused", {}), "refused"),
        stored=value.pop("stored", True) is not False,
    )


def _filename(entry: Json) -> str:
    """Return a refused file's name, or its representation if it has none."""
    name = entry.get("filename") if isinstance(entry, dict) else entry
    return name[:_MAX_NAME_LENGTH] if isinstance(name, str) else f"{name!r:.80}"


def _file(entry: Json, base: str) -> File:
    if not isinstance(entry, dict):
        msg = f"the file {entry!r:.80} is not an object"
        raise InvalidValue(msg)
    rest = dict(entry)
    filename = _pop(rest, "filename", str)
    try:
        url = check_url(urldefrag(urljoin(base, _pop(rest, "url", str))).url)
        provenance = _optional(rest, "provenance", str)
        if provenance is not None:
            provenance = check_url(urljoin(base, provenance))
    except ValueError as error:
        msg = f"its URL is invalid: {error}"
        raise InvalidValue(msg) from error
    # PEP 714, then the names of PEP 691 and of PyPI before it.
    names = ("core-metadata", "dist-info-metadata", "data-dist-info-metadata")
    core_metadata = [value for name in names if (value := rest.pop(name, None)) is not None]
    return File(
        filename=filename,
        url=url,
        hashes=parse_hashes(_string_map(_pop(rest, "hashes", dict), "hashes")),
        requires_python=_optional(rest, "requires-python", str),
        size=_size(rest),
        upload_time=_optional(rest, "upload-time", str),
        yanked=_flag_or(rest.pop("yanked", None), "yanked", _reason),
        core_metadata=_flag_or(next(iter(core_metadata), None), names[0], _metadata_hashes),
        gpg_sig=_optional(rest, "gpg-sig", bool),
        provenance=provenance,
        extra=rest,
    )


def _optional(payload: JsonObject, key: str, kind: type[T]) -> T | None:
    if payload.get(key) is None:
        payload.pop(key, None)
        return None
    return _pop(payload, key, kind)


def _size(payload: JsonObject) -> int | None:
    size = _optional(payload, "size", int)
    if size is not None and (isinstance(size, bool) or not 0 <= size <= MAX_FILE_SIZE):
        msg = f"its size is {size!r:.80}, not a number of bytes"
        raise InvalidValue(msg)
    return size


def _reason(value: Json, key: str) -> bool | str:
    """Parse the reason for a yank; "" is a yank without reason (PEP 592)."""
    if not isinstance(value, str):
        msg = f"{key!r} is {value!r:.80}, not a string"
        raise InvalidValue(msg)
    return value or True


def _flag_or(value: Json, key: str, parse: Callable[[Json, str], T]) -> bool | T:
    if value is None:
        return False
    return value if isinstance(value, bool) else parse(value, key)
