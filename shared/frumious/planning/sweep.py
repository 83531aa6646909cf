"""Check projects in turn by their ETag, for what changes without an event. Pure.

Upstream writes no event when a project is archived, or when a file gets its metadata late. Where
upstream writes no events at all, the sweep finds all changes, as fast as is polite.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from msgspec import field
from msgspec.structs import replace

from frumious.model.plans import Proposal, Reason
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.runs import Cursor
    from frumious.upstream.upstream import PageCheck

SWEEP_INTERVAL: Final = 300  # seconds between two turns, at least
_MAX_TURN: Final = 500  # projects
_MAX_TURN_WITHOUT_FEED: Final = 200  # projects at each tick, where upstream reports no changes
_DAY: Final = 24 * 3600


class Check(NamedTuple):
    """What upstream answers about a project's page, and whether the mirror has one."""

    stored: bool
    answer: PageCheck


class Turn(Value, frozen=True, kw_only=True):
    """The projects that one tick checks."""

    size: int = 0  # projects, at most
    until: float = 0.0  # when the turn would end at an even pace; seconds since the epoch
    projects: Sequence[NormalizedName] = ()
    checks: Mapping[NormalizedName, Check] = field(default_factory=dict)  # of those that answered
    doubtful: tuple[NormalizedName, ...] = ()  # their pages are missing, which proves nothing


def next_turn(cursor: Cursor, now: float, sweep_days: float, projects: int) -> Turn:
    """Return how many projects to check now, so that `sweep_days` are enough for all of them.

    A fraction of a project is left to the next turn.
    """
    if cursor.no_change_feed:
        return Turn(size=_MAX_TURN_WITHOUT_FEED, until=now)
    if not projects or not cursor.swept_at:
        return Turn(until=cursor.swept_at or now)
    seconds_each = sweep_days * _DAY / projects
    size = int((now - cursor.swept_at) / seconds_each)
    if size > _MAX_TURN:
        return Turn(size=_MAX_TURN, until=now)
    return Turn(size=size, until=cursor.swept_at + size * seconds_each)


def propose_checked(turn: Turn, listed: Collection[NormalizedName]) -> Iterator[Proposal]:
    """Propose the projects whose page differs from upstream's.

    A missing page removes no project that is `listed`: those are left to the comparison of root
    indexes, so that a few bad minutes upstream remove nothing.
    """
    for project, (stored, answer) in turn.checks.items():
        if answer.missing:
            if stored and project not in listed:
                yield Proposal(project, 0, Reason.UNANNOUNCED)
        elif answer.changed:
            reason = Reason.DIFFERS if stored else Reason.NEW
            yield Proposal(project, answer.serial or 0, reason)


def advance(cursor: Cursor, turn: Turn) -> Cursor:
    """Return the cursor after the turn; behind the last project the sweep starts over."""
    if not turn.size:
        return replace(cursor, swept_at=turn.until)
    more = len(turn.projects) == turn.size
    return replace(cursor, swept=turn.projects[-1] if more else "", swept_at=turn.until)
