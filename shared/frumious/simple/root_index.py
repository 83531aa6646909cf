"""The root index, upstream's and the mirror's own, one project after the other.

PyPI lists some 740,000 projects in 37 MB. Neither reading nor writing ever holds all of them as
objects: upstream's list becomes names and serials, the mirror's own is merged and written as it
is read. Nothing is fetched or stored here.
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
from frumious.simple.values import API_VERSION, InvalidPage, InvalidValue, checked_serial

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from frumious.model.types import Json, JsonObject, Key

VERSION: Final = "1.4"  # of the mirror's own root index, which says no more in any version

# What is small on the wire may be large in memory: "[]," takes 64 bytes. A project takes three.
_MOST_VALUES: Final = 12_000_000
_SAID_HERE: Final = frozenset({"api-version", "_last-serial"})
_HELD: Final = "_held"  # the mirror's own: [files, bytes] of a project
_PIECE: Final = 1000  # projects; objects of one each would take twice the memory
# As C has them, an error beyond: the parser crashes over an integer that Python would refuse.
_NUMBERS: Final = {"use_float": True}
_BOM: Final = b"\xef\xbb\xbf"

_quoted = json.JSONEncoder().encode


def upstream_serials(body: bytes, url: str) -> RootIndex:
    """Parse upstream's root index in JSON (PEP 691, API 1.x).

    Raises:
        InvalidPage: `body` is not such a page.
    """
    if sum(body.count(sign) for sign in (b",", b"[", b"{")) > _MOST_VALUES:
        msg = f"{url} has more than {_MOST_VALUES} values"
        raise InvalidPage(msg)
    projects: dict[NormalizedName, int | None] = {}
    with _judged(url):
        said = _meta(body)
        version = said.get("api-version")
        if not isinstance(version, str) or not API_VERSION.fullmatch(version):
            msg = f"the API version is {version!r:.80}; versions 1.x are understood"
            raise InvalidValue(msg)
        serial = checked_serial(said.get("_last-serial"))
        for entry in _projects(body):
            name = _name(entry)
            with suppress(InvalidName):  # no project page can have such an address
                project = canonicalize_name(name, validate=True)
                projects[project] = checked_serial(entry.get("_last-serial"))
    return RootIndex(projects=projects, serial=serial)


def meta(body: bytes, key: Key) -> JsonObject:
    """Return what the mirror's own root index says of itself; `_last-serial` is a number.

    Raises:
        InvalidPage: `body` is no root index.
    """
    with _judged(repr(key)):
        said = _meta(body)
        return {**said, "_last-serial": checked_serial(said.get("_last-serial"))}


def entries(body: bytes, key: Key) -> Iterator[tuple[NormalizedName, ListedProject]]:
    """Give the projects of the mirror's own root index, as they are stored.

    That is sorted by normalised name, but where another program wrote the page.

    Raises:
        InvalidPage: while reading; `body` is no root index.
    """
    with _judged(repr(key)):
        for entry in _projects(body):
            name = _name(entry)
            files, bytes_ = _held(entry.get(_HELD))
            serial = checked_serial(entry.get("_last-serial"))
            yield canonicalize_name(name), ListedProject(name, serial, files, bytes_)


def merge(
    listed: Iterable[tuple[NormalizedName, ListedProject]],
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
) -> Iterator[tuple[NormalizedName, ListedProject]]:
    """Give the projects after the changes, sorted by normalised name, in one pass.

    No project's serial goes backwards: a change below the listed serial does not count.

    Raises:
        NotSorted: while reading; `listed` is not sorted.
    """
    waiting = iter(sorted(changes.items()))
    change = next(waiting, None)
    last = ""
    for project, before in listed:
        if project <= last:
            msg = f"{project!r} comes behind {last!r}"
            raise NotSorted(msg)
        last = project
        while change is not None and change[0] < project:
            if isinstance(change[1], ListedProject):
                yield change[0], change[1]
            change = next(waiting, None)
        after: ListedProject | DelistedProject = before
        if change is not None and change[0] == project:
            if (change[1].serial or 0) >= (before.serial or 0):
                after = change[1]
            change = next(waiting, None)
        if isinstance(after, ListedProject):
            yield project, after
    while change is not None:
        if isinstance(change[1], ListedProject):
            yield change[0], change[1]
        change = next(waiting, None)


class NotSorted(Exception):
    """A list of projects that is not sorted by normalised name."""


def json_projects(listed: Iterable[tuple[NormalizedName, ListedProject]]) -> bytes:
    """Render the list of projects for `json_page`, with each one's serial as PyPI has it.

    What the mirror holds of a project is private, as PEP 691 has it (a leading underscore).
    """
    return _joined("[", (_json(project) for _, project in listed), ",", "]")


def json_page(projects: bytes, serial: int | None, said: Mapping[str, Json]) -> bytes:
    """Render the root index as JSON (PEP 691) around its list; `said` is what else `meta` has."""
    head: JsonObject = {"api-version": VERSION}
    if serial is not None:
        head["_last-serial"] = serial
    head |= {name: value for name, value in said.items() if name not in _SAID_HERE}
    opening = json.dumps(head, separators=(",", ":")).encode()
    return b"".join((b'{"meta":', opening, b',"projects":', projects, b"}"))


def html_page(listed: Iterable[tuple[NormalizedName, ListedProject]]) -> bytes:
    """Render the root index as HTML (PEP 503)."""
    opening = (
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{VERSION}">\n'
        "    <title>Simple index</title>\n  </head>\n  <body>\n"
    )
    lines = (
        f'    <a href="{escape(project)}/">{escape(each.name)}</a><br/>\n'
        for project, each in listed
    )
    return _joined(opening, lines, "", "  </body>\n</html>")


def _joined(opening: str, pieces: Iterable[str], between: str, ending: str) -> bytes:
    page = io.BytesIO()
    page.write(opening.encode())
    separator = ""
    coming = iter(pieces)
    while some := list(islice(coming, _PIECE)):
        page.write((separator + between.join(some)).encode(errors="xmlcharrefreplace"))
        separator = between
    page.write(ending.encode())
    return page.getvalue()


def _json(project: ListedProject) -> str:
    serial = "" if project.serial is None else f'"_last-serial":{project.serial},'
    held = ""
    if project.files or project.bytes_:
        held = f'"{_HELD}":[{project.files},{project.bytes_}],'
    return f'{{{serial}{held}"name":{_quoted(project.name)}}}'


def _meta(body: bytes) -> JsonObject:
    """Read `meta`, and make sure that there is a list of projects.

    Where both come first, as everywhere, no more than that is read.
    """
    builder = ijson.ObjectBuilder()
    found = has_projects = False
    for prefix, event, value in ijson.parse(_stream(body), **_NUMBERS):
        if prefix == "meta" or prefix.startswith("meta."):
            builder.event(event, value)
            found = found or (prefix == "meta" and event == "end_map")
        elif prefix == "projects":
            has_projects = has_projects or event == "start_array"
        if found and has_projects:
            said: JsonObject = builder.value
            return said
    msg = "it has no 'projects'" if found else "it has no 'meta'"
    raise InvalidValue(msg)


def _projects(body: bytes) -> Iterator[JsonObject]:
    for entry in ijson.items(_stream(body), "projects.item", **_NUMBERS):
        if not isinstance(entry, dict):
            msg = f"the project {reprlib.repr(entry)} is not an object"
            raise InvalidValue(msg)
        yield entry


def _stream(body: bytes) -> io.BytesIO:
    stream = io.BytesIO(body)  # which copies nothing
    if body.startswith(_BOM):
        stream.seek(len(_BOM))
    return stream


def _name(entry: JsonObject) -> str:
    name = entry.get("name")
    if not isinstance(name, str):
        msg = f"a project's name is {reprlib.repr(name)}, not a str"
        raise InvalidValue(msg)
    return name


def _held(value: Json) -> tuple[int, int]:
    if value is None:
        return 0, 0
    if isinstance(value, list) and len(value) == 2:  # noqa: PLR2004 (files, bytes)
        files, bytes_ = value
        if isinstance(files, int) and isinstance(bytes_, int):
            return files, bytes_
    msg = f"{_HELD!r} is {reprlib.repr(value)}, not [files, bytes]"
    raise InvalidValue(msg)


@contextmanager
def _judged(page: str) -> Iterator[None]:
    """Make whatever is wrong with a page an InvalidPage that names it."""
    try:
        yield
    except (ijson.JSONError, ArithmeticError, ValueError, RecursionError) as error:
        msg = f"{page} is not JSON: {error}"
        raise InvalidPage(msg) from error
    except InvalidValue as error:
        msg = f"{page} is not a root index: {error}"
        raise InvalidPage(msg) from error
