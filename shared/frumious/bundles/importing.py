"""Import bundles: every byte is verified before a page changes.

The first pass stores files, which no page names yet, and verifies all pages. The second publishes.
"""

from __future__ import annotations

import asyncio
import hashlib
import tempfile
from contextlib import aclosing, asynccontextmanager
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.auditing.listing import folder_order
from frumious.bundles.apply import Applier, check_removals
from frumious.bundles.builds import check_builds
from frumious.bundles.errors import InvalidBundle, WrongOrder
from frumious.bundles.losses import LossCounter
from frumious.bundles.manifest import (
    HEAD,
    MANIFEST,
    MAX_HEAD,
    MAX_LINE,
    SIGNATURE,
    Head,
    parse_head,
    parse_line,
)
from frumious.bundles.order import is_next
from frumious.bundles.reading import once, sha256_of
from frumious.bundles.volumes import VolumeReader
from frumious.concurrency import task_group
from frumious.finalizing.root_index import read_totals
from frumious.model import layout
from frumious.model.checksums import ExpectedContent
from frumious.model.page_layout import PageLayout
from frumious.model.pages import DelistedProject, ListedProject
from frumious.model.types import Key
from frumious.pythons.published import LIST
from frumious.signing.signatures import InvalidSignature, verify
from frumious.state.bundle_records import Imported, read_imported
from frumious.state.objects import render

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Container, Iterator, Sequence

    from packaging.utils import NormalizedName

    from frumious.bundles.locations import Bundle
    from frumious.bundles.manifest import Line, Object
    from frumious.mirror import Mirror
    from frumious.signing.keys import VerifyKey

_MAX_SIGNATURE: Final = 64 * 1024
_SMALL: Final = 1024**2  # bytes: smaller files are stored at the same time
_AT_ONCE: Final = 32


@dataclass(frozen=True, slots=True)
class Signed:
    """A bundle whose head was verified."""

    bundle: Bundle
    head: Head


async def read_signed(bundle: Bundle, keys: Sequence[VerifyKey]) -> Signed:
    """Verify a bundle's signature.

    Raises:
        InvalidBundle, InvalidSignature: it is damaged, or not by one of the keys.
    """
    body = await bundle.read(HEAD, MAX_HEAD)
    signature = await bundle.read(SIGNATURE, _MAX_SIGNATURE)
    try:
        verify(body, signature.decode(errors="replace"), keys)
    except InvalidSignature as error:
        msg = f"{bundle.name}: {error}"
        raise InvalidSignature(msg) from error
    return Signed(bundle, parse_head(body))


async def import_bundles(
    bundles: Sequence[Signed], mirror: Mirror, removals: int = 0, losses: int = 0
) -> AsyncIterator[Head]:
    """Import bundles in the order in which they were made; yield those that were not there yet.

    `removals` are projects, and `losses` files, that somebody has confirmed for each of them.

    Raises:
        WrongOrder: a bundle is missing.
        InvalidBundle, WrongBytes: one is damaged; nothing of it is visible.
        RemovalsWait, LossesWait: one removes too much without a confirmation.
    """
    for signed in sorted(bundles, key=lambda each: each.head.sequence):
        imported = await read_imported(mirror.storage)
        if is_next(signed.bundle.name, signed.head, imported):
            await _Import(signed, mirror).run(imported, removals, losses)
            yield signed.head


