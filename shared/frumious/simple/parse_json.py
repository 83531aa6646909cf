"""Parser of the Simple API in JSON (PEP 691).

A page that violates the PEPs is an error. A single file that does is refused by itself.
"""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Annotated, Any, Final, TypeAlias, TypeVar, cast

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from packaging.utils import canonicalize_version

from frumious.model.checksums import MAX_FILE_SIZE
from frumious.model.pages import File, ProjectPage, Publication, Status
from frumious.redaction import redact
from frumious.simple.values import (
    InvalidPage,
    InvalidValue,
    ParsedPage,
    check_api_version,
    check_decoded_size,
    check_links,
    check_name,
    check_url,
    parse_hashes,
    parse_serial,
    resolve,
    without_duplicates,
)

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.types import Json, JsonObject, Key

T = TypeVar("T", bound=Struct)

_Metadata: TypeAlias = bool | dict[str, str] | None

_PUBLICATION: Final = "_frumious"
_KNOWN_META: Final = frozenset({"api-version", "_last-serial", _PUBLICATION})
# Limits against small bodies that take much memory ("[]," takes 64 bytes) or recurse deeply. A
# file takes some twenty values and five levels.
_MAX_VALUES: Final = 1_500_000
_MAX_DEPTH: Final = 100
_MAX_NAME_LENGTH: Final = 255  # characters of a refused file's name that are reported


class _Page(Struct, rename="kebab"):
    """The keys of a project page that the mirror knows."""

    meta: dict[str, Any]
    name: str
    files: list[Any]
    versions: tuple[str, ...] | None = None
    project_status: dict[str, Any] | None = None


class _Status(Struct):
    status: str = "active"
    reason: str | None = None


class _File(Struct, rename="kebab"):
    """The keys of a file that the mirror knows."""

    filename: str
    url: str
    hashes: dict[str, str]
    requires_python: str | None = None
    size: Annotated[int, Meta(ge=0, le=MAX_FILE_SIZE)] | None = None
    upload_time: str | None = None
    yanked: bool | str | None = None
    core_metadata: _Metadata = None  # PEP 714's name
    dist_info_metadata: _Metadata = None  # PEP 691's
    data_dist_info_metadata: _Metadata = None  # PyPI's before that
    gpg_sig: bool | None = None
    provenance: str | None = None


class _LegacyInfo(Struct):
    name: str
    version: str | None = None


class _LegacyJson(Struct):
    """What the mirror reads of a project's legacy JSON."""

    info: _LegacyInfo


def project_page(body: bytes, url: str, project: NormalizedName) -> ParsedPage:
    """Parse upstream's project page in JSON (PEP 691, API 1.x).

    `url` is the page's own, after redirects; file URLs are resolved against it.

    Raises:
        InvalidPage: `body` is not a project page, or another project's.
    """
    payload = json_object(body, url)
    files = payload.get("files")
    if isinstance(files, list):
        check_links(len(files), url, url)
    try:
        parsed = _page(payload, url)
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
    payload: dict[str, Any] = _object(body, key)
    try:
        page = _page(payload, f"/{key}").page
        private = payload["meta"].get(_PUBLICATION)
        if private is None:
            return page
        return replace(page, publication=_split(private, Publication)[0])
    except InvalidValue as error:
        msg = f"{key!r} is not a project page: {error}"
        raise InvalidPage(msg) from error


def _page(payload: JsonObject, url: str) -> ParsedPage:
    """Parse a project page, except for the private part of the mirror that wrote it."""
    known, extra = _split(payload, _Page)
    files: list[File] = []
    refused: dict[str, str] = {}
    for entry in known.files:
        try:
            files.append(_file(entry, url))
        except InvalidValue as error:
            refused[_filename(entry)] = str(error)
    page = ProjectPage(
        name=known.name,
        api_version=check_api_version(known.meta.get("api-version")),
        files=tuple(files),
        versions=known.versions,
        serial=parse_serial(known.meta.get("_last-serial")),
        status=None if known.project_status is None else _status(known.project_status),
        meta={key: value for key, value in known.meta.items() if key not in _KNOWN_META},
        extra=extra,
    )
    return without_duplicates(page, refused)


