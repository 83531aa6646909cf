"""A project's page in the index without the cooldown, and the files that this index alone has.

A project has such a page while the cooldown holds files of it back. The page names what the
selection without the cooldown lets in: links lead to the live files where the live page names the
same, and to files of the index's own otherwise. Without such a page, readers get the live page.

The order of writes keeps what pages name: new live files, the live page, own files, this page, and
only then what neither names any more is deleted. So this page never names a live file that the
live page does not name, except after a job that was killed in between: the next one begins with
that. The live page says that there may be such a page before there is one.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

from msgspec.structs import replace

from frumious.model import simple_all
from frumious.model.attestations import MAX_TEXT
from frumious.model.blobs import keys_of, known_hashes
from frumious.model.layout import attestations
from frumious.state.removed_files import RemovedFiles
from frumious.state.simple_all import without_cooldown
from frumious.syncing.attestations import verify_attestations
from frumious.syncing.comparison import CurrentPage, compare
from frumious.syncing.current_page import read_manifest
from frumious.syncing.deletion import delete_files
from frumious.syncing.live_alone import LiveAlone
from frumious.syncing.page_builder import BuiltPage, build_page, shows_the_same
from frumious.syncing.page_publisher import PagePublisher
from frumious.syncing.recovery import Recovery

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.blobs import MirroredFile
    from frumious.model.jobs import Result
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key
    from frumious.simple.values import ParsedPage
    from frumious.state.page_store import Manifest
    from frumious.storage.protocol import Storage
    from frumious.syncing.attestations import Verified
    from frumious.syncing.recovery import Attempt
    from frumious.syncing.transfer import Transfer


@dataclass(slots=True)
class SimpleAllPage(LiveAlone):
    """The page of one project, as it is and as a job makes it.

    Attributes:
        before: The page now; None: there is none.
        own: The files that it alone names.
        wanted: What the selection without the cooldown lets in; None: the live page shows it.
        faults: Of the attestations of own files, by filename.
        error: Why the page lacks an own file; None: it has all of them.
    """

    attempt: Attempt
    mirror: Mirror  # `without_cooldown`
    live: Storage
    before: Manifest | None
    own: tuple[MirroredFile, ...] = ()
    wanted: ParsedPage | None = None
    faults: Mapping[str, str] = field(default_factory=dict)
    error: str | None = None
    _resuming: bool = False  # what is stored, and which pages are, is to be found out
    _published: bool = False

    @classmethod
    async def read(cls, attempt: Attempt, current: ProjectPage | None, mirror: Mirror) -> Self:
        """Read the page of a job's project; `current` is the live one, which says if there is any.

        What a killed job left of the page is brought in step with the live one.
        """
        second = without_cooldown(mirror)
        known = None if current is None else current.publication
        if current is None or (known is not None and not known.simple_all):
            return cls(attempt, second, mirror.storage, None)
        job = attempt.job
        before, page = await read_manifest(job, second.pages)
        own = simple_all.own_files(job.project, page)
        resuming = attempt.resuming or (before is not None and before.damaged)
        found = cls(attempt, second, mirror.storage, before, own, _resuming=resuming)
        await found._heal(current)
        return found

    @property
    def _project(self) -> NormalizedName:
        return self.attempt.job.project

    @property
    def _may_exist(self) -> bool:
        """Whether there may be a page: a killed job may have written its HTML alone."""
        return self.before is not None or self._resuming

    @property
    def _publisher(self) -> PagePublisher:
        return PagePublisher.of(self.attempt, self.mirror)

    # What the job does with the live page

    def joined(self, current: ProjectPage | None) -> ProjectPage | None:
        """Return the live page with what is held back: upstream may not take that away either."""
        if current is None or not self.own:
            return current
        names = {file.filename for file in current.files}
        more = (each.file for each in self.own if each.file.filename not in names)
        return replace(current, files=(*current.files, *more))

    def want(self, live: ParsedPage, anytime: ProjectPage | None, transfer: Transfer) -> None:
        """Note what the selection without the cooldown lets in, if that is not what `live` has.

        None: nothing of the project, so that it has no page of its own. The job's `transfer` may
        copy own files that are ripe.
        """
        transfer.copies, transfer.copied_from = keys_of(self.own), self.mirror.storage
        if not self.mirror.selection.simple_all or anytime is None or live.page.quarantined:
            return
        if _names(live.page.files) != _names(anytime.files):
            self.wanted = replace(live, page=anytime)

    def known_bytes(self, removed: RemovedFiles) -> RemovedFiles:
        """Return the hashes that the names of removed files have, and those of own files."""
        return _adding(removed, (each.file for each in self.own))

    def concerns(self, live: Manifest, page: ProjectPage) -> bool:
        """Return whether the live page has to be written though it shows nothing new.

        It does not say that there will be a page here, or own files go: their loss is booked first.
        """
        publication = live.page.publication
        is_unmarked = publication is None or not publication.simple_all
        return bool((self.wanted is not None and is_unmarked) or self.dropped(page))

    def marked(self, built: BuiltPage) -> BuiltPage:
        """Return the live page; it says whether there may be a page here."""
        publication = built.page.publication
        if publication is None or (self.wanted is None and not self._may_exist):
            return built
        publication = replace(publication, simple_all=True)
        return replace(built, page=replace(built.page, publication=publication))

    def dropped(self, live: ProjectPage) -> list[MirroredFile]:
        """Return the own files that no page will name."""
        named = _names(live.files)
        if self.wanted is not None:
            named |= _names(self.wanted.page.files)
        return [each for each in self.own if each.file.filename not in named]

    def reported(self, result: Result) -> Result:
        """Return a result that counts the bytes of own files, and says what is wrong with them."""
        bytes_ = result.bytes_ + sum(each.file.size or 0 for each in self.own)
        result = replace(result, bytes_=bytes_, error=result.error or self.error)
        if not self.faults:
            return result
        name, fault = next(iter(self.faults.items()))
        return replace(
            result,
            unverified=result.unverified + len(self.faults),
            fault=result.fault or f"{name}: {fault}"[:MAX_TEXT],
        )

    # The page itself

    async def publish(
        self, live: BuiltPage, current: CurrentPage, transfer: Transfer, verified: Verified
    ) -> None:
        """Publish the page once the `live` one is; delete own files that it does not name any more.

        `current` is the live page as it was, of which nothing is deleted yet.

        Raises:
            UpstreamUnavailable, StorageUnavailable: own files cannot be stored for now.
            Conflict: another job of the project is at work.
        """
        if self._published or (self.wanted is None and not self._may_exist):
            return
        if self.wanted is None:
            await self._retire(live.page.files)
        else:
            built = await self._build(self.wanted, live, current, transfer, verified)
            if self.before is None or not shows_the_same(self.before, built.page):
                await self._write(built)
            elif self._resuming:
                publication = self.before.page.publication
                await self._write(replace(built, page=replace(built.page, publication=publication)))
            self.own, self.error = (*built.files,), built.error
        self._published = True

    async def remove(self) -> None:
        """Delete the page and its own files, before the live page is removed."""
        if self._may_exist:
            await self._retire(() if self.before is None else self.before.page.files)

    async def _retire(self, live: Iterable[File]) -> None:
        """Delete own files, and then the page: until then it names live files alone."""
        if self.before is not None and (self.own or self._undeleted):
            page, named = self.before.page, _names(live)
            files = tuple(
                file
                for file in page.files
                if file.filename in named and not simple_all.has_own(file)
            )
            page = simple_all.as_published(
                self._project, replace(page, files=files), self.mirror.config.root_uri
            )
            if page.publication is not None:
                removed = tuple(sorted(keys_of(self.own) | self._undeleted))
                page = replace(page, publication=replace(page.publication, removed=removed))
            await self._write(BuiltPage(page, (), {}))
        pages = self.mirror.pages
        layouts = (pages.layout, *await pages.former_layouts())
        keys = {
            key
            for each in layouts
            for key in (*each.keys(self._project), each.manifest(self._project))
        }
        if self.mirror.config.attestations is not None:
            keys.add(attestations(self._project))
        await self.mirror.storage.delete(sorted(keys))
        self.own = ()

    async def _heal(self, current: ProjectPage) -> None:
        """Stop naming live files that the live page does not name: they are about to be deleted."""
        if self.before is None or self.before.damaged:
            return
        page = self.before.page
        if page.publication is not None and not page.publication.stored:
            return
        named = {file.filename: file.url for file in current.files}
        files = tuple(
            file
            for file in page.files
            if simple_all.has_own(file) or named.get(file.filename) == file.url
        )
        if len(files) == len(page.files):
            return
        page = replace(page, files=files)
        page = simple_all.as_published(self._project, page, self.mirror.config.root_uri)
        publisher = self._publisher
        await publisher.publish(BuiltPage(page, self.own, {}), self.before, ())
        self.before = await self.mirror.pages.read_manifest(self._project)

    async def _build(
        self,
        wanted: ParsedPage,
        live: BuiltPage,
        current: CurrentPage,
        transfer: Transfer,
        verified: Verified,
    ) -> BuiltPage:
        """Store own files that are new, and return the page that names them."""
        project, config = self._project, self.mirror.config
        live_files = (*(each.file for each in current.files), *live.page.files)
        is_damaged = self.before is not None and self.before.damaged
        page = None if self.before is None else self.before.page
        known = _adding(current.removed, live_files)
        own = CurrentPage(page, self.own, known, damaged=is_damaged)
        shared = {file.filename: file for file in live.page.files}
        change = compare(project, wanted, own, config, self.mirror.fingerprint(project))
        files = tuple(each for each in change.files if each.file.filename not in shared)
        keys = keys_of(files)
        new = tuple(blob for blob in change.new if blob.key in keys)
        change = replace(change, files=files, new=new)
        own_transfer = self._transfer(transfer, current)
        try:
            checked = await verify_attestations(
                change, own, own_transfer, self.mirror, publishers=verified.publishers
            )
            change, self.faults = checked.change, checked.faults
            failed = self.attempt.budget.refuse(project, change.new)
            failed = failed or await own_transfer.store(change.new)
        finally:
            transfer.stored += own_transfer.stored
        change = change.with_sha256(own_transfer.sha256)
        built = build_page(change, failed, own, Recovery(self.attempt.job.run), config)
        linked = {file.filename: file for file in built.page.files}
        if config.release_files:
            root_uri = config.root_uri
            linked = {
                name: simple_all.linked(project, file, root_uri, own=True)
                for name, file in linked.items()
            }
        linked |= shared
        names = (file.filename for file in wanted.page.files)
        shown = tuple(linked[name] for name in names if name in linked)
        return replace(built, page=replace(built.page, files=shown))

    def _transfer(self, live: Transfer, current: CurrentPage) -> Transfer:
        """Return what stores own files; those that left the live page are copied from there."""
        return replace(
            live,
            storage=self.mirror.storage,
            resuming=self._resuming,
            on_last_file=None,
            undeleted=frozenset(),
            verified=set(),
            stored=0,
            slow=0,
            sha256={},
            copies=keys_of(current.files),
            copied_from=self.live,
        )

    @property
    def _undeleted(self) -> frozenset[Key]:
        """What the page says that its own job was to delete."""
        publication = None if self.before is None else self.before.page.publication
        return frozenset(() if publication is None else publication.removed)

    async def _write(self, built: BuiltPage) -> None:
        """Publish a page; delete what it, and the one before, have stopped naming."""
        publisher = self._publisher
        await publisher.publish(built, self.before, ())
        await publisher.tidy(built.page)
        publication = built.page.publication
        removed = self._undeleted | keys_of(self.own)
        removed = removed.union(() if publication is None else publication.removed)
        unneeded = removed - keys_of(built.files)
        if unneeded:
            await delete_files(self._project, unneeded, self.mirror.pages)


def _names(files: Iterable[File]) -> set[str]:
    return {file.filename for file in files}


def _adding(removed: RemovedFiles, files: Iterable[File]) -> RemovedFiles:
    """Return the hashes of removed files and of others."""
    return RemovedFiles({**removed.hashes, **known_hashes(files)}, removed.due, removed.booked)
