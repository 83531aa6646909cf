"""What a mirror says of itself as a whole: root index, diff-file, status."""

from __future__ import annotations

import json
import time
from dataclasses import replace
from typing import TYPE_CHECKING, cast

from frumious import layout
from frumious.model import JsonObject, Key, Lagging, Listed, Outcome, Result, RootIndex
from frumious.simple import parse, render

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.engine.finalize import ClosedRun
    from frumious.engine.mirror import Mirror
    from frumious.model import Json
    from frumious.storage.protocol import Stored

GENERATION = b"5"  # bandersnatch's number for this layout
_RUNS_TOLD = 10
_PROJECTS_TOLD = 1000


async def publish_root_index(
    closed: Sequence[ClosedRun], serial: int | None, mirror: Mirror
) -> None:
    """Merge the runs' results into the root index; the JSON page last, as it is the manifest.

    Raises:
        Conflict: somebody else wrote the root index meanwhile.
    """
    key = layout.root_page(layout.V1_JSON)
    stored = await mirror.storage.read(key)
    before = RootIndex(projects={}) if stored is None else parse.root_index(stored.body, key)
    projects = merge(before.projects, closed)
    after = replace(before, projects=projects, serial=serial)
    if stored is not None and after == before:
        return
    if stored is None or _names(after) != _names(before):
        html = render.root_index_html(after)
        await mirror.storage.write(layout.root_page(layout.HTML), html)
        await mirror.storage.write(layout.root_page(layout.V1_HTML), html)
    body = render.root_index_json(after)
    if stored is None:
        await mirror.storage.create(key, body)
    else:
        await mirror.storage.write(key, body, replacing=stored.tag)


def merge(
    projects: Mapping[NormalizedName, Listed], closed: Sequence[ClosedRun]
) -> dict[NormalizedName, Listed]:
    """Return the root index's projects after the runs; no project's serial goes backwards."""
    merged = dict(projects)
    for run in closed:
        for project, result in run.results.items():
            listed = merged.get(project)
            if listed is not None and (listed.serial or 0) > (result.serial or 0):
                continue
            if result.outcome in {Outcome.REMOVED, Outcome.QUARANTINED, Outcome.ABSENT}:
                merged.pop(project, None)
            elif result.outcome in {Outcome.UPDATED, Outcome.UNCHANGED}:
                merged[project] = Listed(result.name, result.serial)
    return {project: merged[project] for project in sorted(merged)}


async def publish_diff(closed: ClosedRun, mirror: Mirror) -> None:
    """Write the diff-file, and beside it `.removed`: one absolute path a line."""
    config = mirror.config
    if not config.diff_file:
        return
    written = sorted(key for result in closed.results.values() for key in _written(result))
    deleted = sorted(key for result in closed.results.values() for key in _deleted(result))
    if not written and not deleted:
        return
    suffix = f"-{int(closed.run.created)}" if config.diff_append_epoch else ""
    key = Key(config.diff_file + suffix)
    await mirror.storage.write(key, _paths(written, mirror))
    await mirror.storage.write(Key(f"{key}.removed"), _paths(deleted, mirror))


async def publish_status(
    closed: Sequence[ClosedRun],
    serial: int | None,
    lagging: Mapping[NormalizedName, Lagging],
    mirror: Mirror,
) -> None:
    """Write the serial that the mirror has reached, and when; nothing while nothing happens."""
    storage = mirror.storage
    before = await storage.read(layout.STATUS)
    body = b"" if serial is None else str(serial).encode()
    if not closed and (before.body if before is not None else b"") == body:
        return
    now = time.gmtime()
    told = await storage.read(layout.STATUS_JSON)
    status: JsonObject = {
        "serial": serial,
        "updated": time.strftime("%Y-%m-%dT%H:%M:%SZ", now),
        "lagging": {
            project: {"reason": entry.reason, "attempts": entry.attempts, "serial": entry.serial}
            for project, entry in sorted(lagging.items())
        },
        "runs": list(_last_runs(told, closed)),
    }
    await storage.write(layout.STATUS_JSON, json.dumps(status, indent=1).encode())
    if before is None:
        await storage.write(layout.GENERATION, GENERATION)
    await storage.write(layout.LAST_MODIFIED, time.strftime("%Y%m%dT%H:%M:%S\n", now).encode())
    await storage.write(layout.STATUS, body)


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


def _last_runs(told: Stored | None, closed: Sequence[ClosedRun]) -> Sequence[Json]:
    """Return the last runs in numbers, the closed ones among them."""
    before = cast("list[JsonObject]", json.loads(told.body)["runs"]) if told is not None else []
    new = [summary(one) for one in closed]
    ids = {run["run"] for run in new}
    return [*(run for run in before if run["run"] not in ids), *new][-_RUNS_TOLD:]


def _names(index: RootIndex) -> list[tuple[NormalizedName, str]]:
    return [(project, listed.name) for project, listed in index.projects.items()]


def _pages(result: Result) -> list[Key]:
    forms = (layout.HTML, layout.V1_HTML, layout.V1_JSON)
    return [layout.project_page(result.project, form) for form in forms]


def _written(result: Result) -> list[Key]:
    published = result.outcome in {Outcome.UPDATED, Outcome.QUARANTINED}
    return [*result.added, *_pages(result)] if published else []


def _deleted(result: Result) -> list[Key]:
    gone = _pages(result) if result.outcome is Outcome.REMOVED else []
    return [*result.removed, *gone]


def _paths(keys: Sequence[Key], mirror: Mirror) -> bytes:
    config = mirror.config
    root = f"/{config.bucket}/{config.prefix}".rstrip("/")
    return "".join(f"{root}/{key}\n" for key in keys).encode()
