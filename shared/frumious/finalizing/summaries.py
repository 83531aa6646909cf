"""Sums up closed runs: events, numbers, the keys that they wrote and deleted."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.finalizing.run_events import project_changed, run_finished
from frumious.model.jobs import Outcome, Result

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from frumious.finalizing.completion import ClosedRun
    from frumious.messaging.events import Event
    from frumious.model import layout
    from frumious.model.types import JsonObject, Key


_PROJECTS_TOLD: Final = 1000


def events_of(closed: Sequence[ClosedRun], pages: layout.PageLayout) -> Iterator[Event]:
    """Give what others may want to hear: what became of each project, then that a run is over."""
    for one in closed:
        for _, result in sorted(one.results.items()):
            event = project_changed(
                one.run.run, result, written_keys(result, pages), deleted_keys(result, pages)
            )
            if event is not None:
                yield event
        yield run_finished(summary(one))


def summary(closed: ClosedRun) -> JsonObject:
    """Tell a closed run in numbers: how much came and went."""
    results = closed.results
    return {
        "run": closed.run.run,
        "until": closed.run.until,
        "projects": len(results),
        "errors": sum(1 for result in results.values() if result.error),
        "files_added": sum(len(result.added) for result in results.values()),
        "bytes_added": sum(result.added_bytes for result in results.values()),
        "files_removed": sum(len(result.removed) for result in results.values()),
    }


def details(closed: ClosedRun) -> JsonObject:
    """Tell a closed run in numbers and, where there are few, project by project."""
    results = closed.results
    said = summary(closed)
    if len(results) <= _PROJECTS_TOLD:
        said["projects"] = {
            name: (Outcome.FAILED if result.error else result.outcome).value
            for name, result in sorted(results.items())
        }
        said["errors"] = {name: one.error for name, one in sorted(results.items()) if one.error}
    return said


def written_keys(result: Result, pages: layout.PageLayout) -> list[Key]:
    """Return the keys that a job wrote."""
    published = result.outcome in {Outcome.UPDATED, Outcome.QUARANTINED}
    return [*result.added, *pages.keys(result.project)] if published else []


def deleted_keys(result: Result, pages: layout.PageLayout) -> list[Key]:
    """Return the keys that a job deleted."""
    gone = pages.keys(result.project) if result.outcome is Outcome.REMOVED else ()
    return [*result.removed, *gone]
