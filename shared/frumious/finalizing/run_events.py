"""What others may react to: runs that finished, projects that changed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from frumious.messaging.events import Event
from frumious.model.jobs import Outcome

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frumious.model.jobs import Result
    from frumious.model.types import Json, JsonObject, Key, RunId


RUN_FINISHED: Final = "Run finished"


PROJECT_UPDATED: Final = "Project updated"


PROJECT_REMOVED: Final = "Project removed"


_KINDS: Final = {
    Outcome.UPDATED: PROJECT_UPDATED,
    Outcome.QUARANTINED: PROJECT_REMOVED,
    Outcome.REMOVED: PROJECT_REMOVED,
}


_LARGEST_KEYS = 200 * 1024  # bytes of keys in one event; the rest of it is small


def run_finished(summary: JsonObject) -> Event:
    """Tell of a run that was closed."""
    return Event(RUN_FINISHED, summary)


def project_changed(
    run: RunId, result: Result, written: Sequence[Key], deleted: Sequence[Key]
) -> Event | None:
    """Tell what a job changed; None if it changed nothing.

    The keys that were written and deleted are named as far as an event can hold them;
    `truncated` says that there are more.
    """
    kind = _KINDS.get(result.outcome)
    if kind is None:
        return None
    told, truncated = _as_fits({"written": written, "deleted": deleted})
    return Event(
        kind,
        {
            "project": result.project,
            "run": run,
            "outcome": result.outcome.value,
            "serial": result.serial,
            "files_added": len(result.added),
            "bytes_added": result.added_bytes,
            "files_removed": len(result.removed),
            **told,
            "truncated": truncated,
        },
    )


def _as_fits(keys: Mapping[str, Sequence[Key]]) -> tuple[JsonObject, bool]:
    """Return as many of the keys as an event can hold, and whether that is not all of them."""
    left = _LARGEST_KEYS
    told: JsonObject = {}
    truncated = False
    for name, some in keys.items():
        fitting: list[Json] = []
        for key in some:
            left -= len(json.dumps(key)) + 1
            if left < 0:
                truncated = True
                break
            fitting.append(key)
        told[name] = fitting
    return told, truncated
