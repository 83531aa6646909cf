"""The ledger: cursor, runs, lagging projects and fingerprints, kept in the mirror's own storage.

The cursor names the open runs. It, the lagging projects and a run's progress are only ever
replaced as they were read; plans are written once. Losing any process at any point loses nothing.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct
from msgspec.structs import replace

from frumious.model import layout
from frumious.model.closure import Needed
from frumious.model.excluded import Excluded
from frumious.model.lists import Lists
from frumious.model.losses import Losses
from frumious.model.named import NO_NAMED_PROJECTS, NamedProjects
from frumious.model.page_layout import PageLayout
from frumious.model.runs import Cursor, Lagging, Run, RunProgress, Selected
from frumious.model.types import Count, ProjectName
from frumious.state.objects import LedgerCorrupt, parse, render
from frumious.state.replacing import ATTEMPTS, replace_object, too_many_conflicts
from frumious.storage.protocol import Conflict, Stored

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.model.types import Key, RunId
    from frumious.storage.protocol import Storage

logger = logging.getLogger(__name__)

T = TypeVar("T", bound=Struct)


class LaggingFile(Struct):
    """The projects that lag, as they are stored."""

    projects: Mapping[ProjectName, Lagging]
    # The cursor's, when projects were last added: if it has more, others may be adding some.
    failures: Count = 0


class Ledger:
    """The mirror's memory."""

    def __init__(self, storage: Storage) -> None:
        self._storage = storage
        self._layouts_lock = asyncio.Lock()
        self._layouts: Sequence[PageLayout] | None = None
        self._cursor: Stored | None = None  # as it was last read or written here
        self._plan: Run | None = None  # the last one that is kept in memory
        self._lists: tuple[str, Lists] | None = None  # as they were last read; their fingerprint
        self._needed: tuple[str, Needed] | None = None  # as well

    async def cursor(self) -> Cursor:
        """Return the cursor; an empty one before the first run."""
        self._cursor = None  # a damaged one is read anew, once somebody has repaired it
        stored = await self._storage.read(layout.CURSOR)
        cursor = Cursor() if stored is None else parse(layout.CURSOR, stored, Cursor)
        self._cursor = stored
        return cursor

    async def known_cursor(self) -> Cursor:
        """Return the cursor as it was last read or written here: others may have replaced it."""
        if self._cursor is None:
            return await self.cursor()
        return parse(layout.CURSOR, self._cursor, Cursor)

    async def change_cursor(self, change: Callable[[Cursor], Cursor]) -> Cursor:
        """Replace the cursor by what `change` makes of it, however many do so at once.

        It is read only if others have replaced it since this process read or wrote it.

        Raises:
            Conflict: others replaced it again and again.
        """
        if (known := self._cursor) is not None:
            value = change(parse(layout.CURSOR, known, Cursor))
            body = render(value)
            if body != known.body:  # else what is known may be outdated
                with suppress(Conflict):
                    etag = await self._storage.write(layout.CURSOR, body, replacing=known.etag)
                    self._cursor = Stored(body, etag)
                    return value
        self._cursor = None
        return await self._change(layout.CURSOR, Cursor(), change)

    async def lagging(self) -> Mapping[NormalizedName, Lagging]:
        """Return the projects that lag behind upstream."""
        return (await self.lagging_file()).projects

    async def lagging_file(self) -> LaggingFile:
        """Return the projects that lag behind upstream, and how many failures they include."""
        return await self._read(layout.LAGGING, LaggingFile) or LaggingFile({})

    async def add_lagging(
        self,
        change: Callable[[Mapping[NormalizedName, Lagging]], Mapping[NormalizedName, Lagging]],
    ) -> Mapping[NormalizedName, Lagging]:
        """Change the lagging projects where some may begin to lag: the cursor says so first.

        They are read before the cursor is written, so that `end_lagging` cannot take back what the
        cursor says while they are written.

        Raises:
            Conflict: others replaced one of them again and again.
        """
        for _ in range(ATTEMPTS):
            stored = await self._storage.read(layout.LAGGING)
            known = {} if stored is None else parse(layout.LAGGING, stored, LaggingFile).projects
            projects = change(known)
            if projects == known:
                return projects
            cursor = await self.change_cursor(
                lambda cursor: replace(cursor, lagging=True, failures=cursor.failures + 1)
            )
            with suppress(Conflict):
                body = render(LaggingFile(projects, cursor.failures))
                await self._replace(layout.LAGGING, body, stored)
                return projects
        raise too_many_conflicts(layout.LAGGING)

    async def end_lagging(self, cursor: Cursor) -> bool:
        """Return whether no project lags, and let the cursor, as it was read, say so.

        Where others may be adding projects at this moment, what they have read is replaced first:
        they read it anew, and let the cursor say once more that projects lag.

        Raises:
            Conflict: others have replaced the lagging projects.
        """
        stored = await self._storage.read(layout.LAGGING)
        file = LaggingFile({}) if stored is None else parse(layout.LAGGING, stored, LaggingFile)
        if file.projects:
            return False
        if file.failures != cursor.failures:
            await self._replace(layout.LAGGING, render(LaggingFile({}, cursor.failures)), stored)

        def change(current: Cursor) -> Cursor:
            return replace(current, lagging=current.failures != cursor.failures)

        await self.change_cursor(change)
        return True

    async def change_lagging(
        self,
        change: Callable[[Mapping[NormalizedName, Lagging]], Mapping[NormalizedName, Lagging]],
    ) -> Mapping[NormalizedName, Lagging]:
        """Replace the lagging projects by what `change` makes of them, as `change_cursor` does.

        Raises:
            Conflict: others replaced them again and again.
        """
        file = await self._change(
            layout.LAGGING,
            LaggingFile({}),
            lambda file: LaggingFile(change(file.projects), file.failures),
        )
        return file.projects

    async def change_losses(self, change: Callable[[Losses], Losses]) -> Losses:
        """Replace what all projects have lost by what `change` makes of it, as `change_cursor`.

        Raises:
            Conflict: others replaced it again and again.
        """
        return await self._change(layout.LOSSES, Losses(), change)

    async def named(self) -> NamedProjects:
        """Return the projects that somebody requested or deleted by name."""
        return await self._read(layout.NAMED, NamedProjects) or NO_NAMED_PROJECTS

    async def change_named(self, change: Callable[[NamedProjects], NamedProjects]) -> NamedProjects:
        """Replace the named projects by what `change` makes of them, as `change_cursor` does.

        The cursor says first that there may be any, and never takes that back.

        Raises:
            Conflict: others replaced them again and again.
        """
        await self.change_cursor(lambda cursor: replace(cursor, named=True))
        return await self._change(layout.NAMED, NO_NAMED_PROJECTS, change)

    async def excluded(self) -> Excluded:
        """Return the projects that filters exclude by their pages; none if that is damaged."""
        try:
            return await self._read(layout.EXCLUDED, Excluded) or Excluded()
        except LedgerCorrupt as error:
            logger.error("%s; excluded projects are planned again", error)  # noqa: TRY400
            return Excluded()

    async def add_excluded(self, projects: Mapping[NormalizedName, int], filters: str) -> None:
        """Add projects that filters exclude by their pages; raises as `change_cursor`."""
        try:
            await self._change(
                layout.EXCLUDED, Excluded(), lambda known: known.adding(projects, filters)
            )
        except LedgerCorrupt:
            known = Excluded().adding(projects, filters)
            await self._storage.write(layout.EXCLUDED, render(known))

    async def lists(self, known: str = "") -> Lists | None:
        """Return the lists that the planner has read; None: it has not read them yet.

        They are not read if those that this process has read last have the fingerprint `known`.
        """
        if self._lists is None or self._lists[0] != known:
            lists = await self._read(layout.LISTS, Lists)
            self._lists = None if lists is None else (lists.fingerprint, lists)
        return None if self._lists is None else self._lists[1]

    async def write_lists(self, lists: Lists) -> None:
        """Keep the lists by which the next runs are planned."""
        await self._storage.write(layout.LISTS, render(lists))
        self._lists = lists.fingerprint, lists

    async def needed(self, known: str | None = None) -> Needed | None:
        """Return what the planner has found to be needed; None: nothing yet.

        What this process has read last will do if its fingerprint is `known`, or that is None.

        Raises:
            LedgerCorrupt: it is missing, and there is one with that fingerprint.
        """
        if self._needed is None or known not in {None, self._needed[0]}:
            needed = await self._read(layout.NEEDED, Needed)
            self._needed = None if needed is None else (needed.fingerprint, needed)
        if self._needed is None and known:
            msg = f"{layout.NEEDED!r} is missing: the next run finds out what is needed"
            raise LedgerCorrupt(msg)
        return None if self._needed is None else self._needed[1]

    async def write_needed(self, needed: Needed) -> None:
        """Keep what is needed, by which the next runs are planned."""
        await self._storage.write(layout.NEEDED, render(needed))
        self._needed = needed.fingerprint, needed

    async def write_plan(self, run: Run, *, in_memory: bool = False) -> None:
        """Keep a run's plan, also in memory; it counts only once the cursor names the run."""
        await self._storage.write(layout.plan(run.run), render(run))
        self._plan = run if in_memory else None

    async def plan(self, run: RunId) -> Run:
        """Return a run's plan.

        Raises:
            LedgerCorrupt: it is missing, or is not what the mirror wrote.
        """
        if self._plan is not None and self._plan.run == run:
            return self._plan
        key = layout.plan(run)
        plan = await self._read(key, Run)
        if plan is None:
            msg = f"{key!r} is missing: the run is lost, and its changes are planned again"
            raise LedgerCorrupt(msg)
        return plan

    async def progress(self, run: RunId) -> tuple[RunProgress, str] | None:
        """Return how far an open run is, and the ETag of that; None before its first results."""
        key = layout.progress(run)
        stored = await self._storage.read(key)
        return None if stored is None else (parse(key, stored, RunProgress), stored.etag)

    async def write_progress(self, run: RunId, progress: RunProgress, *, replacing: str) -> None:
        """Keep how far an open run is; `replacing` is the ETag of what was read, or empty.

        Raises:
            Conflict: another finalizer has written it since.
        """
        key, body = layout.progress(run), render(progress)
        if replacing:
            await self._storage.write(key, body, replacing=replacing)
        else:
            await self._storage.create(key, body)

    async def selected(self) -> Selected | None:
        """Return what the mirror's pages were made by; None where nobody has kept it yet."""
        return await self._read(layout.SELECTION, Selected)

    async def write_selected(self, selected: Selected) -> None:
        """Keep what the mirror's pages are made by."""
        await self._storage.write(layout.SELECTION, render(selected))

    async def layouts(self) -> Sequence[PageLayout]:
        """Return every layout that the mirror's pages have had; read once in a process."""
        async with self._layouts_lock:
            if self._layouts is None:
                selected = await self.selected()
                names = selected.layouts if selected is not None else ()
                self._layouts = [PageLayout.named(name) for name in names]
            return self._layouts

    async def prune(self, before: RunId, *, keeping: Iterable[RunId]) -> int:
        """Delete the runs that are older than `before`, except those in `keeping`.

        Returns how many objects were deleted.
        """
        kept = frozenset(keeping)
        old: list[Key] = []
        async for entry in self._storage.list(layout.RUNS):
            run = layout.run_of(entry.key)
            if run >= before:  # keys are in the order of time
                break
            if run not in kept:
                old.append(entry.key)
        await self._storage.delete(old)
        return len(old)

    async def _read(self, key: Key, kind: type[T]) -> T | None:
        stored = await self._storage.read(key)
        return None if stored is None else parse(key, stored, kind)

    async def _change(self, key: Key, empty: T, change: Callable[[T], T]) -> T:
        for _ in range(ATTEMPTS):
            stored = await self._storage.read(key)
            value = change(empty if stored is None else parse(key, stored, type(empty)))
            body = render(value)
            if stored is not None and body == stored.body:
                return value
            with suppress(Conflict):
                await self._replace(key, body, stored)
                return value
        raise too_many_conflicts(key)

    async def _replace(self, key: Key, body: bytes, stored: Stored | None) -> None:
        await replace_object(key, body, None if stored is None else stored.etag, self._storage)