def json_object(body: bytes, url: str) -> JsonObject:
    """Parse upstream's JSON object.

    Raises:
        InvalidPage: `body` is not a JSON object, is too large as text, or has too many values or
            levels.
    """
    check_decoded_size(body, url)
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


def check_legacy_json(body: bytes, url: str, project: NormalizedName) -> None:
    """Check that legacy JSON is the project's.

    Raises:
        InvalidPage: it is not.
    """
    try:
        check_name(msgspec.json.decode(body, type=_LegacyJson).info.name, project)
    except (msgspec.DecodeError, InvalidValue) as error:
        msg = f"{url} is not the legacy JSON of {project!r}: {error}"
        raise InvalidPage(msg) from error


def check_release_json(body: bytes, url: str, project: NormalizedName, version: str) -> None:
    """Check that legacy JSON is that of a release, whose version is valid by PEP 440.

    Raises:
        InvalidPage: it is not.
    """
    check_legacy_json(body, url, project)
    found = msgspec.json.decode(body, type=_LegacyJson).info.version or ""
    if canonicalize_version(found) != canonicalize_version(version):
        msg = f"{url} is the legacy JSON of {found!r:.80}, not of {version!r:.80}"
        raise InvalidPage(msg)


def _object(body: bytes, url: str) -> JsonObject:
    try:
        payload = json.loads(body, parse_constant=_finite, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        msg = f"{url} is not JSON: {error}"
        raise InvalidPage(msg) from error
    if not isinstance(payload, dict):
        msg = f"{url} is not a JSON object"
        raise InvalidPage(msg)
    return payload


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        msg = f"{digits:.80} exceeds the range of numbers"
        raise ValueError(msg)
    return number


def _split(payload: Json, kind: type[T]) -> tuple[T, JsonObject]:
    """Parse the keys that `kind` declares, and return the other keys as they are."""
    if not isinstance(payload, dict):
        msg = f"{payload!r:.80} is not an object"
        raise InvalidValue(msg)
    known = {key: payload[key] for key in kind.__struct_encode_fields__ if key in payload}
    rest = {key: value for key, value in payload.items() if key not in known}
    try:
        return msgspec.convert(known, kind), rest
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        raise InvalidValue(str(error)) from error


def _status(payload: JsonObject) -> Status:
    known, extra = _split(payload, _Status)
    return Status(status=known.status, reason=known.reason, extra=extra)


def _filename(entry: Json) -> str:
    """Return a refused file's name, or its representation if it has none."""
    name = entry.get("filename") if isinstance(entry, dict) else entry
    return name[:_MAX_NAME_LENGTH] if isinstance(name, str) else redact(repr(name))[:80]


def _file(entry: JsonObject, base: str) -> File:
    known, extra = _split(entry, _File)
    provenance = known.provenance
    try:
        url = check_url(resolve(base, known.url.partition("#")[0]))
        if provenance is not None:
            provenance = check_url(resolve(base, provenance))
    except ValueError as error:
        msg = f"its URL is invalid: {error}"
        raise InvalidValue(msg) from error
    names = (known.core_metadata, known.dist_info_metadata, known.data_dist_info_metadata)
    core_metadata = next((each for each in names if each is not None), False)
    if isinstance(core_metadata, dict):
        core_metadata = parse_hashes(core_metadata) if core_metadata else True
    return File(
        filename=known.filename,
        url=url,
        hashes=parse_hashes(known.hashes),
        requires_python=known.requires_python,
        size=known.size,
        upload_time=known.upload_time,
        yanked=known.yanked == "" or known.yanked or False,  # PEP 592: "" is no reason
        core_metadata=core_metadata,
        gpg_sig=known.gpg_sig,
        provenance=provenance,
        extra=extra,
    )
