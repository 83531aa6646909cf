"""The list of projects of a root index, in batches: a million projects are never objects at once.

msgspec decodes the list, slice by slice. ijson reads a page that msgspec refuses: it knows which
part of a page is wrong, and takes what is only unusual.
"""

from __future__ import annotations

import io
import re
from itertools import accumulate
from operator import lt
from typing import TYPE_CHECKING, Annotated, Final, NamedTuple, cast

import ijson
import msgspec
from msgspec import Meta, Struct

from frumious.model.pages import ListedProject
from frumious.model.types import MAX_NAME_LENGTH, Count, Serial
from frumious.simple.values import InvalidValue

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.types import Json, JsonObject

STORED: Final = "_held"  # private to the mirror: [files, bytes] of a project

_SLICE: Final = 8 * 1024  # bytes, at least: those in which nothing changes are copied
_BOUNDARY: Final = re.compile(rb"\}([ \t\r\n]*,[ \t\r\n]*)\{")
_LIST: Final = re.compile(rb'"projects"[ \t\r\n]*:[ \t\r\n]*\[')
_MAX_HEAD: Final = 1024**2  # bytes before the list; more are left to ijson
# As `project_name` checks them, except for the few characters beyond ASCII that it takes.
_NAME: Final = "[A-Za-z0-9](?:[A-Za-z0-9._-]*[A-Za-z0-9])?"
_NAMES: Final = re.compile(f"{_NAME}(?:\n{_NAME})*")
_SEPARATORS: Final = re.compile(r"[-_.]+")
# Numbers as in C: the parser crashes on an integer that is too long for Python.
_NUMBERS: Final = {"use_float": True}
# ijson takes time with the square of the depth.
_MAX_DEPTH: Final = 100
_OPENING: Final = b"[{"
_NO_BRACKETS: Final = bytes({*range(256)} - {*b"[]{}"})
_STRING: Final = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BOM: Final = b"\xef\xbb\xbf"


class Entry(Struct, frozen=True, gc=False):
    """A project of a list, as most lists have them."""

    name: Annotated[str, Meta(max_length=MAX_NAME_LENGTH)]
    serial: Serial | None = msgspec.field(default=None, name="_last-serial")
    stored: tuple[Count, Count] = msgspec.field(default=(0, 0), name=STORED)


class Batch(NamedTuple):
    """Projects that follow one another."""

    projects: Sequence[NormalizedName]
    entries: Sequence[Entry]
    stored: bytes | None = None  # the entries as a page has them, with commas

    @classmethod
    def of(cls, items: Iterable[tuple[NormalizedName, ListedProject]]) -> Batch:
        """Return projects as a batch."""
        projects, entries = [], []
        for project, each in items:
            projects.append(project)
            entries.append(Entry(each.name, each.serial, (each.files, each.bytes_)))
        return cls(projects, entries)

    def items(self) -> Iterator[tuple[NormalizedName, ListedProject]]:
        """Yield the projects."""
        for project, entry in zip(self.projects, self.entries, strict=True):
            yield project, ListedProject(entry.name, entry.serial, *entry.stored)

    def follows(self, previous: str) -> bool:
        """Return whether the projects are sorted, and behind a previous one."""
        return previous < self.projects[0] and all(map(lt, self.projects, self.projects[1:]))


class Unusual(Exception):
    """A page that msgspec does not decode as a list of projects."""


_END: Final = b"]}"
_decode_entries: Final = msgspec.json.Decoder(list[Entry]).decode


def batches(body: bytes) -> Iterator[Batch]:
    """Yield the projects in batches.

    Raises:
        Unusual: while iterating.
    """
    start, end = len(head(body)) - len(_END), len(body)
    for closing in _END[::-1].decode():
        end = len(body[:end].rstrip()) - 1
        if body[end : end + 1] != closing.encode():
            raise Unusual
    while start < end:
        boundary = _BOUNDARY.search(body, start + _SLICE, end)
        stop, following = (end, end) if boundary is None else boundary.span(1)
        stored = body[start:stop]
        start = following
        try:
            entries = _decode_entries(b"[" + stored + b"]")
        except (ValueError, RecursionError) as error:
            raise Unusual from error
        if entries:
            yield Batch(_normalized(entries), entries, stored)


def head(body: bytes) -> bytes:
    """Return a page without its projects.

    Raises:
        Unusual: it has a long `meta`, or one that is not in front of the list.
    """
    found = _LIST.search(body, 0, _MAX_HEAD)
    if found is None:
        raise Unusual
    page = body[: found.end()] + _END
    try:
        content = msgspec.json.decode(page)
    except (ValueError, RecursionError) as error:
        raise Unusual from error  # the list that was found is part of something else
    if not isinstance(content, dict) or "meta" not in content:
        raise Unusual
    return page


def _normalized(entries: Sequence[Entry]) -> list[NormalizedName]:
    text = "\n".join([entry.name for entry in entries])
    names = _SEPARATORS.sub("-", text).lower().split("\n")
    if _NAMES.fullmatch(text) is None or len(names) != len(entries):
        raise Unusual
    return cast("list[NormalizedName]", names)


def read_entries(body: bytes) -> Iterator[Json]:
    """Yield the entries of any page.

    Raises:
        InvalidValue, ijson.JSONError, ArithmeticError, ValueError: while iterating; it is damaged.
    """
    _check_depth(body)
    yield from ijson.items(_stream(body), "projects.item", **_NUMBERS)


def read_meta(body: bytes) -> JsonObject:
    """Return `meta`, and check that there is a list of projects.

    Usually both come first, and the rest is not parsed.

    Raises:
        InvalidValue, ijson.JSONError, ArithmeticError, ValueError: there is none, or it is damaged.
    """
    try:
        body = head(body)
    except Unusual:
        _check_depth(body)
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


def _check_depth(body: bytes) -> None:
    if _depth(body) > _MAX_DEPTH and _depth(_STRING.sub(b"", body)) > _MAX_DEPTH:
        msg = f"it is nested more than {_MAX_DEPTH} levels deep"
        raise InvalidValue(msg)


def _depth(body: bytes) -> int:
    """Return how deep a page is nested, or more: brackets in strings count as well."""
    brackets = body.translate(None, _NO_BRACKETS)
    return max(accumulate(1 if sign in _OPENING else -1 for sign in brackets), default=0)


def _stream(body: bytes) -> io.BytesIO:
    stream = io.BytesIO(body)  # does not copy
    if body.startswith(_BOM):
        stream.seek(len(_BOM))
    return stream
