"""What a tick announces: the diff-file and events name each change once.

Each is announced at least once, and not again because a later step of the tick failed: one write
right after the announcement keeps what was announced. Only if that write fails, or the process dies
before it, the next tick announces the same reports again.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec import Struct

from frumious.finalizing.run_events import events_of
from frumious.model import layout
from frumious.model.types import Key, RunName
from frumious.state.objects import read_or_set_aside, render

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence

    from frumious.finalizing.completion import RunReview
    from frumious.finalizing.diff_file import DiffFile
    from frumious.messaging.events import Event
    from frumious.mirror import Mirror
    from frumious.model.jobs import Report
    from frumious.state.inbox import Inbox


class _Announced(Struct, frozen=True):
    """What the last announcement covered, as the ledger keeps it."""

    reports: tuple[Key, ...] = ()  # objects of the inbox
    runs: tuple[RunName, ...] = ()  # that finished


@dataclass(frozen=True, slots=True)
class Announcer:
    """The recipients of announcements; the diff-file is that of the configuration."""

    diff_file: DiffFile
    publish_events: Callable[[Iterable[Event]], Awaitable[None]] | None

    async def announce(
        self,
        accepted: Sequence[Report],
        reviews: Sequence[RunReview],
        consumed: Inbox,
        mirror: Mirror,
    ) -> None:
        """Announce reports and finished runs that are not announced yet.

        Raises:
            Conflict: another finalizer is at work.
        """
        if self.publish_events is None and not mirror.config.diff_file:
            return
        announced, etag = await read_or_set_aside(layout.ANNOUNCED, _Announced, mirror.storage)
        announced = announced or _Announced()
        known = frozenset(consumed.reports_of(announced.reports))
        closed = [review for review in reviews if review.finished]
        news = [report for report in accepted if report not in known]
        finished = [review for review in closed if review.entry.run not in announced.runs]
        if not (news or finished):
            return
        extend = bool(known) or any(review.etag for review in reviews)
        await self.diff_file.publish(news, mirror, extend=extend)
        if self.publish_events is not None:
            await self.publish_events(events_of(news, finished, mirror.pages.layout))
        body = render(_Announced(tuple(consumed.keys), tuple(each.entry.run for each in closed)))
        if etag is None:
            await mirror.storage.create(layout.ANNOUNCED, body)
        else:
            await mirror.storage.write(layout.ANNOUNCED, body, replacing=etag)
