"""How the ledger's values are written as JSON, and read again.

Every file carries the version of its format. Version 0 is what mirrors wrote before files carried
one; its keys are kept, so that a mirror can be upgraded in the middle of a run. Unknown keys are
ignored. A missing or malformed one raises KeyError, TypeError, AttributeError or ValueError.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from frumious.model.jobs import AllowedRemoval, Job, Report, Result
from frumious.model.runs import (
    Cursor,
    Departure,
    Lagging,
    OpenRun,
    Run,
    RunProgress,
    Selected,
)
from frumious.model.types import JsonObject, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.types import Json

VERSION: Final = 1

_HEADER: Final[JsonObject] = {"version": VERSION}


def parse_cursor(payload: JsonObject) -> Cursor:
    """Parse the cursor."""
    return Cursor(
        serial=_optional_int(payload["serial"]),
        runs=tuple(
            OpenRun(
                run=RunId(str(entry["run"])),
                since=_optional_int(entry.get("since")),
                sent=_optional_float(entry.get("sent")),
                behind=_float(entry.get("behind", 0.0)),
                staged=bool(entry.get("staged", False)),
                retries=_names(entry.get("retries", [])),
                own_results=bool(entry.get("own-results", "version" not in payload)),
            )
            for entry in cast("list[JsonObject]", payload["runs"])
        ),
        revision=int(cast("int", payload.get("plans", 0))),
        asked=_float(payload.get("asked", 0.0)),
        upstream=_optional_int(payload.get("upstream")),
        changelog=bool(payload.get("changelog", False)),
        no_change_feed=bool(payload.get("blind", False)),
        root_etag=str(payload.get("root-tag", "")),
        reconciled=_float(payload.get("reconciled", 0.0)),
        swept=str(payload.get("swept", "")),
        swept_at=_float(payload.get("swept-at", 0.0)),
        departures={
            cast("NormalizedName", project): Departure(RunId(run), int(serial))
            for project, (run, serial) in cast(
                "dict[str, tuple[str, int]]", payload.get("gone", {})
            ).items()
        },
    )


def render_cursor(cursor: Cursor) -> JsonObject:
    """Render the cursor."""
    return {
        **_HEADER,
        "serial": cursor.serial,
        "runs": [
            {
                "run": run.run,
                "since": run.since,
                "sent": run.sent,
                "behind": run.behind,
                "staged": run.staged,
                "retries": [*sorted(run.retries)],
                **({"own-results": True} if run.own_results else {}),
            }
            for run in cursor.runs
        ],
        "plans": cursor.revision,
        "asked": cursor.asked,
        "upstream": cursor.upstream,
        "changelog": cursor.changelog,
        "blind": cursor.no_change_feed,
        "root-tag": cursor.root_etag,
        "reconciled": cursor.reconciled,
        "swept": cursor.swept,
        "swept-at": cursor.swept_at,
        "gone": {project: [left.run, left.serial] for project, left in cursor.departures.items()},
    }


def parse_run(payload: JsonObject) -> Run:
    """Parse a run's plan."""
    return Run(
        run=RunId(str(payload["run"])),
        created=_float(payload.get("created", 0.0)),
        since=_optional_int(payload.get("since")),
        until=_optional_int(payload.get("until")),
        jobs={
            cast("NormalizedName", project): int(serial)
            for project, serial in cast("dict[str, int]", payload["jobs"]).items()
        },
        allowed_removals={
            cast("NormalizedName", project): AllowedRemoval[name]
            for project, name in cast("dict[str, str]", payload.get("losing", {})).items()
        },
        named=_names(payload.get("named", [])),
        recovering=_names(payload.get("again", [])),
        migrating=bool(payload.get("taking-over", False)),
    )


def render_run(run: Run) -> JsonObject:
    """Render a run's plan."""
    return {
        **_HEADER,
        "run": run.run,
        "created": run.created,
        "since": run.since,
        "until": run.until,
        "jobs": cast("JsonObject", dict(run.jobs)),
        "losing": {project: loss.name for project, loss in sorted(run.allowed_removals.items())},
        "named": [*sorted(run.named)],
        "again": [*sorted(run.recovering)],
        "taking-over": run.migrating,
    }


