"""Names of the configuration's lists that upstream does not have: many are spelled wrong."""

from __future__ import annotations

import difflib
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packaging.utils import NormalizedName

from frumious.errors import FrumiousError
from frumious.planning.named import read_named
from frumious.selection.names import AllowedProjects
from frumious.selection.unread import Unread
from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import Collection, Container, Mapping

    from frumious.mirror import Mirror
    from frumious.selection.selection import Selection

_MAX_ROOT_INDEX: Final = 1024**2  # bytes; of a larger one only the mirror's own names are similar


async def absent_names(
    mirror: Mirror, expected: Container[NormalizedName]
) -> dict[NormalizedName, NormalizedName | None]:
    """Return the listed names that the mirror has no page of, each with a similar name.

    `expected` are names that lag, or that a job brings. Reads the mirror's root index; where a name
    is absent, also a small root index of upstream's.
    """
    listed = mirror.selection.expected_projects
    if not listed:
        return {}
    known: set[NormalizedName] = set()
    with suppress(InvalidPage):  # a run repairs the root index
        known.update(project for project, _ in await mirror.pages.listed_projects())
    away = await _kept_away(mirror)
    absent = [
        name
        for name in sorted(listed)
        if name not in known
        and name not in expected
        and name not in away
        and mirror.selection.wants(name)
        and not mirror.selection.private.has(name)
        and not await _has_page(name, mirror)
    ]
    if absent:
        with suppress(FrumiousError):
            index = await mirror.upstream.root_index(limit=_MAX_ROOT_INDEX)
            known.update(() if index is None else index.projects)
    return {name: _nearest(name, known - set(absent)) for name in absent}


def absent_texts(
    absent: Mapping[NormalizedName, NormalizedName | None], selection: Selection
) -> list[str]:
    """Return a sentence for each absent name, with the options whose lists all have it."""
    lists = (each for each in selection.names if isinstance(each, AllowedProjects | Unread))
    options = " and ".join(each.option for each in lists)
    return [
        f"upstream has no project {name!r}, which is in {options}"
        + (f"; did you mean {nearest!r}?" if nearest else "")
        for name, nearest in absent.items()
    ]


async def _kept_away(mirror: Mirror) -> Container[NormalizedName]:
    """Return the projects that somebody deleted, that filters exclude, or advisories block."""
    cursor = await mirror.ledger.known_cursor()
    named = await read_named(cursor, mirror.ledger, verify=False)
    advisories = await mirror.advisories.read(cursor.advisories.digest)
    if not mirror.selection.projects and not advisories.projects:
        return named.deleted
    excluded = await mirror.ledger.excluded()
    by_page = excluded.by(mirror.selection.projects_fingerprint)
    return {*named.deleted, *by_page, *advisories.wholly_blocked()}


async def _has_page(name: NormalizedName, mirror: Mirror) -> bool:
    """Return whether the mirror has a page that no index lists, of a quarantined project."""
    try:
        return await mirror.pages.read_manifest(name) is not None
    except InvalidPage:
        return True


def _nearest(name: NormalizedName, known: Collection[NormalizedName]) -> NormalizedName | None:
    similar = difflib.get_close_matches(name, known, n=1, cutoff=0.75)
    return NormalizedName(similar[0]) if similar else None
