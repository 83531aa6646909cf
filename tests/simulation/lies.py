"""What a broken or hostile upstream writes into its pages and changelog, apart from the truth."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from packaging.utils import canonicalize_name

from tests.upstream import PYPI
from tests.upstream.pages import project_page

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.upstream.index import Index
    from tests.upstream.pages import Addresses, Page

_UNSAFE = ("../../status", "index.v1_json", ".frumious-x", "a" * 300, "x\0.whl", "x.metadata", "..")
_FOREIGN = "no-such-project"
_ABSURD = 2_000_000_000  # XML-RPC has no larger number


class Liar:
    """Makes false pages of true ones, in which another project may play a part."""

    def __init__(self, index: Index, addresses: Addresses, other: str) -> None:
        self._index = index
        self._addresses = addresses
        self._other = other

    def fewer_files(self, page: Page) -> None:
        del page["files"][len(page["files"]) // 2 :]

    def no_files(self, page: Page) -> None:
        page["files"].clear()

    def files_twice(self, page: Page) -> None:
        page["files"] += [{**file, "yanked": True} for file in page["files"]]

    def foreign_files(self, page: Page) -> None:
        """Name the files of another project as well."""
        view = self._index.project(self._other)
        if view is not None:
            page["files"] += project_page(view, PYPI, self._addresses)["files"]

    def wrong_hashes(self, page: Page) -> None:
        for file in page["files"]:
            file["hashes"] = {"sha256": hashlib.sha256(b"other").hexdigest()}

    def other_hashes(self, page: Page, algorithm: str) -> None:
        """Name the same files by another algorithm."""
        for file in page["files"]:
            content = b"".join(self._index.files_named(file["filename"])[0].content.read())
            file["hashes"] = {algorithm: hashlib.new(algorithm, content).hexdigest()}

    def unsafe_names(self, page: Page) -> None:
        first = page["files"][:1]
        page["files"] += [{**file, "filename": name} for file in first for name in _UNSAFE]

    def swapped_urls(self, page: Page) -> None:
        """Give each file the address of another one."""
        urls = [file["url"] for file in page["files"]]
        for file, url in zip(page["files"], urls[1:] + urls[:1], strict=True):
            file["url"] = url

    def low_serial(self, page: Page) -> None:
        page["meta"]["_last-serial"] = 1

    def high_serial(self, page: Page) -> None:
        page["meta"]["_last-serial"] = self._index.serial + 1000

    def absurd_serial(self, page: Page) -> None:
        page["meta"]["_last-serial"] = 10**15


@dataclass(frozen=True, slots=True)
class IndexLie:
    """A lie in the changelog or the root index; what it does not concern is None."""

    rows: Callable[[list[Any]], list[Any]] | None = None  # of changelog_since_serial
    serial: Callable[[int], int] | None = None  # of changelog_last_serial
    header: Callable[[int], int] | None = None  # of the root index
    root: Callable[[Page], None] | None = None


def _named(entries: list[Any], project: str) -> list[Any]:
    return [each for each in entries if canonicalize_name(each["name"]) == project]


def _without(page: Page, project: str) -> None:
    for entry in _named(page["projects"], project):
        page["projects"].remove(entry)


def _at(page: Page, project: str, serial: int) -> None:
    for entry in _named(page["projects"], project):
        entry["_last-serial"] = serial


def _foreign(page: Page) -> None:
    serial = page["meta"]["_last-serial"]
    names = (_FOREIGN, "..", "", "a" * 1000)
    page["projects"] += [{"name": name, "_last-serial": serial} for name in names]


def _row(rows: list[Any], project: str, action: str, serial: int | None = None) -> list[Any]:
    last = max((row[-1] for row in rows), default=0)
    return [*rows, [project, None, 1_767_000_000, action, last if serial is None else serial]]


# Each is made for a project.
INDEX_LIES: Final[dict[str, Callable[[str], IndexLie]]] = {
    "no events of a project": lambda project: IndexLie(
        rows=lambda rows: [row for row in rows if canonicalize_name(row[0]) != project]
    ),
    "an event with an absurd serial": lambda project: IndexLie(
        rows=lambda rows: _row(rows, project, "new release", _ABSURD)
    ),
    "an event that removes a project": lambda project: IndexLie(
        rows=lambda rows: _row(rows, project, "remove project")
    ),
    "events of foreign projects": lambda _: IndexLie(
        rows=lambda rows: _row(_row(rows, _FOREIGN, "create"), "../..", "create")
    ),
    "an absurd serial": lambda _: IndexLie(serial=lambda _: _ABSURD),
    "a high serial": lambda _: IndexLie(serial=lambda serial: serial + 1000),
    "a low serial": lambda _: IndexLie(serial=lambda serial: serial - 5),
    "a root index with an absurd serial": lambda _: IndexLie(header=lambda _: _ABSURD),
    "a root index with a high serial": lambda _: IndexLie(header=lambda serial: serial + 1000),
    "a root index with a low serial": lambda _: IndexLie(header=lambda _: 1),
    "a root index without a project": lambda project: IndexLie(
        root=lambda page: _without(page, project)
    ),
    "a root index of foreign projects": lambda _: IndexLie(root=_foreign),
    "a project's absurd serial in the root index": lambda project: IndexLie(
        root=lambda page: _at(page, project, _ABSURD)
    ),
    "a project's high serial in the root index": lambda project: IndexLie(
        root=lambda page: _at(page, project, page["meta"]["_last-serial"] + 1000)
    ),
    "a project's low serial in the root index": lambda project: IndexLie(
        root=lambda page: _at(page, project, 1)
    ),
    "an empty root index": lambda _: IndexLie(root=lambda page: page["projects"].clear()),
}

LIES: Final[dict[str, Callable[[Liar, Any], None]]] = {
    "fewer files": Liar.fewer_files,
    "no files": Liar.no_files,
    "files twice": Liar.files_twice,
    "foreign files": Liar.foreign_files,
    "wrong hashes": Liar.wrong_hashes,
    "other hashes": partial(Liar.other_hashes, algorithm="sha512"),
    "weak hashes": partial(Liar.other_hashes, algorithm="md5"),
    "unsafe names": Liar.unsafe_names,
    "swapped URLs": Liar.swapped_urls,
    "low serial": Liar.low_serial,
    "high serial": Liar.high_serial,
    "absurd serial": Liar.absurd_serial,
}
