"""Streaming parser and renderer of the root index, upstream's and the mirror's own.

PyPI lists some 740,000 projects in 37 MB. They are never all in memory as objects: upstream's list
becomes names and serials, the mirror's own is merged and rendered while it is parsed.
"""

from __future__ import annotations

import io
import json
import reprlib
from contextlib import contextmanager, suppress
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Final

import ijson
from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from frumious.model.pages import DelistedProject, ListedProject, RootIndex
from frumious.simple.values import InvalidPage, InvalidValue, check_api_version, parse_serial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from frumious.model.types import Json, JsonObject, Key

VERSION: Final = "1.4"  # of the mirror's own root index; no later version adds to it

# A limit of the memory that a body takes. A project takes three: enough for 1,500,000.
_MAX_VALUES: Final = 4_500_000
_OWN_META: Final = frozenset({"api-version", "_last-serial"})
_STORED: Final = "_held"  # private to the mirror: [files, bytes] of a project
_BATCH: Final = 1000  # projects; rendering them one by one takes twice the memory
# Numbers as in C: the parser crashes on an integer that is too long for Python.
_NUMBERS: Final = {"use_float": True}
_BOM: Final = b"\xef\xbb\xbf"

_quoted = json.JSONEncoder().encode


def parse(body: bytes, url: str) -> RootIndex:
    """Parse upstream's root index in JSON (PEP 691, API 1.x).

    Raises:
        InvalidPage: `body` is not a root index.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MAX_VALUES:
        msg = f"{url} has more than {_MAX_VALUES} values"
        raise InvalidPage(msg)
    projects: dict[NormalizedName, int | None] = {}
    with _invalid_page(url):
        page_meta = _meta(body)
        check_api_version(page_meta.get("api-version"))
        serial = parse_serial(page_meta.get("_last-serial"))
        for entry in _projects(body):
            name = _name(entry)
            with suppress(InvalidName):  # no project page can have such a name
                project = canonicalize_name(name, validate=True)
                projects[project] = parse_serial(entry.get("_last-serial"))
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

    They are sorted by normalised name, unless another program wrote the page.

    Raises:
        InvalidPage: while iterating; `body` is not a root index.
    """
    with _invalid_page(repr(key)):
        for entry in _projects(body):
            name = _name(entry)
            files, bytes_ = _files_and_bytes(entry.get(_STORED))
            serial = parse_serial(entry.get("_last-serial"))
            yield canonicalize_name(name), ListedProject(name, serial, files, bytes_)


def merge(
    listed: Iterable[tuple[NormalizedName, ListedProject]],
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
) -> Iterator[tuple[NormalizedName, ListedProject]]:
    """Yield the projects after the changes, sorted by normalised name, in one pass.

    Ignores a change with a lower serial than the listed one: no serial goes backwards.

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
            if (change[1].serial or 0) >= (current.serial or 0):
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


def _projects(body: bytes) -> Iterator[JsonObject]:
    for entry in ijson.items(_stream(body), "projects.item", **_NUMBERS):
        if not isinstance(entry, dict):
            msg = f"the project {reprlib.repr(entry)} is not an object"
            raise InvalidValue(msg)
        yield entry


def _stream(body: bytes) -> io.BytesIO:
    stream = io.BytesIO(body)  # does not copy
    if body.startswith(_BOM):
        stream.seek(len(_BOM))
    return stream


def _name(entry: JsonObject) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        msg = f"a project's name is {reprlib.repr(name)}, not a str"
        raise InvalidValue(msg)
    return name


def _files_and_bytes(value: Json) -> tuple[int, int]:
    if value is None:
        return 0, 0
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 (files, bytes)
        files, bytes_ = value
        if isinstance(files, int) and isinstance(bytes_, int):
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