def parse_progress(payload: JsonObject) -> RunProgress:
    """Parse how far a run is."""
    counts = {name: int(cast("int", payload.get(name, 0))) for name in _COUNTS}
    pending = cast("dict[NormalizedName, str]", payload["pending"])
    return RunProgress(pending=dict(pending), **counts)


def render_progress(progress: RunProgress) -> JsonObject:
    """Render how far a run is."""
    return {
        **_HEADER,
        "pending": cast("JsonObject", dict(progress.pending)),
        **{name: getattr(progress, name) for name in _COUNTS},
    }


_COUNTS: Final = ("projects", "errors", "files_added", "bytes_added", "files_removed")


def parse_lagging(payload: JsonObject) -> dict[NormalizedName, Lagging]:
    """Parse the lagging projects; in version 0 they were all that the file had."""
    version_0 = not isinstance(payload.get("version"), int)
    entries = payload if version_0 else payload["projects"]
    return {
        cast("NormalizedName", project): Lagging(
            serial=int(cast("int", entry["serial"])),
            reason=str(entry.get("reason", "")),
            attempts=int(cast("int", entry.get("attempts", 1))),
            due=_float(entry.get("due", 0.0)),
            run=RunId(str(entry.get("run", ""))),
            allowed_removal=AllowedRemoval[str(entry.get("may-lose", "NOTHING"))],
            named=bool(entry.get("named", False)),
        )
        for project, entry in cast("dict[str, JsonObject]", entries).items()
    }


def render_lagging(lagging: Mapping[NormalizedName, Lagging]) -> JsonObject:
    """Render the lagging projects."""
    return {
        **_HEADER,
        "projects": {
            project: {
                "serial": entry.serial,
                "reason": entry.reason,
                "attempts": entry.attempts,
                "due": entry.due,
                "run": entry.run,
                "may-lose": entry.allowed_removal.name,
                "named": entry.named,
            }
            for project, entry in sorted(lagging.items())
        },
    }


def parse_selected(payload: JsonObject) -> Selected:
    """Parse the fingerprints of the configuration."""
    return Selected(
        projects=str(payload["projects"]),
        pages=str(payload["pages"]),
        releases=dict(cast("dict[NormalizedName, str]", payload.get("releases", {}))),
        layouts=tuple(map(str, cast("list[str]", payload.get("layouts", ["html json"])))),
    )


def render_selected(selected: Selected) -> JsonObject:
    """Render the fingerprints of the configuration."""
    return {
        **_HEADER,
        "projects": selected.projects,
        "pages": selected.pages,
        "releases": cast("JsonObject", dict(sorted(selected.releases.items()))),
        "layouts": [*selected.layouts],
    }


def parse_reports(payload: JsonObject) -> list[Report]:
    """Parse what a worker left in the inbox."""
    return [
        Report(
            Job.from_json(cast("JsonObject", entry["job"])),
            Result.from_json(cast("JsonObject", entry["result"])),
        )
        for entry in cast("list[JsonObject]", payload["reports"])
    ]


def render_reports(reports: Iterable[Report]) -> JsonObject:
    """Render what a worker leaves in the inbox."""
    return {
        **_HEADER,
        "reports": [
            {"job": report.job.to_json(), "result": report.result.to_json()} for report in reports
        ],
    }


def parse_own_results(payload: JsonObject) -> list[Result]:
    """Parse results that version 0 kept below their run's prefix."""
    return [Result.from_json(entry) for entry in cast("list[JsonObject]", payload["results"])]


def _names(payload: Json) -> frozenset[NormalizedName]:
    return frozenset(cast("list[NormalizedName]", payload))


def _float(payload: Json) -> float:
    return float(cast("float", payload))


def _optional_float(payload: Json) -> float | None:
    return None if payload is None else _float(payload)


def _optional_int(payload: Json) -> int | None:
    return None if payload is None else int(cast("int", payload))
