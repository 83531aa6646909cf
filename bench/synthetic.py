"""A PyPI of any size without files, and mirrors of it that lag some changes behind.

The upstream is the tests' fake one, in a process of its own. Mirrors are written into the folder
that the S3 server serves, by the measured code, so that they have its format.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from contextlib import aclosing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from msgspec.structs import replace
from packaging.utils import NormalizedName

from bench.child import in_child
from frumious.finalizing.root_index import publish_root_index
from frumious.mirror import CLOCK, Mirror
from frumious.model.jobs import Job, Outcome, Report, Result
from frumious.model.pages import ListedProject
from frumious.model.runs import Cursor, OpenRun, Run
from frumious.model.types import Key, RunId
from frumious.state import inbox
from frumious.state.ledger import Ledger
from frumious.storage.protocol import Head, Stored
from frumious.upstream.client import Client
from frumious.upstream.upstream import Upstream
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from multiprocessing.connection import Connection
    from pathlib import Path

    from frumious.config.settings import Config
    from frumious.storage.protocol import Storage

CHANGES: Final = 500  # that a mirror lacks; one in 25 is a new project
_NEW: Final = CHANGES // 25
_FIRST_SERIAL: Final = 30_000_000
_BATCH: Final = 10  # results in one object, as of a worker
_FILES: Final = 3  # of each project, added by its first job
_STAGE: Final = 10_000  # jobs of a run


@dataclass(frozen=True, slots=True)
class World:
    """The projects at the mirror's last run, and the serials then and now."""

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
        """Return the projects of the mirror's root index."""
        return {
            _name(number): ListedProject(_name(number), _FIRST_SERIAL + number + 1, _FILES, 100_000)
            for number in range(self.projects)
        }

    def some(self, count: int) -> list[NormalizedName]:
        """Return some projects of the mirror's root index."""
        return [_name(number * (self.projects // count)) for number in range(count)]

    def changed(self) -> dict[NormalizedName, int]:
        """Return the projects that have changed since then, with their serials."""
        step = self.projects // (CHANGES - _NEW)
        numbers = [number * step for number in range(CHANGES - _NEW)]
        numbers += range(self.projects, self.projects + _NEW)
        return {_name(changed): self.before + number + 1 for number, changed in enumerate(numbers)}


def _name(number: int) -> NormalizedName:
    return NormalizedName(f"project-{number:07}")


# Upstream


@contextmanager
def upstream(world: World) -> Iterator[str]:
    """Serve the world as it is now; yield the upstream's URL."""
    with in_child(_serve, world) as pipe:
        yield pipe.recv()


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
    """The part of a storage that creates mirrors: files, with the S3 server's ETags."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    async def read(self, key: Key) -> Stored | None:
        path = self._folder / key
        return Stored(path.read_bytes(), _etag(path)) if path.exists() else None

    async def head(self, key: Key) -> Head | None:
        path = self._folder / key
        return Head(path.stat().st_size, _etag(path)) if path.exists() else None

    async def write(self, key: Key, body: bytes, *, replacing: str | None = None) -> str:  # noqa: ARG002
        path = self._folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        return _etag(path)

    create = write


def _etag(path: Path) -> str:
    return f'"{hashlib.md5(path.read_bytes(), usedforsecurity=False).hexdigest()}"'


def create_mirror(folder: Path, world: World, settings: Config, cursor: Cursor) -> None:
    """Create a mirror of the world as it was before, with a cursor."""

    async def write() -> None:
        storage = cast("Storage", Folder(folder))
        async with aclosing(Upstream(settings, Client(settings, CLOCK))) as upstream:
            mirror = Mirror.of(settings, CLOCK, upstream, storage, storage)
            await publish_root_index(world.listed(), world.before, mirror.pages, replacing=None)
            await mirror.ledger.write_selected(mirror.selected)
            await mirror.ledger.change_cursor(lambda _: cursor)

    asyncio.run(write())


def idle_cursor(world: World, *, serial: int, reconciled: bool) -> Cursor:
    """Return the cursor of a mirror without open runs, and with nothing else due."""
    now = time.time()
    return Cursor(
        serial=serial,
        revision=1,
        asked=now,
        upstream=world.before,
        reconciled=now if reconciled else 0.0,
        swept_at=now,
    )


def store_results(
    folder: Path, jobs: dict[NormalizedName, int], cursor: Cursor, *, first: bool
) -> None:
    """Store runs of these jobs, all dispatched and done, with all their results.

    Results of a `first` run name all files, others one new file.
    """
    names = sorted(jobs)
    asyncio.run(
        _store(
            Folder(folder),
            [
                {name: jobs[name] for name in names[start : start + _STAGE]}
                for start in range(0, len(names), _STAGE)
            ],
            cursor,
            _FILES if first else 1,
        )
    )


async def _store(
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
    await ledger.change_cursor(lambda _: replace(cursor, runs=tuple(opened)))


def _result(project: NormalizedName, serial: int, files: int) -> Result:
    digest = hashlib.sha256(project.encode()).hexdigest()
    return Result(
        project=project,
        outcome=Outcome.UPDATED,
        name=project,
        serial=serial,
        listed=True,
        files=_FILES,
        bytes_=100_000,
        added=tuple(
            Key(f"web/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{project}-{number}.0.tar.gz")
            for number in range(files)
        ),
        added_bytes=100_000,
    )
