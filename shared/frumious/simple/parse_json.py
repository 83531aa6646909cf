"""From the bytes of a Simple API answer to the model.

A page that is not what the PEPs say is an error as a whole; a single file that is not is
refused by itself, and the others go on. Nothing is fetched or stored here.
"""

from __future__ import annotations

import json
import math
from dataclasses import replace
from typing import TYPE_CHECKING, Final, TypeVar, cast
from urllib.parse import urldefrag, urljoin

from frumious.model.checksums import LARGEST_FILE
from frumious.model.pages import File, ProjectPage, Publication, Status
from frumious.model.types import Json, JsonObject, Key, RunId
from frumious.simple.values import (
    API_VERSION,
    InvalidPage,
    InvalidValue,
    ParsedPage,
    check_url,
    checked_hashes,
    checked_name,
    checked_serial,
    without_duplicates,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from packaging.utils import NormalizedName

T = TypeVar("T")

_PUBLICATION = "_frumious"
# What is small on the wire may be large in memory: "[]," takes 64 bytes, and what is nested
# deeply is read by functions that call themselves. A file takes some twenty values and five
# levels.
_MOST_VALUES: Final = 4_000_000
_DEEPEST: Final = 100  # levels
_LONGEST_NAME: Final = 255  # characters of a refused file's name that are told


def project_page(body: bytes, url: str, project: NormalizedName) -> ParsedPage:
    """Parse upstream's project page in JSON (PEP 691, API 1.x).

    `url` is the address that finally answered; relative file URLs are resolved against it.

    Raises:
        InvalidPage: `body` is not such a page, or is another project's.
    """
    said = json_object(body, url)
    try:
        meta = _take(said, "meta", dict)
        meta.pop(_PUBLICATION, None)  # another mirror's own business
        parsed = _page(said, meta, url)
        checked_name(parsed.page.name, project)
    except InvalidValue as error:
        msg = f"{url} is not a project page: {error}"
        raise InvalidPage(msg) from error
    return parsed


def manifest(body: bytes, key: Key) -> ProjectPage:
    """Parse a project page that the mirror has, with the private part that only it writes.

    Raises:
        InvalidPage: `body` is not such a page.
    """
    said = _object(body, key)
    try:
        meta = _take(said, "meta", dict)
        publication = _publication(meta.pop(_PUBLICATION, None))
        return replace(_page(said, meta, f"/{key}").page, publication=publication)
    except InvalidValue as error:
        msg = f"{key!r} is not a project page: {error}"
        raise InvalidPage(msg) from error


def _page(said: JsonObject, meta: JsonObject, url: str) -> ParsedPage:
    files: list[File] = []
    refused: dict[str, str] = {}
    for entry in _take(said, "files", list):
        try:
            files.append(_file(entry, url))
        except InvalidValue as error:
            refused[_filename(entry)] = str(error)
    versions = said.pop("versions", None)
    page = ProjectPage(
        name=_take(said, "name", str),
        api_version=_api_version(meta),
        files=tuple(files),
        versions=None if versions is None else tuple(_strings(versions, "versions")),
        serial=_serial(meta),
        status=_status(said.pop("project-status", None)),
        meta=meta,
        extra=said,
    )
    return without_duplicates(page, refused)


def json_object(body: bytes, url: str) -> JsonObject:
    """Read a JSON object that upstream sent.

    Raises:
        InvalidPage: it is none, or one of more values or levels than there is a use for.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MOST_VALUES:
        msg = f"{url} has more than {_MOST_VALUES} values"
        raise InvalidPage(msg)
    said = _object(body, url)
    level: list[Json] = [said]
    for _ in range(_DEEPEST):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else cast("list[Json]", outer))
            if isinstance(inner, dict | list)
        ]
        if not level:
            return said
    msg = f"{url} is nested more than {_DEEPEST} levels deep"
    raise InvalidPage(msg)


def _object(body: bytes, url: str) -> JsonObject:
    try:
        said = json.loads(body, parse_constant=_refuse_constant, parse_float=_finite)
    except (ValueError, RecursionError) as error:
        msg = f"{url} is not JSON: {error}"
        raise InvalidPage(msg) from error
    if not isinstance(said, dict):
        msg = f"{url} is not a JSON object"
        raise InvalidPage(msg)
    return said


def _refuse_constant(constant: str) -> Json:
    msg = f"{constant} is not JSON"
    raise ValueError(msg)


def _finite(digits: str) -> float:
    number = float(digits)
    if not math.isfinite(number):
        msg = f"{digits:.80} is larger than a number can be"
        raise ValueError(msg)
    return number


def _take(said: JsonObject, key: str, kind: type[T]) -> T:
    value = said.pop(key, None)
    if not isinstance(value, kind):
        msg = f"{key!r} is {value!r:.80}, not a {kind.__name__}"
        raise InvalidValue(msg)
    return value


def _api_version(meta: JsonObject) -> str:
    version = meta.pop("api-version", None)
    if isinstance(version, str) and API_VERSION.fullmatch(version):
        return version
    msg = f"the API version is {version!r:.80}; versions 1.x are understood"
    raise InvalidValue(msg)


def _serial(said: JsonObject) -> int | None:
    return checked_serial(said.pop("_last-serial", None))


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
    """Read PEP 658's hashes; without any the metadata is there all the same."""
    hashes = _string_map(value, key)
    return checked_hashes(hashes) if hashes else True


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
        run=RunId(_take(value, "run", str)),
        selection=_take(value, "selection", str),
        etag=_optional(value, "etag", str) or "",
        added=tuple(Key(key) for key in _strings(value.pop("added", []), "added")),
        removed=tuple(Key(key) for key in _strings(value.pop("removed", []), "removed")),
        refused=_string_map(value.pop("refused", {}), "refused"),
        stored=value.pop("stored", True) is not False,
    )


