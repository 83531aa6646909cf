"""What others may react to: projects that changed, runs that finished."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from frumious.finalizing.diff_file import deleted_keys, written_keys
from frumious.messaging.events import Event
from frumious.model.jobs import Outcome, Report

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from frumious.finalizing.completion import RunReview
    from frumious.model.page_layout import PageLayout
    from frumious.model.types import Json, JsonObject, Key

RUN_FINISHED: Final = "Run finished"
PROJECT_UPDATED: Final = "Project updated"
PROJECT_REMOVED: Final = "Project removed"
PROJECT_BLOCKED: Final = "Project blocked"
PROJECT_UNVERIFIED: Final = "Project unverified"

_DETAIL_TYPES: Final = {
    Outcome.UPDATED: PROJECT_UPDATED,
    Outcome.QUARANTINED: PROJECT_REMOVED,
    Outcome.REMOVED: PROJECT_REMOVED,
}
_MAX_KEY_BYTES: Final = 200 * 1024  # in one event; the rest of it is small


def events_of(
    reports: Iterable[Report], closed: Iterable[RunReview], pages: PageLayout
) -> Iterator[Event]:
    """Yield what became of each project, then the runs that finished."""
    for report in reports:
        result = report.result
        keys = {"written": written_keys(result, pages), "deleted": deleted_keys(result, pages)}
        event = project_changed(report, keys)
        if event is not None:
            yield event
        if result.blocked_by:
            yield project_blocked(report)
        if result.unverified and result.outcome.changed:
            yield project_unverified(report)
    for review in closed:
        yield Event(RUN_FINISHED, summary(review))


def project_changed(report: Report, keys: Mapping[str, Sequence[Key]]) -> Event | None:
    """Return the event of what a job changed; None if it changed nothing.

    It names as many of the keys as fit; `truncated` says whether there are more.
    """
    result = report.result
    detail_type = _DETAIL_TYPES.get(result.outcome)
    if detail_type is None:
        return None
    named, truncated = _fitting(keys)
    return Event(
        detail_type,
        {
            "project": result.project,
            "run": report.job.run,
            "outcome": result.outcome.value,
            "serial": result.serial,
            "files_added": result.files_added,
            "bytes_added": result.added_bytes,
            "files_removed": result.files_removed,
            **named,
            "truncated": truncated,
        },
    )


def project_blocked(report: Report) -> Event:
    """Return the event that advisories took a project, or files of it, out of the mirror."""
    result = report.result
    advisories: list[Json] = [*result.blocked_by]
    return Event(
        PROJECT_BLOCKED,
        {
            "project": result.project,
            "run": report.job.run,
            "outcome": result.outcome.value,
            "files_removed": result.files_removed,
            "advisories": advisories,
        },
    )


def project_unverified(report: Report) -> Event:
    """Return the event that attestations of a project's files have faults."""
    result = report.result
    return Event(
        PROJECT_UNVERIFIED,
        {
            "project": result.project,
            "run": report.job.run,
            "files": result.unverified,
            "fault": result.fault,
        },
    )


def summary(review: RunReview) -> JsonObject:
    """Return a finished run in numbers."""
    progress = review.progress
    return {
        "run": review.entry.run,
        "until": review.until,
        "projects": progress.projects,
        "errors": progress.errors,
        "files_added": progress.files_added,
        "bytes_added": progress.bytes_added,
        "files_removed": progress.files_removed,
    }


def _fitting(keys: Mapping[str, Sequence[Key]]) -> tuple[JsonObject, bool]:
    """Return as many of the keys as an event can hold, and whether some are missing."""
    space = _MAX_KEY_BYTES
    named: JsonObject = {}
    truncated = False
    for name, candidates in keys.items():
        fitting: list[Json] = []
        for key in candidates:
            space -= len(json.dumps(key)) + 1
            if space < 0:
                truncated = True
                break
            fitting.append(key)
        named[name] = fitting
    return named, truncated
