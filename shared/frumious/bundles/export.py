"""Make a bundle: everything that a destination lacks, in one pass over the mirror.

The bundle comes into being in a local work folder, so that a killed export continues there.
"""

from __future__ import annotations

import asyncio
import secrets
from contextlib import aclosing
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from frumious.bundles import catalogue, locations, work
from frumious.bundles.adding import add_files, add_whole
from frumious.bundles.catalogue import CatalogueReader
from frumious.bundles.changes import find_changes, read_site, read_step
from frumious.bundles.errors import InvalidBundle, NotExported
from frumious.bundles.export_builds import add_builds, exported_builds, keep_builds
from frumious.bundles.manifest import (
    FORMAT,
    HEAD,
    SIGNATURE,
    Head,
    Line,
    Listed,
    Object,
    parse_head,
    render_head,
    render_line,
)
from frumious.bundles.reading import FileGone
from frumious.bundles.work import Progress, Work
from frumious.model import layout
from frumious.model.checksums import WrongBytes
from frumious.pythons.published import LIST
from frumious.signing.signatures import sign
from frumious.simple import root_index
from frumious.simple.values import InvalidPage
from frumious.state.bundle_records import Export, Exports, read_exports, write_exports
from frumious.storage.filesystem.os_errors import DENIED, FULL, access_advice

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Mapping
    from pathlib import Path

    from packaging.utils import NormalizedName

    from frumious.bundles.catalogue import Known
    from frumious.bundles.changes import Change, Step
    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.signing.keys import SigningKey

_CHECKPOINT: Final = 64 * 1024**2  # bytes after which progress is kept
_CHECKPOINT_PROJECTS: Final = 1000
_ATTEMPTS: Final = 3  # at a project whose files are deleted while they are read


@dataclass(frozen=True, slots=True)
class Exported:
    """A finished bundle."""

    head: Head
    location: str
    skipped: Mapping[str, str] = field(default_factory=dict)  # project -> why it is left out