def _filename(entry: Json) -> str:
    """Name a refused file; one without a usable filename is named by what stands there."""
    name = entry.get("filename") if isinstance(entry, dict) else entry
    return name[:_LONGEST_NAME] if isinstance(name, str) else f"{name!r:.80}"


def _file(entry: Json, base: str) -> File:
    if not isinstance(entry, dict):
        msg = f"the file {entry!r:.80} is not an object"
        raise InvalidValue(msg)
    rest = dict(entry)
    filename = _take(rest, "filename", str)
    try:
        url = check_url(urldefrag(urljoin(base, _take(rest, "url", str))).url)
        provenance = _optional(rest, "provenance", str)
        if provenance is not None:
            provenance = check_url(urljoin(base, provenance))
    except ValueError as error:
        msg = f"its URL is none: {error}"
        raise InvalidValue(msg) from error
    core_metadata = rest.pop("core-metadata", None)
    # PEP 714: PyPI's old name for it, and that of PEP 691.
    of_pypi, of_pep = (
        rest.pop("data-dist-info-metadata", None),
        rest.pop("dist-info-metadata", None),
    )
    legacy = of_pypi if of_pep is None else of_pep
    return File(
        filename=filename,
        url=url,
        hashes=checked_hashes(_string_map(_take(rest, "hashes", dict), "hashes")),
        requires_python=_optional(rest, "requires-python", str),
        size=_size(rest),
        upload_time=_optional(rest, "upload-time", str),
        yanked=_flag_or(rest.pop("yanked", None), "yanked", _reason),
        core_metadata=_flag_or(
            legacy if core_metadata is None else core_metadata, "core-metadata", _metadata_hashes
        ),
        gpg_sig=_optional(rest, "gpg-sig", bool),
        provenance=provenance,
        extra=rest,
    )


def _optional(said: JsonObject, key: str, kind: type[T]) -> T | None:
    if said.get(key) is None:
        said.pop(key, None)
        return None
    return _take(said, key, kind)


def _size(said: JsonObject) -> int | None:
    size = _optional(said, "size", int)
    if size is not None and (isinstance(size, bool) or not 0 <= size <= LARGEST_FILE):
        msg = f"its size is {size!r:.80}, not a number of bytes"
        raise InvalidValue(msg)
    return size


def _reason(value: Json, key: str) -> bool | str:
    """Read why a file was yanked; "" is no reason, but yanked it is (PEP 592)."""
    if not isinstance(value, str):
        msg = f"{key!r} is {value!r:.80}, not a string"
        raise InvalidValue(msg)
    return value or True


def _flag_or(value: Json, key: str, read: Callable[[Json, str], T]) -> bool | T:
    if value is None:
        return False
    return value if isinstance(value, bool) else read(value, key)
