"""The most downloaded projects, by a list of download counts.

The usual public format is that of top-pypi-packages:
`{"rows": [{"download_count": 1234, "project": "boto3"}]}`, with other keys, which do not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec
from msgspec import Struct

from frumious.config.filters import check_address, is_address, parsed_file
from frumious.redaction import SecretText
from frumious.selection.names import AllowedProjects
from frumious.selection.unread import ListsUnread, Unread
from frumious.simple.values import project_name

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions
    from frumious.model.lists import Lists


class _Row(Struct):
    project: str
    download_count: int


class _Counts(Struct):
    rows: list[_Row]


class TopProjects(AllowedProjects, frozen=True):
    """The projects with the most downloads."""

    name: ClassVar = "top_projects"
    option: ClassVar = "[top] list"

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[top] projects` and `list`; return None where the list has an address."""
        reader, nothing = options.reader, tuple["NormalizedName", ...]()
        count = options.top
        ranked = reader.get("top", "list", _ranked_file, nothing)
        if ranked and count:
            try:
                ranked = ranked_projects(ranked, count)
            except ValueError as error:
                reader.add_mistake("top", "projects", str(error))
        return cls(frozenset(ranked)) if count and ranked else None


class UnreadTop(Unread, frozen=True):
    """The address of a list of download counts, until somebody has read it."""

    name: ClassVar = TopProjects.name
    option: ClassVar = TopProjects.option
    count: int
    address: str

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[top] projects` and `list`; return None where the list is a file."""
        address = options.reader.get("top", "list", _address, "")
        return cls(options.top, address) if address and options.top else None

    def resolved(self, lists: Lists) -> TopProjects:
        """Return the filter that follows from the list."""
        if not lists.top:
            raise ListsUnread
        return TopProjects(frozenset(lists.top[0].projects[: self.count]))


def parse_counts(data: bytes) -> tuple[NormalizedName, ...]:
    """Parse a list, and return its projects, those with the most downloads first.

    Raises:
        ValueError: it is no such list, or lists no project.
    """
    try:
        rows = msgspec.json.decode(data, type=_Counts).rows
        rows.sort(key=lambda row: -row.download_count)
    except (msgspec.DecodeError, RecursionError) as error:
        msg = f"it is no list of download counts: {error}"
        raise ValueError(msg) from error
    names: dict[NormalizedName, None] = {}
    for row in rows:
        name = project_name(row.project)
        if name is None:
            msg = f"it is no list of download counts: {row.project!r:.120} is not a project's name"
            raise ValueError(msg)
        names[name] = None
    if not names:
        msg = "it lists no project"
        raise ValueError(msg)
    return tuple(names)


def ranked_projects(ranked: tuple[NormalizedName, ...], count: int) -> tuple[NormalizedName, ...]:
    """Return the first projects of a list.

    Raises:
        ValueError: it has fewer.
    """
    if count > len(ranked):
        msg = f"the list has no more than {len(ranked):,} projects"
        raise ValueError(msg)
    return ranked[:count]


def _ranked_file(text: str) -> tuple[NormalizedName, ...]:
    """Read a list in a file; return nothing of an address."""
    return () if is_address(text) else parsed_file(Path(text), parse_counts)


def _address(text: str) -> str:
    if not is_address(text):
        return ""
    check_address(text)
    return SecretText(text)
