"""A PyPI of any size without files, and mirrors of it that are some changes behind.

The upstream is the tests' own, in a process of its own. Mirrors are written straight into the
folder that the S3 server serves, by the code that is measured, so that they are what it writes.
"""

from __future__ import annotations

import asyncio
import hashlib
import multiprocessing
import time
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from msgspec.structs import replace
from packaging.utils import NormalizedName

from frumious.finalizing.root_index import publish_root_index
from frumious.mirror import CLOCK, Mirror
from frumious.model.jobs import Job, Outcome, Report, Result
from frumious.model.pages import ListedProject
from frumious.model.runs import Cursor, OpenRun, Run
from frumious.model.types import Key, RunId
from frumious.state import inbox
from frumious.state.ledger import Ledger
from frumious.storage.protocol import Head, Stored
from frumious.upstream.upstream import Upstream
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from frumious.config.settings import Config
    from frumious.storage.protocol import Storage

CHANGES: Final = 500  # that a mirror is behind; one in 25 is a new project
_NEW: Final = CHANGES // 25
_FIRST_SERIAL: Final = 30_000_000
_BATCH: Final = 10  # results in one object, as a worker leaves them
_FILES: Final = 3  # that each project's first job added
_STAGE: Final = 10_000  # jobs of a run


@dataclass(frozen=True, slots=True)
class World:
    """How many projects there were when the mirror was last in step, and the serials."""

    projects: int

    @property
    def before(self) -> int:
        return _FIRST_SERIAL + self.projects

    @property
    def projects_now(self) -> int:
        return self.projects + _NEW

    @property
    def now(self) -> int:
        return self.before + CHANGES

    def listed(self) -> dict[NormalizedName, ListedProject]:
        """Return what the mirror's root index says."""
        return {
            _name(number): ListedProject(_name(number), _FIRST_SERIAL + number + 1, _FILES, 100_000)
            for number in range(self.projects)
        }

    def changed(self) -> dict[NormalizedName, int]:
        """Return the projects that changed since, with their serials."""
        step = self.projects // (CHANGES - _NEW)
        numbers = [number * step for number in range(CHANGES - _NEW)]
        numbers += range(self.projects, self.projects + _NEW)
        return {_name(number): self.before + place + 1 for place, number in enumerate(numbers)}


def _name(number: int) -> NormalizedName:
    return NormalizedName(f"project-{number:07}")


# Upstream


@contextmanager
def upstream(world: World) -> Iterator[str]:
    """Serve the world as it is now; gives the upstream's address."""
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    process = spawn.Process(target=_serve, args=(world, there), daemon=True)
    process.start()
    there.close()
    try:
        yield here.recv()
    finally:
        here.close()  # which ends the process
        process.join()


def _serve(world: World, pipe: Connection) -> None:
    index = Index(first_serial=_FIRST_SERIAL)
    index.add_many(_name(number) for number in range(world.projects))
    for project in list(world.changed())[:-_NEW]:
        index.journal(project, "new release", "2.0")
    index.add_many(_name(world.projects + number) for number in range(_NEW))
    with Server(index) as server:
        pipe.send(server.url)
        pipe.poll(None)


# Mirrors


class Folder:
    """A storage as far as mirrors are made with it: files, tagged as the S3 server tags them."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, key: Key) -> Stored | None:
        path = self._folder / key
        return Stored(path.read_bytes(), _tag(path)) if path.exists() else None

    async def head(self, key: Key) -> Head | None:
        path = self._folder / key
        return Head(path.stat().st_size, _tag(path)) if path.exists() else None

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:  # noqa: ARG002
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return _tag(path)

    create = write


def _tag(path: Path) -> str:
    return f'"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"'


def make_mirror(folder: Path, world: World, settings: Config, cursor: Cursor) -> None:
    """Make a mirror that holds the world as it was before, and stands where the cursor says."""

    async def make() -> None:
        storage = cast("Storage", Folder(folder))
        async with aclosing(Upstream(settings, CLOCK)) as upstream:
            mirror = Mirror.of(settings, CLOCK, upstream, storage, storage)
            await publish_root_index(world.listed(), world.before, mirror.pages, replacing=None)
            await mirror.ledger.write_selected(mirror.selected)
            await mirror.ledger.change_cursor(lambda _: cursor)

    asyncio.run(make())


def in_step(world: World, *, serial: int, reconciled: bool) -> Cursor:
    """Return the cursor of a mirror without open runs; every other duty was done just now."""
    now = time.time()
    return Cursor(
        serial=serial,
        revision=1,
        asked=now,
        upstream=world.before,
        reconciled=now if reconciled else 0.0,
        swept_at=now,
    )


def leave_results(
    folder: Path, jobs: dict[NormalizedName, int], cursor: Cursor, *, first: bool
) -> None:
    """Leave runs of these jobs, all sent and done, and all of their results.

    Results of a `first` run name all files, others one new file.
    """
    names = sorted(jobs)
    asyncio.run(
        _leave(
            Folder(folder),
            [
                {name: jobs[name] for name in names[start : start + _STAGE]}
                for start in range(0, len(names), _STAGE)
            ],
            cursor,
            _FILES if first else 1,
        )
    )


async def _leave(
    folder: Folder, stages: Sequence[dict[NormalizedName, int]], cursor: Cursor, files: int
) -> None:
    storage = cast("Storage", folder)
    ledger = Ledger(storage)
    now = time.time()
    stamp = time.strftime("%Y%m%dT%H%M%S", time.gmtime(now))
    opened: list[OpenRun] = []
    for number, jobs in enumerate(stages):
        run = RunId(f"{stamp}.000000-bench-{number:03}")
        opened.append(OpenRun(run=run, since=cursor.serial, sent=now, behind=now))
        await ledger.write_plan(
            Run(run=run, created=now, since=cursor.serial, until=cursor.serial, jobs=jobs)
        )
        done = [
            Report(Job(run, name, serial), _result(name, serial, files))
            for name, serial in jobs.items()
        ]
        for start in range(0, len(done), _BATCH):
            await inbox.record(storage, done[start : start + _BATCH])
    await ledger.change_cursor(lambda before: replace(before, runs=tuple(opened)))


def _result(project: NormalizedName, serial: int, files: int) -> Result:
    digest = hashlib.sha256(project.encode()).hexdigest()
    return Result(
        project=project,
        outcome=Outcome.UPDATED,
        name=project,
        serial=serial,
        files=_FILES,
        bytes_=100_000,
        added=tuple(
            Key(f"web/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{project}-{number}.0.tar.gz")
            for number in range(files)
        ),
        added_bytes=100_000,
    )
