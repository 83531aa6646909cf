"""Streaming parser and renderer of the root index, upstream's and the mirror's own.

PyPI lists some 740,000 projects in 37 MB. They are never all in memory as objects: upstream's list
becomes names and serials, the mirror's own is merged and rendered while it is parsed.
"""

from __future__ import annotations

import io
import json
import logging
import re
import reprlib
from contextlib import contextmanager
from html import escape
from itertools import accumulate, islice
from typing import TYPE_CHECKING, Final

import ijson

from frumious.model.pages import DelistedProject, ListedProject, RootIndex
from frumious.simple.values import (
    InvalidPage,
    InvalidValue,
    check_api_version,
    parse_serial,
    project_name,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.types import Json, JsonObject, Key

logger = logging.getLogger(__name__)

VERSION: Final = "1.4"  # of the mirror's own root index; no later version adds to it

# A limit of the memory that a body takes. A project takes three: enough for 1,500,000.
_MAX_VALUES: Final = 4_500_000
_OWN_META: Final = frozenset({"api-version", "_last-serial"})
_STORED: Final = "_held"  # private to the mirror: [files, bytes] of a project
_BATCH: Final = 1000  # projects; rendering them one by one takes twice the memory
# Numbers as in C: the parser crashes on an integer that is too long for Python.
_NUMBERS: Final = {"use_float": True}
# Halves of surrogate pairs and serials that the parser refuses, and the whole page with them.
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_NO_SERIAL: Final = re.compile(rb'("_last-serial"\s*:\s*)(?:-?[0-9][0-9.eE+-]{18,}|-?Infinity|NaN)')
# The parser takes time with the square of the depth.
_MAX_DEPTH: Final = 100
_OPENING: Final = b"[{"
_NO_BRACKETS: Final = bytes({*range(256)} - {*b"[]{}"})
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BOM: Final = b"\xef\xbb\xbf"

_quoted = json.JSONEncoder().encode


def parse(body: bytes, url: str) -> RootIndex:
    """Parse upstream's root index in JSON (PEP 691, API 1.x).

    A project with an invalid serial has none. Entries without a name, and those with a name that no
    project can have, are passed over.

    Raises:
        InvalidPage: `body` is not a root index, or most of its entries have no name.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MAX_VALUES:
        msg = f"{url} has more than {_MAX_VALUES} values"
        raise InvalidPage(msg)
    body = _LONE_SURROGATE.sub(rb"\\ufffd", _NO_SERIAL.sub(rb"\1null", body))
    projects: dict[NormalizedName, int | None] = {}
    invalid = nameless = 0
    with _invalid_page(url):
        page_meta = _meta(body)
        check_api_version(page_meta.get("api-version"))
        serial = _valid_serial(page_meta)
        for entry in _projects(body):
            if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
                nameless += 1
            elif (project := project_name(entry["name"])) is None:
                invalid += 1
            else:
                projects[project] = _valid_serial(entry)
    if nameless > len(projects):
        msg = f"{url} is not a root index: {nameless} of its entries have no name"
        raise InvalidPage(msg)
    if invalid or nameless:
        logger.warning("%s lists %d projects without a valid name", url, invalid + nameless)
    return RootIndex(projects=projects, serial=serial)


def meta(body: bytes, key: Key) -> JsonObject:
    """Return `meta` of the mirror's own root index, with `_last-serial` as a number.

    Raises:
        InvalidPage: `body` is not a root index.
    """
    with _invalid_page(repr(key)):
        page_meta = _meta(body)
        return {**page_meta, "_last-serial": parse_serial(page_meta.get("_last-serial"))}


def entries(body: bytes, key: Key) -> Iterator[tuple[NormalizedName, ListedProject]]:
    """Yield the projects of the mirror's own root index in stored order.

    They are sorted by normalised name, unless another program wrote the page. Names that no
    project can have are passed over.

    Raises:
        InvalidPage: while iterating; `body` is not a root index.
    """
    with _invalid_page(repr(key)):
        for entry in _projects(body):
            if not isinstance(entry, dict) or not isinstance(name := entry.get("name"), str):
                msg = f"the project {reprlib.repr(entry)} has no name"
                raise InvalidValue(msg)
            files, bytes_ = _files_and_bytes(entry.get(_STORED))
            serial = parse_serial(entry.get("_last-serial"))
            if (project := project_name(name)) is not None:
                yield project, ListedProject(name, serial, files, bytes_)


def merge(
    listed: Iterable[tuple[NormalizedName, ListedProject]],
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
) -> Iterator[tuple[NormalizedName, ListedProject]]:
    """Yield the projects after the changes, sorted by normalised name, in one pass.

    Ignores a change with a lower serial than the listed one, unless it is `rewinding`: no serial
    goes backwards.

    Raises:
        NotSorted: while iterating; `listed` is not sorted.
    """
    pending = iter(sorted(changes.items()))
    change = next(pending, None)
    previous = ""
    for project, current in listed:
        if project <= previous:
            msg = f"{project!r} follows {previous!r}"
            raise NotSorted(msg)
        previous = project
        while change is not None and change[0] < project:
            if isinstance(change[1], ListedProject):
                yield change[0], change[1]
            change = next(pending, None)
        merged: ListedProject | DelistedProject = current
        if change is not None and change[0] == project:
            if change[1].rewinding or (change[1].serial or 0) >= (current.serial or 0):
                merged = change[1]
            change = next(pending, None)
        if isinstance(merged, ListedProject):
            yield project, merged
    while change is not None:
        if isinstance(change[1], ListedProject):
            yield change[0], change[1]
        change = next(pending, None)


class NotSorted(Exception):
    """The list of projects is not sorted by normalised name."""


def json_projects(listed: Iterable[tuple[NormalizedName, ListedProject]]) -> bytes:
    """Render the list of projects for `json_page`, with serials in PyPI's format.

    The number of files and bytes is a private key (PEP 691: a leading underscore).
    """
    return _joined("[", (_json(project) for _, project in listed), ",", "]")


def json_page(projects: bytes, serial: int | None, more_meta: Mapping[str, Json]) -> bytes:
    """Render the root index as JSON (PEP 691) around its list; add `more_meta` to `meta`."""
    page_meta: JsonObject = {"api-version": VERSION}
    if serial is not None:
        page_meta["_last-serial"] = serial
    page_meta |= {name: value for name, value in more_meta.items() if name not in _OWN_META}
    rendered = json.dumps(page_meta, separators=(",", ":")).encode()
    return b"".join((b'{"meta":', rendered, b',"projects":', projects, b"}"))


def html_page(listed: Iterable[tuple[NormalizedName, ListedProject]]) -> bytes:
    """Render the root index as HTML (PEP 503)."""
    opening = (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{VERSION}">\n'
        "    <title>Simple index</title>\n  </head>\n  <body>\n"
    )
    lines = (
        f'    <a href="{escape(project)}/">{escape(entry.name)}</a><br/>\n'
        for project, entry in listed
    )
    return _joined(opening, lines, "", "  </body>\n</html>")


def _joined(opening: str, items: Iterable[str], separator: str, ending: str) -> bytes:
    page = io.BytesIO()
    page.write(opening.encode())
    leading = ""
    remaining = iter(items)
    while batch := list(islice(remaining, _BATCH)):
        page.write((leading + separator.join(batch)).encode(errors="xmlcharrefreplace"))
        leading = separator
    page.write(ending.encode())
    return page.getvalue()


def _json(project: ListedProject) -> str:
    serial = "" if project.serial is None else f'"_last-serial":{project.serial},'
    stored = ""
    if project.files or project.bytes_:
        stored = f'"{_STORED}":[{project.files},{project.bytes_}],'
    return f'{{{serial}{stored}"name":{_quoted(project.name)}}}'


def _meta(body: bytes) -> JsonObject:
    """Return `meta`, and check that there is a list of projects.

    Usually both come first, and the rest is not parsed.
    """
    if _depth(body) > _MAX_DEPTH and _depth(_STRING.sub(b"", body)) > _MAX_DEPTH:
        msg = f"it is nested more than {_MAX_DEPTH} levels deep"
        raise InvalidValue(msg)
    builder = ijson.ObjectBuilder()
    has_meta = has_projects = False
    for prefix, event, value in ijson.parse(_stream(body), **_NUMBERS):
        if prefix == "meta" or prefix.startswith("meta."):
            builder.event(event, value)
            has_meta = has_meta or (prefix == "meta" and event == "end_map")
        elif prefix == "projects":
            has_projects = has_projects or event == "start_array"
        if has_meta and has_projects:
            page_meta: JsonObject = builder.value
            return page_meta
    msg = "it has no 'projects'" if has_meta else "it has no 'meta'"
    raise InvalidValue(msg)


def _depth(body: bytes) -> int:
    """Return how deep a page is nested, or more: brackets in strings count as well."""
    brackets = body.translate(None, _NO_BRACKETS)
    return max(accumulate(1 if sign in _OPENING else -1 for sign in brackets), default=0)


def _projects(body: bytes) -> Iterator[Json]:
    yield from ijson.items(_stream(body), "projects.item", **_NUMBERS)


def _stream(body: bytes) -> io.BytesIO:
    stream = io.BytesIO(body)  # does not copy
    if body.startswith(_BOM):
        stream.seek(len(_BOM))
    return stream


def _valid_serial(values: JsonObject) -> int | None:
    try:
        return parse_serial(values.get("_last-serial"))
    except InvalidValue:
        return None


def _files_and_bytes(value: Json) -> tuple[int, int]:
    if value is None:
        return 0, 0
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 (files, bytes)
        files, bytes_ = value
        if type(files) is int and type(bytes_) is int and min(files, bytes_) >= 0:
            return files, bytes_
    msg = f"{_STORED!r} is {reprlib.repr(value)}, not [files, bytes]"
    raise InvalidValue(msg)


@contextmanager
def _invalid_page(page: str) -> Iterator[None]:
    """Convert errors of the parser into an InvalidPage that names the page."""
    try:
        yield
    except (ijson.JSONError, ArithmeticError, ValueError, RecursionError) as error:
        msg = f"{page} is not JSON: {error}"
        raise InvalidPage(msg) from error
    except InvalidValue as error:
        msg = f"{page} is not a root index: {error}"
        raise InvalidPage(msg) from error
