"""The most downloaded projects, by a list of download counts.

The usual public format is that of top-pypi-packages:
`{"rows": [{"download_count": 1234, "project": "boto3"}]}`, with other keys, which do not matter.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Self

import msgspec
from msgspec import Struct
from packaging.utils import InvalidName, canonicalize_name

from frumious.config import values
from frumious.selection.names import AllowedProjects

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions


class _Row(Struct):
    project: str
    download_count: int


class _Counts(Struct):
    rows: list[_Row]


class TopProjects(AllowedProjects):
    """The projects with the most downloads."""

    name: ClassVar = "top_projects"
    option: ClassVar = "[top] list"

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[top] projects` and `list`."""
        reader, nothing = options.reader, tuple["NormalizedName", ...]()
        count = reader.get("top", "projects", values.whole_number(1), 0)
        ranked = reader.get("top", "list", _ranked, nothing)
        if count > len(ranked) > 0:
            text = f"the list has no more than {len(ranked):,} projects"
            reader.add_mistake("top", "projects", text)
        return cls(frozenset(ranked[:count])) if count and ranked else None


def _ranked(text: str) -> tuple[NormalizedName, ...]:
    """Read a list, and return its projects, those with the most downloads first."""
    try:
        rows = msgspec.json.decode(Path(text).read_bytes(), type=_Counts).rows
        rows.sort(key=lambda row: -row.download_count)
        names = dict.fromkeys(canonicalize_name(row.project, validate=True) for row in rows)
    except OSError as error:
        msg = f"{text!r} cannot be read: {error.strerror}"
        raise ValueError(msg) from error
    except (msgspec.DecodeError, InvalidName) as error:
        msg = f"{text!r} is no list of download counts: {error}"
        raise ValueError(msg) from error
    if not names:
        msg = f"{text!r} lists no project"
        raise ValueError(msg)
    return tuple(names)
