"""What selected projects need: found out when their dependencies, or the lists, have changed."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec.structs import replace

from frumious.model.closure import NOTHING_NEEDED, ClosureFile, ClosureMark, Needed
from frumious.selection.closure import LIMIT, basis, resolve
from frumious.state.closure import read_closure_file
from frumious.state.objects import LedgerCorrupt

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor
    from frumious.selection.selection import Selection

logger = logging.getLogger(__name__)

_SHOWN: Final = 20  # projects


class FoundNeeds(NamedTuple):
    """What a tick knows of needed projects."""

    needed: Needed = NOTHING_NEEDED
    mark: ClosureMark = ClosureMark()  # for the cursor, if the plan starts
    changed: bool = False  # it is not what is stored
    lost: bool = False  # nobody knows what is needed: all projects have to report anew
    unlisted: frozenset[NormalizedName] = frozenset()  # that no list names
    problems: tuple[str, ...] = ()  # that the operator has to solve


NO_NEEDS: Final = FoundNeeds()


async def read_closure(cursor: Cursor, selection: Selection, mirror: Mirror) -> FoundNeeds:
    """Return what is needed; the dependencies are read only if something has changed.

    While they are lost, and until all projects have reported theirs anew, nothing that was needed
    before is dropped.
    """
    closure, mark = selection.closure, cursor.closure
    selection = replace(selection, needed=NOTHING_NEEDED)
    if closure is None:
        return FoundNeeds(mark=ClosureMark(mark.revision))
    try:
        stored = await mirror.ledger.needed(mark.needed)
    except LedgerCorrupt as error:
        logger.warning("%s", error)
        stored = None
    previous = stored or NOTHING_NEEDED
    listed = selection.listed_projects or frozenset()
    is_rebuilt = previous.rebuilding and not cursor.runs
    is_known = stored is not None and stored.fingerprint == mark.needed
    if (
        is_known
        and not is_rebuilt
        and not mark.is_outdated
        and mark.basis == basis(selection, closure)
    ):
        needed = previous
        found = FoundNeeds(needed, mark)
    else:
        file = await read_closure_file(mirror.storage) or ClosureFile()
        lost = file.revision < mark.revision
        needed = resolve(file, selection, closure, previous)
        if lost or (previous.rebuilding and not is_rebuilt):
            needed = needed.keeping(previous)
        if lost:
            needed = replace(needed, revision=0)
            logger.error("dependencies are lost: all projects report theirs anew")
        found = FoundNeeds(needed, ClosureMark.of(needed), changed=needed != stored, lost=lost)
    problems = _problems(needed, closure.max_projects)
    for problem in problems if found.changed else ():
        logger.warning("%s", problem)
    return found._replace(unlisted=frozenset(needed.projects.keys() - listed), problems=problems)


def _problems(needed: Needed, limit: int) -> tuple[str, ...]:
    """Return what a person has to decide: projects beyond the limit."""
    beyond = [name for name, reason in needed.left_out.items() if reason == LIMIT]
    if not beyond:
        return ()
    more = f" and {len(beyond) - _SHOWN} others" if len(beyond) > _SHOWN else ""
    named = f"{', '.join(beyond[:_SHOWN])}{more}"
    return (f"{LIMIT} = {limit} is reached: needed, and left out: {named}",)
