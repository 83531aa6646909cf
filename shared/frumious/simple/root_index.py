"""Parser and renderer of the root index, upstream's and the mirror's own.

PyPI lists some 740,000 projects in 37 MB. They are never all in memory as objects: upstream's list
becomes names and serials, the mirror's own is merged and rendered batch by batch.
"""

from __future__ import annotations

import io
import json
import logging
import re
import reprlib
from bisect import bisect_right
from contextlib import contextmanager
from html import escape
from itertools import islice
from typing import TYPE_CHECKING, Final

import ijson

from frumious.model.pages import DelistedProject, ListedProject, RootIndex
from frumious.simple import project_list
from frumious.simple.project_list import (
    STORED,
    Batch,
    Entry,
    Unusual,
    head,
    read_entries,
    read_meta,
)
from frumious.simple.values import (
    InvalidPage,
    InvalidValue,
    check_api_version,
    parse_serial,
    project_name,
    without_lone_surrogates,
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
_BATCH: Final = 1000  # projects that are rendered at once
# Serials that the parser refuses, and the whole page with them, as with halves of surrogate pairs.
_NO_SERIAL: Final = re.compile(rb'("_last-serial"\s*:\s*)(?:-?[0-9][0-9.eE+-]{18,}|-?Infinity|NaN)')

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
    with _invalid_page(url):
        try:
            projects, page, invalid, nameless = _valid_projects(body), head(body), 0, 0
        except Unusual:
            page = _mended(body)
            projects, invalid, nameless = _all_projects(page)
        page_meta = read_meta(_mended(page))
        check_api_version(page_meta.get("api-version"))
        serial = _valid_serial(page_meta)
    if nameless > len(projects):
        msg = f"{url} is not a root index: {nameless} of its entries have no name"
        raise InvalidPage(msg)
    if invalid or nameless:
        logger.warning("%s lists %d projects without a valid name", url, invalid + nameless)
    return RootIndex(projects=projects, serial=serial)


def _valid_projects(body: bytes) -> dict[NormalizedName, int | None]:
    projects: dict[NormalizedName, int | None] = {}
    for batch in project_list.batches(body):
        serials = [entry.serial for entry in batch.entries]
        projects.update(zip(batch.projects, serials, strict=True))
    return projects


def _all_projects(body: bytes) -> tuple[dict[NormalizedName, int | None], int, int]:
    """Return the projects, and how many entries have an invalid name or none."""
    projects: dict[NormalizedName, int | None] = {}
    invalid = nameless = 0
    for entry in read_entries(body):
        if not isinstance(entry, dict) or not isinstance(entry.get("name"), str):
            nameless += 1
        elif (project := project_name(entry["name"])) is None:
            invalid += 1
        else:
            projects[project] = _valid_serial(entry)
    return projects, invalid, nameless


def _mended(body: bytes) -> bytes:
    return without_lone_surrogates(_NO_SERIAL.sub(rb"\1null", body))


def meta(body: bytes, key: Key) -> JsonObject:
    """Return `meta` of the mirror's own root index, with `_last-serial` as a number.

    Raises:
        InvalidPage: `body` is not a root index.
    """
    with _invalid_page(repr(key)):
        page_meta = read_meta(body)
        return {**page_meta, "_last-serial": parse_serial(page_meta.get("_last-serial"))}


def batches(body: bytes, key: Key) -> Iterator[Batch]:
    """Yield the projects of the mirror's own root index in stored order.

    They are sorted by normalised name, unless another program wrote the page. Names that no
    project can have are passed over.

    Raises:
        InvalidPage: while iterating; `body` is not a root index.
    """
    count = 0
    with _invalid_page(repr(key)):
        try:
            for batch in project_list.batches(body):
                yield batch
                count += len(batch.entries)
        except Unusual:
            yield from batched(_own_projects(islice(read_entries(body), count, None)))


def entries(body: bytes, key: Key) -> Iterator[tuple[NormalizedName, ListedProject]]:
    """Yield the projects of `batches`."""
    for batch in batches(body, key):
        yield from batch.items()


def batched(listed: Iterable[tuple[NormalizedName, ListedProject]]) -> Iterator[Batch]:
    """Yield projects in batches."""
    remaining = iter(listed)
    while items := list(islice(remaining, _BATCH)):
        yield Batch.of(items)


def _own_projects(stored: Iterable[Json]) -> Iterator[tuple[NormalizedName, ListedProject]]:
    for entry in stored:
        if not isinstance(entry, dict) or not isinstance(name := entry.get("name"), str):
            msg = f"the project {reprlib.repr(entry)} has no name"
            raise InvalidValue(msg)
        files, bytes_ = _files_and_bytes(entry.get(STORED))
        serial = parse_serial(entry.get("_last-serial"))
        if (project := project_name(name)) is not None:
            yield project, ListedProject(name, serial, files, bytes_)


def merge(
    listed: Iterable[Batch], changes: Mapping[NormalizedName, ListedProject | DelistedProject]
) -> Iterator[tuple[Batch, bool]]:
    """Yield the batches after the changes, and whether the names in each have changed.

    Ignores a change with a lower serial than the listed one, unless it is `rewinding`: no serial
    goes backwards.

    Raises:
        NotSorted: while iterating; `listed` is not sorted.
    """
    pending = sorted(changes.items())
    names = [project for project, _ in pending]
    start, previous = 0, ""
    for batch in listed:
        if not batch.follows(previous):
            msg = f"the projects after {previous!r} are not in order"
            raise NotSorted(msg)
        previous = batch.projects[-1]
        stop = bisect_right(names, previous, start)
        yield (batch, False) if start == stop else _merged(batch, pending[start:stop])
        start = stop
    for first in range(start, len(pending), _BATCH):
        yield _merged(Batch((), ()), pending[first : first + _BATCH])


def _merged(
    batch: Batch, changes: Iterable[tuple[NormalizedName, ListedProject | DelistedProject]]
) -> tuple[Batch, bool]:
    listed = dict(batch.items())
    names_changed = False
    for project, change in changes:
        before = listed.get(project)
        outdated = before is not None and (change.serial or 0) < (before.serial or 0)
        if outdated and not change.rewinding:
            continue
        if isinstance(change, ListedProject):
            listed[project] = change
            names_changed |= before is None or before.name != change.name
        else:
            names_changed |= listed.pop(project, None) is not None
    return Batch.of(sorted(listed.items())), names_changed


class NotSorted(Exception):
    """The list of projects is not sorted by normalised name."""


def json_projects(listed: Iterable[Batch], *, as_stored: bool = False) -> bytes:
    """Render the list of projects for `json_page`, with serials in PyPI's format.

    The number of files and bytes is a private key (PEP 691: a leading underscore). With
    `as_stored`, batches that are stored in this format are not rendered anew.
    """
    page = io.BytesIO()
    page.write(b"[")
    separator = b""
    for batch in listed:
        stored = batch.stored if as_stored else None
        if rendered := stored or ",".join(map(json_entry, batch.entries)).encode():
            page.write(separator + rendered)
            separator = b","
    page.write(b"]")
    return page.getvalue()


def json_page(projects: bytes, serial: int | None, more_meta: Mapping[str, Json]) -> bytes:
    """Render the root index as JSON (PEP 691) around its list; add `more_meta` to `meta`."""
    page_meta: JsonObject = {"api-version": VERSION}
    if serial is not None:
        page_meta["_last-serial"] = serial
    page_meta |= {name: value for name, value in more_meta.items() if name not in _OWN_META}
    rendered = json.dumps(page_meta, separators=(",", ":")).encode()
    return b"".join((b'{"meta":', rendered, b',"projects":', projects, b"}"))


def html_page(listed: Iterable[Batch]) -> bytes:
    """Render the root index as HTML (PEP 503)."""
    page = io.BytesIO()
    page.write(
        "<!DOCTYPE html>\n<html>\n  <head>\n"
        f'    <meta name="pypi:repository-version" content="{VERSION}">\n'
        "    <title>Simple index</title>\n  </head>\n  <body>\n".encode()
    )
    for batch in listed:
        lines = [
            f'    <a href="{project}/">{escape(entry.name)}</a><br/>\n'
            for project, entry in zip(batch.projects, batch.entries, strict=True)
        ]
        page.write("".join(lines).encode(errors="xmlcharrefreplace"))
    page.write(b"  </body>\n</html>")
    return page.getvalue()


def json_entry(project: Entry) -> str:
    """Render an entry of the list of projects."""
    serial = "" if project.serial is None else f'"_last-serial":{project.serial},'
    files, bytes_ = project.stored
    stored = f'"{STORED}":[{files},{bytes_}],' if files or bytes_ else ""
    return f'{{{serial}{stored}"name":{_quoted(project.name)}}}'


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
    msg = f"{STORED!r} is {reprlib.repr(value)}, not [files, bytes]"
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
