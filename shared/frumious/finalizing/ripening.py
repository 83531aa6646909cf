"""What jobs report of files that wait until the cooldown is over."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from frumious.clock import utc
from frumious.model import layout
from frumious.model.cooldown import Change, HeldBackFile, Ripening
from frumious.state.held_back import change_held_back
from frumious.state.objects import render

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.mirror import Mirror
    from frumious.model.jobs import Report
    from frumious.model.runs import Cursor
    from frumious.model.types import JsonObject


class Waiting(NamedTuple):
    """What is held back after a tick, and what the cursor is to know of it."""

    state: HeldBackFile | None  # None: it is lost
    cooldown: bool = True  # False: there is no cooldown any more

    def note(self, cursor: Cursor) -> Cursor:
        """Return the cursor that knows it."""
        ripening = cursor.ripening
        if not self.cooldown:
            ripening = Ripening()
        elif self.state is None:
            ripening = ripening.forgetting_plans()
        else:
            ripening = ripening.noting(self.state)
        return cursor if ripening == cursor.ripening else replace(cursor, ripening=ripening)

    @property
    def payload(self) -> JsonObject | None:
        """All of it in numbers; None: nothing is known."""
        if not self.cooldown or self.state is None:
            return None
        ripens = self.state.ripens
        return {
            "projects": len(self.state.projects),
            "files": self.state.files,
            "next": utc(ripens) if ripens else None,
        }


async def note_held_back(
    reports: Iterable[Report], cursor: Cursor, mirror: Mirror
) -> Waiting | None:
    """Keep what reports say; return it for the cursor and status.json; None: there is no cooldown.

    The reports are deleted later: a finalizer that was killed is followed by one that does it once
    more.
    """
    if mirror.selection.cooldown is None:
        if not cursor.ripening.revision:
            return None
        await mirror.storage.write(layout.COOLDOWN, render(HeldBackFile()))
        return Waiting(None, cooldown=False)
    changes = (
        Change(
            report.job.project,
            report.result.ripens,
            report.result.held_back,
            report.result.serial or 0,
            report.job.rewinding,
        )
        for report in reports
        if report.result.outcome.done
    )
    return Waiting(await change_held_back(changes, cursor.ripening.revision, mirror.storage))
