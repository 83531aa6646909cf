"""Runs, results and lagging projects, kept in the mirror's own storage.

The cursor says which runs are open; it and the list of lagging projects are only ever replaced
as they were read. Plans and results are written once. Losing any process at any point loses
nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, TypeVar, cast

from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.jobs import Job, Result
from frumious.model.runs import Cursor, Lagging, Run, Selected
from frumious.state import formats
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.types import JsonObject, Key, RunId
    from frumious.storage.protocol import Storage, Stored

T = TypeVar("T")

_TRIES: Final = 20
_READ_AT_ONCE: Final = 64
_HOW_MANY: Final = re.compile(r"-(\d+)\.json$")


class LedgerCorrupt(FrumiousError):
    """An object of the ledger is missing or is not what the mirror wrote."""


class Ledger:
    """The mirror's memory."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._layouts: Sequence[layout.PageLayout] | None = None

    async def cursor(self) -> Cursor:
        """Return the cursor; an empty one before the first run."""
        stored = await self._storage.read(layout.CURSOR)
        return Cursor() if stored is None else formats.cursor(_load(layout.CURSOR, stored))

    async def change_cursor(self, change: Callable[[Cursor], Cursor]) -> Cursor:
        """Replace the cursor by what `change` makes of it, however many do so at once.

        Raises:
            Conflict: others replaced it again and again.
        """

        def changed(said: JsonObject | None) -> tuple[Cursor, JsonObject]:
            cursor = change(Cursor() if said is None else formats.cursor(said))
            return cursor, formats.of_cursor(cursor)

        return await self._change(layout.CURSOR, changed)

    async def lagging(self) -> Mapping[NormalizedName, Lagging]:
        """Return the projects that are behind upstream."""
        stored = await self._storage.read(layout.LAGGING)
        return {} if stored is None else formats.lagging(_load(layout.LAGGING, stored))

    async def change_lagging(
        self,
        change: Callable[[Mapping[NormalizedName, Lagging]], Mapping[NormalizedName, Lagging]],
    ) -> Mapping[NormalizedName, Lagging]:
        """Replace the lagging projects by what `change` makes of them, as `change_cursor` does.

        Raises:
            Conflict: others replaced them again and again.
        """

        def changed(
            said: JsonObject | None,
        ) -> tuple[Mapping[NormalizedName, Lagging], JsonObject]:
            lagging = change({} if said is None else formats.lagging(said))
            return lagging, formats.of_lagging(lagging)

        return await self._change(layout.LAGGING, changed)

    async def write_plan(self, run: Run) -> None:
        """Keep a run's plan; it counts only once the cursor names the run."""
        await self._storage.write(layout.plan(run.run), _dump(formats.of_run(run)))

    async def plan(self, run: RunId) -> Run:
        """Return a run's plan.

        Raises:
            LedgerCorrupt: there is none.
        """
        return formats.run(await self._read(layout.plan(run)))

    async def selected(self) -> Selected | None:
        """Return what the mirror's pages were made by; None where nobody has kept it yet."""
        stored = await self._storage.read(layout.SELECTION)
        return None if stored is None else formats.selected(_load(layout.SELECTION, stored))

    async def layouts(self) -> Sequence[layout.PageLayout]:
        """Return how the mirror's pages have ever been laid out; asked once in a process."""
        if self._layouts is None:
            selected = await self.selected()
            names = selected.layouts if selected is not None else ()
            self._layouts = [layout.PageLayout.named(name) for name in names]
        return self._layouts

    async def write_selected(self, selected: Selected) -> None:
        """Keep what the mirror's pages are made by."""
        body = _dump(formats.of_selected(selected))
        await self._storage.write(layout.SELECTION, body)

    async def record(self, done: Iterable[tuple[Job, Result]]) -> None:
        """Keep results, those of one run as one object.

        The same results get the same key: recording them again changes nothing. The key says
        how many there are.
        """
        runs: dict[RunId, list[Result]] = defaultdict(list)
        for job, result in done:
            runs[job.run].append(result)
        for run, results in runs.items():
            ordered = sorted(results, key=lambda result: result.project)
            body = _dump({"results": [result.to_json() for result in ordered]})
            name = f"{hashlib.sha256(body).hexdigest()[:32]}-{len(ordered)}"
            await self._storage.write(layout.result(run, name), body)

    async def result_keys(self, run: RunId) -> tuple[Sequence[Key], int]:
        """Return where the run's results are, and how many at the most: some may be there twice."""
        keys: list[Key] = []
        results = 0
        async for entry in self._storage.list(layout.results(run)):
            keys.append(entry.key)
            said = _HOW_MANY.search(entry.key)
            results += int(said[1]) if said is not None else 0
        return keys, results

    async def results(self, keys: Sequence[Key]) -> Iterator[Result]:
        """Return the results at the keys; a project may have several."""
        results: list[Result] = []
        for start in range(0, len(keys), _READ_AT_ONCE):
            some = keys[start : start + _READ_AT_ONCE]
            for said in await asyncio.gather(*(self._read(key) for key in some)):
                found = cast("list[JsonObject]", said["results"])
                results += [Result.from_json(result) for result in found]
        return iter(results)

    async def prune(self, before: RunId, *, but: Iterable[RunId]) -> int:
        """Forget the runs that are older than `before`, open ones (`but`) excepted.

        Returns how many objects were deleted.
        """
        kept = frozenset(but)
        old: list[Key] = []
        async for entry in self._storage.list(layout.RUNS):
            run = layout.run_of(entry.key)
            if run >= before:  # keys are in the order of time
                break
            if run not in kept:
                old.append(entry.key)
        await self._storage.delete(old)
        return len(old)

    async def _change(
        self, key: Key, change: Callable[[JsonObject | None], tuple[T, JsonObject]]
    ) -> T:
        for _ in range(_TRIES):
            stored = await self._storage.read(key)
            before = None if stored is None else stored.body
            value, said = change(None if stored is None else _load(key, stored))
            body = _dump(said)
            if body == before:
                return value
            try:
                if stored is None:
                    await self._storage.create(key, body)
                else:
                    await self._storage.write(key, body, replacing=stored.etag)
            except Conflict:
                continue
            return value
        msg = f"{key!r} was replaced by others {_TRIES} times in a row"
        raise Conflict(msg)

    async def _read(self, key: Key) -> JsonObject:
        stored = await self._storage.read(key)
        if stored is None:
            msg = f"{key!r} is missing; the run it belongs to cannot be finished"
            raise LedgerCorrupt(msg)
        return _load(key, stored)


def _dump(said: JsonObject) -> bytes:
    return json.dumps(said, separators=(",", ":")).encode()


def _load(key: Key, stored: Stored) -> JsonObject:
    try:
        return cast("JsonObject", json.loads(stored.body))
    except ValueError as error:
        msg = f"{key!r} is not what the mirror wrote: {error}"
        raise LedgerCorrupt(msg) from error