class _Import:
    """One bundle on its way into the mirror."""

    def __init__(self, signed: Signed, mirror: Mirror) -> None:
        self._bundle = signed.bundle
        self._head = signed.head
        self._mirror = mirror
        self._layout = mirror.pages.layout

    async def run(self, imported: Imported | None, removals: int, losses: int) -> None:
        """Import the bundle."""
        head, storage = self._head, self._mirror.storage
        if PageLayout.named(head.layout) != replace(
            self._layout, gzip=PageLayout.named(head.layout).gzip
        ):
            msg = (
                f"{self._bundle.name} has pages in another layout than this mirror: give both the"
                " same hash-index and simple-format"
            )
            raise WrongOrder(msg)
        resuming = imported is not None and imported.began == head.id
        applier = Applier(self._mirror, resuming, keeps_newer=head.projects is not None)
        with tempfile.TemporaryFile() as manifest:
            await self._read_manifest(manifest)
            is_complete = head.previous is None and head.projects is None
            gone = await self._unlisted(manifest) if is_complete else []
            await check_removals(self._mirror, len(gone) or head.removed, removals)
            counter = LossCounter(self._mirror, await read_totals(self._mirror.pages))
            before = imported or Imported(source=head.source, id=None, sequence=0, serial=0)
            await storage.write(layout.IMPORT, render(replace(before, began=head.id)))
            await self._store(manifest, applier, counter, removals_count=not removals)
            for project in () if removals else gone:
                await counter.add(project, None)
            await counter.book(losses)
            await self._publish(manifest, applier, gone)
            if head.projects is not None:
                await applier.list_projects(self._listed(manifest), head)
        await applier.delete_files()
        id_ = head.id if head.projects is None else None  # others may come in any order
        now = Imported(source=head.source, id=id_, sequence=head.sequence, serial=head.serial)
        await storage.write(layout.IMPORT, render(now))

    async def _read_manifest(self, file: IO[bytes]) -> None:
        """Copy the manifest to a local file, which nobody else changes, and verify it."""
        digest = hashlib.sha256()
        async with aclosing(self._bundle.open(MANIFEST)) as chunks:
            async for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
                if file.tell() > self._head.manifest_size:  # which is signed
                    break
        if (digest.hexdigest(), file.tell()) != (self._head.manifest, self._head.manifest_size):
            msg = f"{MANIFEST} of {self._bundle.name} is damaged: copy the bundle again"
            raise InvalidBundle(msg)

    def _lines(self, manifest: IO[bytes]) -> Iterator[Line]:
        manifest.seek(0)
        while line := manifest.readline(MAX_LINE):
            yield parse_line(line, self._layout)

    def _listed(self, manifest: IO[bytes]) -> dict[NormalizedName, ListedProject | DelistedProject]:
        """Return what the root index is to say of named projects."""
        changes: dict[NormalizedName, ListedProject | DelistedProject] = {}
        for line in self._lines(manifest):
            if line.project is not None and line.listed is not None:
                each = line.listed
                listed = ListedProject(each.name, each.serial, each.files, each.bytes)
                changes[line.project] = listed
            elif line.project is not None:  # it is quarantined
                changes[line.project] = DelistedProject(self._head.serial)
        return changes

    async def _unlisted(self, manifest: IO[bytes]) -> list[NormalizedName]:
        """Return the projects that the mirror has and a complete bundle does not."""
        listed = (line.project for line in self._lines(manifest) if line.project is not None)
        unlisted: list[NormalizedName] = []
        name = next(listed, None)
        async for project in self._mirror.pages.stored_projects():
            while name is not None and folder_order(name) < folder_order(project):
                name = next(listed, None)
            if name != project:
                unlisted.append(project)
        return unlisted

    async def _store(
        self,
        manifest: IO[bytes],
        applier: Applier,
        counter: LossCounter,
        *,
        removals_count: bool,
    ) -> None:
        """Store all files, and verify all pages: no page changes before every byte is right.

        What the mirror loses is counted, and that of removed projects unless it is confirmed.
        """
        async with self._readers() as (files, pages), task_group() as group:
            slots = asyncio.Semaphore(_AT_ONCE)
            site: Line | None = None
            builds: set[Key] = set()

            async def store(each: Object, body: bytes) -> None:
                try:
                    await applier.store_file(Key(each.key), _expected(each), once(body))
                finally:
                    slots.release()

            async def count(project: NormalizedName, body: bytes | None) -> None:
                try:
                    await counter.add(project, body)
                finally:
                    slots.release()

            for line in self._lines(manifest):
                if line.project is None:
                    site = line if line.pages else site
                    builds.update(Key(each.key) for each in line.files)
                for each in line.files:
                    if each.size <= _SMALL:
                        body = await self._body(each, files)
                        await slots.acquire()
                        group.create_task(store(each, body))
                        continue
                    async with aclosing(files.read(each.parts)) as chunks:
                        await applier.store_file(Key(each.key), _expected(each), chunks)
                bodies = [await self._body(each, pages) for each in line.pages]
                if line.project is not None and (bodies or removals_count):
                    await slots.acquire()
                    group.create_task(count(line.project, bodies[-1] if bodies else None))
            await self._check_site(site, builds, pages)

    async def _check_site(
        self, site: Line | None, builds: Container[Key], pages: VolumeReader
    ) -> None:
        """Check that there is a root index, and every build of Python that a list names.

        Raises:
            InvalidBundle: there is not.
        """
        objects = {each.key: each for each in site.pages} if site is not None else {}
        if self._head.projects is None and self._layout.root_manifest not in objects:
            msg = f"{self._bundle.name} has no root index"
            raise InvalidBundle(msg)
        if LIST in objects:
            body = await self._body(objects[LIST], pages)
            await check_builds(body, builds, self._mirror.storage)

    async def _publish(
        self, manifest: IO[bytes], applier: Applier, gone: Sequence[NormalizedName]
    ) -> None:
        site: Line | None = None
        async with self._readers() as (_, pages):
            async with task_group() as group:
                slots = asyncio.Semaphore(_AT_ONCE)

                async def publish(line: Line, bodies: dict[Key, bytes]) -> None:
                    try:
                        if line.project is not None:
                            stored = frozenset(Key(each.key) for each in line.files)
                            await applier.publish(line.project, bodies, stored)
                    finally:
                        slots.release()

                for line in self._lines(manifest):
                    if line.project is None:
                        site = line if line.pages else site
                    elif line.removed:
                        await applier.remove(line.project)
                    else:
                        bodies = await self._bodies(line, pages)
                        await slots.acquire()
                        group.create_task(publish(line, bodies))
            for project in gone:
                await applier.remove(project)
            if site is not None:
                await applier.publish_site(await self._bodies(site, pages))

    async def _bodies(self, line: Line, pages: VolumeReader) -> dict[Key, bytes]:
        return {Key(each.key): await self._body(each, pages) for each in line.pages}

    async def _body(self, each: Object, volumes: VolumeReader) -> bytes:
        async with aclosing(volumes.read(each.parts)) as chunks:
            body = b"".join([chunk async for chunk in chunks])
        if sha256_of(body) != each.sha256:
            msg = f"{each.key!r} in {self._bundle.name} is damaged: copy the bundle again"
            raise InvalidBundle(msg)
        return body

    @asynccontextmanager
    async def _readers(self) -> AsyncGenerator[tuple[VolumeReader, VolumeReader]]:
        files, pages = (
            VolumeReader(kind, self._head.volumes, self._bundle.open) for kind in ("files", "pages")
        )
        try:
            yield files, pages
        finally:
            await files.close()
            await pages.close()


def _expected(each: Object) -> ExpectedContent:
    return ExpectedContent("sha256", each.sha256, each.size)
