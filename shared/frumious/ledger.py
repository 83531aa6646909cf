"""Runs, results and lagging projects, kept in the mirror's own storage.

The cursor is the one object that says which runs are open; it is only ever replaced as it was
read. Plans and results are written once. Losing any process at any point loses nothing.
"""

from __future__ import annotations

import hashlib
import json
from collections import defaultdict
from typing import TYPE_CHECKING, cast

from frumious import layout
from frumious.errors import FrumiousError
from frumious.model import Cursor, Job, JsonObject, Key, Lagging, OpenRun, Result, Run, RunId
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage, Stored

_TRIES = 10


class LedgerDamaged(FrumiousError):
    """An object of the ledger is missing or is not what the mirror wrote."""


class Ledger:
    """The mirror's memory."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage

    async def cursor(self) -> Cursor:
        """Return the cursor; an empty one before the first run."""
        return (await self._read_cursor())[0]

    async def change_cursor(self, change: Callable[[Cursor], Cursor]) -> Cursor:
        """Replace the cursor by what `change` makes of it, however many do so at once.

        Raises:
            Conflict: others replaced it again and again.
        """
        for _ in range(_TRIES):
            cursor, stored = await self._read_cursor()
            changed = change(cursor)
            if changed == cursor:
                return cursor
            body = _dump(_cursor_json(changed))
            try:
                if stored is None:
                    await self._storage.create(layout.CURSOR, body)
                else:
                    await self._storage.write(layout.CURSOR, body, replacing=stored.tag)
            except Conflict:
                continue
            return changed
        msg = f"{layout.CURSOR!r} was replaced by others {_TRIES} times in a row"
        raise Conflict(msg)

    async def write_plan(self, run: Run) -> None:
        """Keep a run's plan; it counts only once the cursor names the run."""
        said: JsonObject = {
            "run": run.run,
            "created": run.created,
            "since": run.since,
            "until": run.until,
            "jobs": cast("JsonObject", run.jobs),
            "losing": [*sorted(run.losing)],
            "retries": [*sorted(run.retries)],
        }
        await self._storage.write(layout.plan(run.run), _dump(said))

    async def plan(self, run: RunId) -> Run:
        """Return a run's plan.

        Raises:
            LedgerDamaged: there is none.
        """
        said = await self._read(layout.plan(run))
        return Run(
            run=run,
            created=cast("float", said["created"]),
            since=cast("int | None", said["since"]),
            until=cast("int | None", said["until"]),
            jobs=cast("Mapping[NormalizedName, int]", said["jobs"]),
            losing=frozenset(cast("list[NormalizedName]", said["losing"])),
            retries=frozenset(cast("list[NormalizedName]", said["retries"])),
        )

    async def record(self, done: Iterable[tuple[Job, Result]]) -> None:
        """Keep results, those of one run as one object.

        The same results get the same key: recording them again changes nothing.
        """
        runs: dict[RunId, list[Result]] = defaultdict(list)
        for job, result in done:
            runs[job.run].append(result)
        for run, results in runs.items():
            ordered = sorted(results, key=lambda result: result.project)
            body = _dump({"results": [result.to_json() for result in ordered]})
            name = hashlib.sha256(body).hexdigest()[:32]
            await self._storage.write(layout.result(run, name), body)

    async def results(self, run: RunId) -> AsyncIterator[Result]:
        """Give the results of a run that are known so far; a project may have several."""
        async for entry in self._storage.list(layout.results(run)):
            said = await self._read(entry.key)
            for result in cast("list[JsonObject]", said["results"]):
                yield Result.from_json(result)

    async def lagging(self) -> dict[NormalizedName, Lagging]:
        """Return the projects that are behind upstream."""
        stored = await self._storage.read(layout.LAGGING)
        said = {} if stored is None else _load(layout.LAGGING, stored)
        return {
            cast("NormalizedName", project): _lagging(cast("JsonObject", entry))
            for project, entry in said.items()
        }

    async def write_lagging(self, lagging: Mapping[NormalizedName, Lagging]) -> None:
        """Keep the projects that are behind upstream."""
        said: JsonObject = {
            project: {
                "serial": entry.serial,
                "reason": entry.reason,
                "attempts": entry.attempts,
                "due": entry.due,
                "run": entry.run,
                "losing": entry.losing,
            }
            for project, entry in sorted(lagging.items())
        }
        await self._storage.write(layout.LAGGING, _dump(said))

    async def _read_cursor(self) -> tuple[Cursor, Stored | None]:
        stored = await self._storage.read(layout.CURSOR)
        if stored is None:
            return Cursor(), None
        said = _load(layout.CURSOR, stored)
        runs = tuple(
            OpenRun(
                run=RunId(cast("str", entry["run"])),
                since=cast("int | None", entry["since"]),
                sent=cast("bool", entry["sent"]),
                retries=frozenset(cast("list[NormalizedName]", entry["retries"])),
            )
            for entry in cast("list[JsonObject]", said["runs"])
        )
        return Cursor(serial=cast("int | None", said["serial"]), runs=runs), stored

    async def _read(self, key: Key) -> JsonObject:
        stored = await self._storage.read(key)
        if stored is None:
            msg = f"{key!r} is missing; the run it belongs to cannot be finished"
            raise LedgerDamaged(msg)
        return _load(key, stored)


def _cursor_json(cursor: Cursor) -> JsonObject:
    return {
        "serial": cursor.serial,
        "runs": [
            {
                "run": run.run,
                "since": run.since,
                "sent": run.sent,
                "retries": [*sorted(run.retries)],
            }
            for run in cursor.runs
        ],
    }


def _lagging(said: JsonObject) -> Lagging:
    return Lagging(
        serial=cast("int", said["serial"]),
        reason=cast("str", said["reason"]),
        attempts=cast("int", said["attempts"]),
        due=cast("float", said["due"]),
        run=RunId(cast("str", said["run"])),
        losing=cast("bool", said["losing"]),
    )


def _dump(said: JsonObject) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def _load(key: Key, stored: Stored) -> JsonObject:
    try:
        return cast("JsonObject", json.loads(stored.body))
    except ValueError as error:
        msg = f"{key!r} is not what the mirror wrote: {error}"
        raise LedgerDamaged(msg) from error
