"""Copy a mirror into another storage: no bundle in between, and no upstream."""

from __future__ import annotations

import secrets
import tempfile
from contextlib import aclosing
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.bundles import catalogue
from frumious.bundles.apply import Applier, check_removals
from frumious.bundles.builds import missing_builds, named_builds, stored_builds
from frumious.bundles.catalogue import CatalogueHead, CatalogueReader, CatalogueWriter, Known
from frumious.bundles.changes import find_changes, read_site, read_step
from frumious.bundles.errors import InvalidBundle, NotExported
from frumious.bundles.reading import FileGone, once, read_small, sha256_of, stream_file
from frumious.concurrency import run_all
from frumious.model import layout
from frumious.model.checksums import ExpectedContent, WrongBytes
from frumious.pythons.published import LIST
from frumious.state.bundle_records import read_exports, write_exports

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from packaging.utils import NormalizedName

    from frumious.bundles.changes import Change, NewFile, Step
    from frumious.mirror import Mirror
    from frumious.model.types import JsonObject, Key

_ATTEMPTS: Final = 3  # at a project whose files are deleted while they are read
_AT_ONCE: Final = 16  # files of a project


@dataclass(slots=True)
class Synced:
    """What was copied."""

    changed: int = 0
    removed: int = 0
    files: int = 0  # objects
    bytes_: int = 0
    skipped: dict[str, str] = field(default_factory=dict)

    @property
    def payload(self) -> JsonObject:
        """The same as JSON."""
        return {
            "changed": self.changed,
            "removed": self.removed,
            "objects": self.files,
            "bytes": self.bytes_,
            "skipped": {**self.skipped},
        }


async def sync(source: Mirror, destination: Mirror, confirmed: int, *, full: bool) -> Synced:
    """Bring the destination in step with the source; what was copied before is not read again.

    Raises:
        NotExported: the two have their pages in different layouts.
        RemovalsWait: more is to be removed than `max-removals` of the destination permits.
    """
    if source.pages.layout != replace(destination.pages.layout, gzip=source.pages.layout.gzip):
        msg = "give both mirrors the same hash-index and simple-format"
        raise NotExported(msg)
    exports, etag = await read_exports(source.storage)
    if etag is None:
        await write_exports(exports, None, source.storage)
    known = None if full else await CatalogueReader.open(layout.SYNCED, destination.storage)
    if known is not None and known.head.source != exports.source:
        known.close()
        known = None
    salt = known.head.salt if known is not None else secrets.token_hex(16)
    lines = known.lines() if known is not None else _listed(destination)
    with tempfile.TemporaryFile() as file:
        head = CatalogueHead(exports.source, salt)
        copy = _Copy(source, destination, file, head)
        try:
            await copy.run(lines, confirmed)
        finally:
            if known is not None:
                known.close()
        await catalogue.store(layout.SYNCED, file, destination.storage)
    return copy.synced


async def _listed(destination: Mirror) -> AsyncIterator[Known]:
    """Yield the projects that a destination has, of which nothing else is known."""
    async for project in destination.pages.stored_projects():
        yield Known(project)


class _Copy:
    def __init__(
        self, source: Mirror, destination: Mirror, file: IO[bytes], head: CatalogueHead
    ) -> None:
        self.synced = Synced()
        self._source = source
        self._destination = destination
        self._salt = head.salt
        self._catalogue = CatalogueWriter(file, head)
        self._applier = Applier(destination, resuming=True)

    async def run(self, known: AsyncIterator[Known], confirmed: int) -> None:
        site = await read_site(self._source)
        if self._source.pages.layout.root_manifest not in site:
            msg = "the mirror has no root index yet: run 'frumious mirror' first"
            raise NotExported(msg)
        removed: list[NormalizedName] = []
        async with aclosing(find_changes(self._source, known, self._salt)) as steps:
            async for step in steps:
                last = await self._copy(step)
                if last.removed:
                    removed.append(step.project)
        await check_removals(self._destination, len(removed), confirmed)
        for project in removed:
            await self._applier.remove(project)
        self.synced.removed = len(removed)
        await self._copy_builds(site)
        await self._applier.publish_site(site)
        await self._applier.delete_files()

    async def _copy_builds(self, site: dict[Key, bytes]) -> None:
        """Copy the builds of Python that the destination lacks; on a fault, it keeps its list."""
        try:
            had = await stored_builds(self._destination.storage)
            for file in missing_builds(named_builds(site.get(LIST)), had):
                await self._copy_file(file)
        except (FileGone, WrongBytes, InvalidBundle) as error:
            self.synced.skipped[layout.PYTHON_BUILDS] = str(error)
            del site[LIST]

    async def _copy(self, step: Step) -> Step:
        """Copy a project; return what it was at last."""
        problem = step.problem
        for _ in range(_ATTEMPTS):
            if step.change is None:
                break
            try:
                await self._copy_change(step.change)
            except FileGone as error:
                step = await read_step(step.project, step.known, self._salt, self._source)
                problem = str(error) if step.change is not None else step.problem
            except (WrongBytes, InvalidBundle) as error:
                problem = str(error)
                break
            else:
                return step
        if not step.removed:
            if problem:
                self.synced.skipped[step.project] = problem
            if step.known is not None:
                self._catalogue.add(step.known)
        return step

    async def _copy_change(self, change: Change) -> None:
        for at in range(0, len(change.files), _AT_ONCE):
            await run_all(self._copy_file(file) for file in change.files[at : at + _AT_ONCE])
        stored = frozenset(file.blob.key for file in change.files)
        await self._applier.publish(change.known.project, change.pages, stored)
        self._catalogue.add(change.known)
        self.synced.changed += 1
        self.synced.files += len(change.pages)
        self.synced.bytes_ += sum(map(len, change.pages.values()))

    async def _copy_file(self, file: NewFile) -> None:
        key = file.blob.key
        body = await read_small(file, self._source.storage)
        if body is not None:
            size = len(body)
            expected = ExpectedContent("sha256", sha256_of(body), size)
            await self._applier.store_file(key, expected, once(body))
        else:
            async with stream_file(file, self._source.storage) as (stream, size, chunks):
                await self._applier.store_file(key, stream.expected, chunks)
        self.synced.files += 1
        self.synced.bytes_ += size
