"""How the ledger's values are written down as JSON, and read again."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from frumious.model.jobs import AllowedRemoval
from frumious.model.runs import Cursor, Departure, Lagging, OpenRun, Run, Selected
from frumious.model.types import JsonObject, RunId

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.model.types import Json


def cursor(said: JsonObject) -> Cursor:
    """Read the cursor."""
    return Cursor(
        serial=cast("int | None", said["serial"]),
        runs=tuple(
            OpenRun(
                run=RunId(cast("str", entry["run"])),
                since=cast("int | None", entry["since"]),
                sent=cast("float | None", entry["sent"]),
                behind=cast("float", entry["behind"]),
                staged=cast("bool", entry["staged"]),
                retries=_names(entry["retries"]),
                closing=cast("bool", entry["closing"]),
            )
            for entry in cast("list[JsonObject]", said["runs"])
        ),
        revision=cast("int", said["plans"]),
        asked=cast("float", said["asked"]),
        upstream=cast("int | None", said["upstream"]),
        changelog=cast("bool", said["changelog"]),
        no_change_feed=cast("bool", said["blind"]),
        root_etag=cast("str", said["root-tag"]),
        reconciled=cast("float", said["reconciled"]),
        swept=cast("str", said["swept"]),
        swept_at=cast("float", said["swept-at"]),
        gone={
            cast("NormalizedName", project): Departure(RunId(run), serial)
            for project, (run, serial) in cast("dict[str, tuple[str, int]]", said["gone"]).items()
        },
    )


def of_cursor(cursor: Cursor) -> JsonObject:
    """Write the cursor down."""
    return {
        "serial": cursor.serial,
        "runs": [
            {
                "run": run.run,
                "since": run.since,
                "sent": run.sent,
                "behind": run.behind,
                "staged": run.staged,
                "retries": [*sorted(run.retries)],
                "closing": run.closing,
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
        "gone": {project: [left.run, left.serial] for project, left in cursor.gone.items()},
    }


def run(said: JsonObject) -> Run:
    """Read a run's plan."""
    return Run(
        run=RunId(cast("str", said["run"])),
        created=cast("float", said["created"]),
        since=cast("int | None", said["since"]),
        until=cast("int | None", said["until"]),
        jobs=cast("Mapping[NormalizedName, int]", said["jobs"]),
        allowed_removals={
            cast("NormalizedName", project): AllowedRemoval[name]
            for project, name in cast("dict[str, str]", said["losing"]).items()
        },
        named=_names(said["named"]),
        recovering=_names(said["again"]),
        migrating=cast("bool", said["taking-over"]),
    )


def of_run(run: Run) -> JsonObject:
    """Write a run's plan down."""
    return {
        "run": run.run,
        "created": run.created,
        "since": run.since,
        "until": run.until,
        "jobs": cast("JsonObject", run.jobs),
        "losing": {project: loss.name for project, loss in sorted(run.allowed_removals.items())},
        "named": [*sorted(run.named)],
        "again": [*sorted(run.recovering)],
        "taking-over": run.migrating,
    }


def lagging(said: JsonObject) -> dict[NormalizedName, Lagging]:
    """Read the lagging projects."""
    return {
        cast("NormalizedName", project): Lagging(
            serial=cast("int", entry["serial"]),
            reason=cast("str", entry["reason"]),
            attempts=cast("int", entry["attempts"]),
            due=cast("float", entry["due"]),
            run=RunId(cast("str", entry["run"])),
            allowed_removal=AllowedRemoval[cast("str", entry["may-lose"])],
            named=cast("bool", entry["named"]),
            untold=cast("bool", entry["untold"]),
        )
        for project, entry in cast("dict[str, JsonObject]", said).items()
    }


def of_lagging(lagging: Mapping[NormalizedName, Lagging]) -> JsonObject:
    """Write the lagging projects down."""
    return {
        project: {
            "serial": entry.serial,
            "reason": entry.reason,
            "attempts": entry.attempts,
            "due": entry.due,
            "run": entry.run,
            "may-lose": entry.allowed_removal.name,
            "named": entry.named,
            "untold": entry.untold,
        }
        for project, entry in sorted(lagging.items())
    }


def selected(said: JsonObject) -> Selected:
    """Read the fingerprints of the configuration."""
    return Selected(
        projects=cast("str", said["projects"]),
        pages=cast("str", said["pages"]),
        releases=cast("Mapping[NormalizedName, str]", said["releases"]),
        layouts=tuple(cast("list[str]", said.get("layouts", ["html json"]))),
    )


def of_selected(selected: Selected) -> JsonObject:
    """Write the fingerprints of the configuration down."""
    return {
        "projects": selected.projects,
        "pages": selected.pages,
        "releases": cast("JsonObject", dict(sorted(selected.releases.items()))),
        "layouts": [*selected.layouts],
    }


def _names(said: Json) -> frozenset[NormalizedName]:
    return frozenset(cast("list[NormalizedName]", said))
