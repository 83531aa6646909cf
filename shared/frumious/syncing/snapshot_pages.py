"""The pages of a project that snapshots keep, written before the live pages change.

The kept page is created first: it is what the snapshot has for good. The pages that readers get are
rendered from it, without what is withheld. Only then may the live pages change, so that a job which
is killed in between finds them as they were, and does the same again.

Safety beats permanence: what advisories block, what upstream quarantines and what an operator
deletes by name is withheld. It comes back once the live page names the same file again: then it is
stored.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import structs

from frumious.model import layout
from frumious.model.advisories import NO_ADVISORIES, ProjectAdvisories
from frumious.model.blobs import keys_of, mirrored_files, readable_files
from frumious.model.snapshots import KeptPage, kept_page_key
from frumious.selection.advisories import blocked_on_page
from frumious.selection.kept_pages import shown_pages
from frumious.simple import kept_page, render
from frumious.simple.values import InvalidPage, without_lone_surrogates
from frumious.state.objects import LedgerCorrupt, parse
from frumious.state.objects import render as render_state
from frumious.state.page_store import UnreadableManifest
from frumious.state.removed_files import read_removed_files
from frumious.syncing.deletion import delete_files
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.state.page_store import PageStore
    from frumious.storage.protocol import Stored
    from frumious.syncing.recovery import Attempt

logger = logging.getLogger(__name__)


class _LivePage(Value, frozen=True):
    """What readers get of a project now."""

    page: ProjectPage | None = None  # None: nothing
    payload: dict[str, Any] | None = None  # the same, as a snapshot keeps it
    damaged: bool = False  # nobody can say which files it has


class _Kept(Value, frozen=True):
    """What a snapshot has of the project."""

    snapshot: str
    key: Key
    stored: Stored
    kept: KeptPage


class SnapshotPages(Value, frozen=True):
    """What snapshots keep of one project, and what of that they show."""

    project: NormalizedName
    pages: PageStore
    config: Config
    advisories: ProjectAdvisories = NO_ADVISORIES
    quarantined: bool = False  # a release of it is, or there is malware: as in Job
    deleted: bool = False  # somebody deleted the project by name

    @classmethod
    def of(cls, attempt: Attempt, mirror: Mirror) -> Self:
        """Return what a job has to keep of its project, and to withhold."""
        job = attempt.job
        return cls(
            job.project,
            mirror.pages,
            mirror.config,
            attempt.advisories,
            quarantined=job.quarantined,
            deleted=attempt.deleted,
        )

    async def keep(self, after: ProjectPage | None) -> None:
        """Keep the live page for each snapshot that has none, before `after` replaces it.

        `after` None: the project is about to be removed.

        Raises:
            Conflict: another job of the project is at work.
            LedgerCorrupt: nobody knows which snapshots there are.
        """
        names = await self.pages.snapshots.active()
        if not names:
            return
        live = await self._live_page()
        freed: set[Key] = set()
        is_complete = live.damaged or self._is_same_layout(live.page, after)
        for name in names:
            found = await self._read(name, after)
            if isinstance(found, _Kept):
                complete = is_complete and found.kept.page != live.payload
                if not complete or found.kept.withheld or self._restricts(after):
                    freed |= await self._restrict(found, live, after, is_complete=complete)
            elif found and not live.damaged and (after is not None or live.page is not None):
                await self._create(name, live, after)
        await self._delete(freed, live, after)

    async def restrict(self, page: ProjectPage) -> None:
        """Withhold what has to be, where the live page stays as it is.

        Raises:
            Conflict, LedgerCorrupt: as `keep`.
        """
        if not self._restricts(page):
            return
        live: _LivePage | None = None
        freed: set[Key] = set()
        for name in await self.pages.snapshots.active():
            found = await self._read(name, page)
            if isinstance(found, _Kept):
                live = live or await self._live_page()
                freed |= await self._restrict(found, live, page, is_complete=True)
        if live is not None:
            await self._delete(freed, live, page)

    def _restricts(self, after: ProjectPage | None) -> bool:
        """Return whether anything may have to be withheld."""
        is_quarantined = self.quarantined or (after is not None and after.quarantined)
        return bool(self.advisories.blocking) or is_quarantined or self.deleted

    @staticmethod
    def _is_same_layout(live: ProjectPage | None, after: ProjectPage | None) -> bool:
        """Return whether pages are where they were, and in the same forms."""
        before = live.publication if live is not None else None
        now = after.publication if after is not None else None
        return before is None or now is None or before.selection == now.selection

    async def _read(self, snapshot: str, after: ProjectPage | None) -> _Kept | bool:
        """Return what a snapshot keeps; True: nothing yet; False: it is damaged."""
        key = kept_page_key(snapshot, self.project)
        stored = await self.pages.storage.read(key)
        if stored is None:
            return True
        try:
            return _Kept(snapshot, key, stored, parse(key, stored, KeptPage))
        except LedgerCorrupt as error:
            await self._report(error, snapshot, after)
            return False

    async def _report(self, error: Exception, snapshot: str, after: ProjectPage | None) -> None:
        """Log that what a snapshot keeps is damaged: readers go on to get what they got.

        They get no file where something may have to be withheld.
        """
        logger.error("%s", error)
        if self._restricts(after):
            await self._publish(snapshot, None, ())

    async def _create(self, snapshot: str, live: _LivePage, after: ProjectPage | None) -> None:
        withheld = await self._withheld(live.page, (), live, after)
        key = kept_page_key(snapshot, self.project)
        body = render_state(KeptPage(page=live.payload, withheld=withheld))
        await self.pages.storage.create(key, body)
        await self._publish(snapshot, live.page, withheld)

    async def _restrict(
        self, found: _Kept, live: _LivePage, after: ProjectPage | None, *, is_complete: bool
    ) -> frozenset[Key]:
        """Bring in step what is withheld of a kept page, and return which files that frees.

        Readers' pages come first: a job that is killed before the kept page says so does it again.
        Unless they are known to be complete, they are written in any case.
        """
        kept = found.kept
        try:
            page = kept_page.parse(found.snapshot, self.project, kept)
        except (InvalidPage, layout.UnsafeName) as error:
            await self._report(error, found.snapshot, after)
            return frozenset()
        withheld = await self._withheld(page, kept.withheld, live, after)
        is_changed = withheld != kept.withheld
        if is_changed or not is_complete:
            await self._publish(found.snapshot, page, withheld)
        if is_changed:
            body = render_state(structs.replace(kept, withheld=withheld))
            await self.pages.storage.write(found.key, body, replacing=found.stored.etag)
        files = mirrored_files(self.project, page)
        new = {*withheld} - {*kept.withheld}
        return keys_of(each for each in files if each.file.filename in new)

    async def _delete(
        self, freed: Collection[Key], live: _LivePage, after: ProjectPage | None
    ) -> None:
        """Delete files that nothing but a snapshot named, once it withholds them.

        What the live page names, or what is due for deletion, is deleted with the others.
        """
        if live.damaged:
            return
        alone = {*freed} - self._keys(live.page) - self._keys(after)
        if alone:
            removed, _ = await read_removed_files(self.project, self.pages.storage)
            await delete_files(self.project, alone - removed.undeleted, self.pages)

    async def _publish(
        self, snapshot: str, page: ProjectPage | None, withheld: Collection[str]
    ) -> None:
        """Write the pages that readers of a snapshot get."""
        for key, body in shown_pages(snapshot, self.project, page, withheld, self.config):
            await self.pages.storage.write(key, body)

    async def _live_page(self) -> _LivePage:
        """Read what readers get: a page of another program may be HTML alone."""
        page: ProjectPage | None
        body = None
        try:
            manifest = await self.pages.read_manifest(self.project)
        except UnreadableManifest:
            page = await self.pages.read_first_page(self.project)
            if page is None:
                return _LivePage(damaged=True)
        else:
            if manifest is None:
                page = await self.pages.read_html_page(self.project)
            else:
                page, body = manifest.page, manifest.stored.body
            if page is None:
                return _LivePage()
        if readable_files(self.project, page) is None:
            return _LivePage(damaged=True)
        if body is None:
            body = render.project_page_json(render.as_published(page, self.config.root_uri))
        payload = msgspec.json.decode(without_lone_surrogates(body), type=dict[str, Any])
        return _LivePage(page, payload)

    async def _withheld(
        self,
        page: ProjectPage | None,
        before: Collection[str],
        live: _LivePage,
        after: ProjectPage | None,
    ) -> tuple[str, ...]:
        """Return the files of a kept page that readers are not to get once `after` is live."""
        if page is None:
            return ()
        names = {file.filename for file in page.files}
        if self.deleted or (after is not None and after.quarantined):
            return tuple(sorted(names))
        withheld = {*before} - self._back(page, after)
        withheld.update(blocked_on_page(self.project, page, self.advisories))
        if self.quarantined:
            withheld |= await self._dropped(page, live, after)
        return tuple(sorted(withheld & names))

    def _back(self, page: ProjectPage, after: ProjectPage | None) -> set[str]:
        """Return the files of a kept page that the new live page names as well."""
        if after is None:
            return set()
        if page.publication is not None and not page.publication.stored:
            return {file.filename for file in page.files} & {file.filename for file in after.files}
        stored = self._keys(after)
        return {
            each.file.filename
            for each in mirrored_files(self.project, page)
            if keys_of([each]) <= stored
        }

    async def _dropped(
        self, page: ProjectPage, live: _LivePage, after: ProjectPage | None
    ) -> set[str]:
        """Return the files of a kept page that go because of a quarantine.

        They leave the live page now, or have left it a short time ago: the event came later. Of
        those that the live page had only in HTML of a killed job, nothing says when they left.
        """
        removed, _ = await read_removed_files(self.project, self.pages.storage)
        gone = self._keys(live.page) | removed.undeleted
        keys = {each.file.filename: each.key for each in mirrored_files(self.project, page)}
        stay = {file.filename for file in after.files} if after is not None else set()
        return {
            file.filename
            for file in page.files
            if file.filename not in stay
            and (keys.get(file.filename) in gone or file.filename not in removed.hashes)
        }

    def _keys(self, page: ProjectPage | None) -> frozenset[Key]:
        return keys_of(mirrored_files(self.project, page))