@dataclass(frozen=True, slots=True)
class Exporter:
    """Exports a mirror to a destination."""

    mirror: Mirror
    destination: str
    key: SigningKey
    volume_size: int
    projects: tuple[NormalizedName, ...] | None = None  # all of these, instead of what changed

    async def export(self, since: int | None) -> Exported:
        """Make a bundle of what changed since an export up to that serial; None: the last one.

        Raises:
            NotExported: there was no such export, or another one is at work.
        """
        manifest = self.mirror.pages.layout.root_manifest
        if await self.mirror.storage.head(manifest) is None:
            raise _no_root_index()
        try:
            return await self._export(since)
        except OSError as error:
            msg = (
                f"cannot write the bundle for {self.destination!r}:"
                f" {error.strerror or error}; {self._advice(error)}"
            )
            raise NotExported(msg) from error

    def _advice(self, error: OSError) -> str:
        if error.errno in FULL:
            return "make some space and run again, which goes on"
        where = error.filename if isinstance(error.filename, str) else self.destination
        return access_advice(where) if error.errno in DENIED else "choose another destination"

    async def _export(self, since: int | None) -> Exported:
        folder = locations.work_folder(self.destination)
        with work.exclusive(folder):
            finished = await self._publish_finished(folder)
            if finished is not None:
                return finished
            exports, etag = await self._read_exports()
            name = locations.normalized(self.destination)
            base = None if self.projects else exports.find(name, since)
            progress = await asyncio.to_thread(work.read_progress, folder)
            if progress is None or not self._continues(progress, base, exports):
                progress = None
            known = None
            if base is not None:
                key = layout.exported(base.id)
                known = await CatalogueReader.open(key, self.mirror.storage)
                if known is None:
                    msg = f"{key!r} is missing: use --since 0 for everything"
                    raise NotExported(msg)
            if progress is None:
                salt = known.head.salt if known is not None else secrets.token_hex(16)
                await asyncio.to_thread(work.clear, folder)
                progress = await self._begin(base, salt, exports, etag)
            try:
                lines = known.lines() if known is not None else catalogue.nothing()
                return await self._write(Work(folder, progress), lines)
            finally:
                if known is not None:
                    known.close()

    async def _read_exports(self) -> tuple[Exports, str | None]:
        exports, etag = await read_exports(self.mirror.storage)
        return exports.respelled(locations.normalized), etag

    def _continues(self, progress: Progress, base: Export | None, exports: Exports) -> bool:
        previous = base.id if base is not None else None
        expected = (exports.source, previous, self.volume_size, self.projects)
        found = (progress.source, progress.previous, progress.volume_size, progress.projects)
        return found == expected

    async def _begin(
        self, base: Export | None, salt: str, exports: Exports, etag: str | None
    ) -> Progress:
        """Reserve the next number: a bundle of another destination never has the same."""
        sequence = exports.sequence + 1
        reserved = Exports(source=exports.source, sequence=sequence, exports=exports.exports)
        await write_exports(reserved, etag, self.mirror.storage)
        return Progress(
            source=exports.source,
            salt=salt,
            id=secrets.token_hex(16),
            sequence=sequence,
            previous=base.id if base is not None else None,
            since=base.serial if base is not None else 0,
            serial=0,
            created=self.mirror.clock.now(),
            volume_size=self.volume_size,
            projects=self.projects,
        )

    async def _write(self, bundle: Work, known: AsyncIterator[Known]) -> Exported:
        progress = bundle.progress
        try:
            if not progress.manifest and not progress.site.pages:
                await self._add_site(bundle)
                await bundle.checkpoint(self.destination, self.mirror.config)
            if self.projects is None:
                await add_builds(bundle, self.mirror, self.destination)
                steps = find_changes(self.mirror, known, progress.salt, progress.after)
            else:
                await self._read_listed(bundle)
                steps = self._named(progress)
            written, count = progress.bytes, 0
            async with aclosing(steps):
                async for step in steps:
                    await self._add(step, bundle)
                    progress.after = step.project
                    count += 1
                    if progress.bytes - written > _CHECKPOINT or not count % _CHECKPOINT_PROJECTS:
                        await bundle.checkpoint(self.destination, self.mirror.config)
                        written = progress.bytes
            await bundle.checkpoint(self.destination, self.mirror.config)
            head = await self._end(bundle)
        finally:
            bundle.close()
        location = await self._publish(bundle.folder, head)
        return Exported(head, location, progress.skipped)

    async def _add_site(self, bundle: Work) -> None:
        """Add what belongs to no project: it is read first, so that no page is older."""
        site = await read_site(self.mirror)
        manifest = self.mirror.pages.layout.root_manifest
        if manifest not in site:
            raise _no_root_index()
        try:
            serial = root_index.meta(site[manifest], manifest)["_last-serial"]
        except InvalidPage as error:
            msg = f"{error}: run 'frumious verify --repair' first"
            raise NotExported(msg) from error
        bundle.progress.serial = serial if isinstance(serial, int) else 0
        builds = site.pop(LIST, None)
        if self.projects is None:
            if builds is not None:
                await asyncio.to_thread((bundle.folder / work.BUILDS).write_bytes, builds)
            bundle.progress.site = Line(pages=await self._pages(site, bundle))

    async def _read_listed(self, bundle: Work) -> None:
        """Read what the root index says of the named projects."""
        names = frozenset(self.projects or ())
        for project, each in await self.mirror.pages.listed_projects():
            if project in names:
                listed = Listed(each.name, each.serial, each.files, each.bytes_)
                bundle.listed[project] = listed

    async def _named(self, progress: Progress) -> AsyncGenerator[Step, None]:
        """Yield the named projects, with everything that they have."""
        for project in sorted(self.projects or ()):
            if project > progress.after:
                step = await read_step(project, None, progress.salt, self.mirror)
                if step.change is None and not step.problem:
                    step = replace(step, problem="the mirror does not have it")
                yield step

    async def _add(self, step: Step, bundle: Work) -> None:
        """Add a project to the bundle, and to what the destination has then."""
        progress, problem = bundle.progress, step.problem
        for _ in range(_ATTEMPTS):
            if step.change is None:
                break
            try:
                await self._add_change(step.change, bundle)
            except FileGone as error:
                step = await read_step(step.project, step.known, progress.salt, self.mirror)
                missing = f"{error}; 'frumious verify --repair' repairs it"
                problem = missing if step.change is not None else step.problem
            except (WrongBytes, InvalidBundle) as error:
                problem = f"{error}; 'frumious verify --deep --repair' repairs it"
                break
            else:
                return
        if step.removed:
            bundle.manifest.write(render_line(Line(project=step.project, removed=True)))
            progress.removed += 1
            return
        if problem:
            progress.skipped[step.project] = problem
        if step.known is not None:
            bundle.catalogue.add(step.known)

    async def _add_change(self, change: Change, bundle: Work) -> None:
        files = await add_files(change.files, bundle, self.mirror.storage)
        pages = await self._pages(change.pages, bundle)
        project = change.known.project
        line = Line(project=project, files=files, pages=pages, listed=bundle.listed.get(project))
        bundle.manifest.write(render_line(line))
        bundle.catalogue.add(change.known)
        bundle.progress.changed += 1
        bundle.progress.objects += len(files) + len(pages)
        bundle.progress.bytes += sum(each.size for each in (*files, *pages))

    async def _pages(self, pages: Mapping[Key, bytes], bundle: Work) -> tuple[Object, ...]:
        return tuple([await add_whole(key, body, bundle.pages) for key, body in pages.items()])

    async def _end(self, bundle: Work) -> Head:
        """Write what says that the bundle is complete, and keep what the destination has then."""
        progress = bundle.progress
        if progress.site.pages:
            bundle.manifest.write(render_line(progress.site))
        manifest_size = bundle.manifest.tell()
        bundle.manifest.seek(0)
        manifest = await asyncio.to_thread(catalogue.sha256_of_file, bundle.manifest)
        head = Head(
            format=FORMAT,
            source=progress.source,
            id=progress.id,
            sequence=progress.sequence,
            previous=progress.previous,
            since=progress.since,
            serial=progress.serial,
            created=progress.created,
            layout=self.mirror.pages.layout.name,
            projects=progress.projects,
            changed=progress.changed,
            removed=progress.removed,
            objects=progress.objects,
            bytes=progress.bytes,
            manifest=manifest,
            manifest_size=manifest_size,
            volumes=bundle.end_volumes(),
        )
        body = render_head(head)
        comment = f"frumious bundle {head.sequence} from serial {head.since} to {head.serial}"
        (bundle.folder / SIGNATURE).write_text(sign(body, self.key, comment), "utf-8")
        (bundle.folder / HEAD).write_bytes(body)
        if head.projects is not None:
            return head
        storage = self.mirror.storage
        await catalogue.store(layout.exported(head.id), bundle.catalogue_file, storage)
        await keep_builds(bundle, storage)
        exports, etag = await self._read_exports()
        export = Export(
            id=head.id,
            sequence=head.sequence,
            previous=head.previous,
            since=head.since,
            serial=head.serial,
            created=head.created,
        )
        name = locations.normalized(self.destination)
        await write_exports(exports.adding(name, export), etag, storage)
        return head

    async def _publish_finished(self, folder: Path) -> Exported | None:
        """Publish a bundle that a killed export has finished, but not published."""
        try:
            head = parse_head(await asyncio.to_thread((folder / HEAD).read_bytes))
        except (FileNotFoundError, InvalidBundle):
            return None
        exports, _ = await read_exports(self.mirror.storage)
        if head.id not in exports.ids():
            return None
        return Exported(head, await self._publish(folder, head))

    async def _publish(self, folder: Path, head: Head) -> str:
        await asyncio.to_thread(work.remove_private, folder)
        mirror = self.mirror
        location = await locations.publish(folder, head.name, self.destination, mirror.config)
        exports, _ = await read_exports(mirror.storage)
        kept = {layout.exported(each) for each in exports.ids()}
        kept |= {exported_builds(each) for each in exports.ids()}
        stored = [entry.key async for entry in mirror.storage.list(layout.EXPORTS_FOLDER)]
        await mirror.storage.delete([key for key in stored if key not in kept])
        return location


def _no_root_index() -> NotExported:
    return NotExported("the mirror has no root index yet: run 'frumious mirror' first")
