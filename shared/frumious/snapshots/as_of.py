"""A snapshot of the index as it was at an earlier time, by the upload times of files (PEP 700).

Only what is still stored can be shown: files of the live pages, and those of other snapshots.
Whether a file was yanked at that time, nobody knows; it is shown as it is now.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec.structs import replace

from frumious.concurrency import run_all
from frumious.model import layout
from frumious.model.pages import DelistedProject, ListedProject
from frumious.model.snapshots import GRACE, KeptPage, kept_page_key
from frumious.selection.cooldown import Cooldown
from frumious.selection.kept_pages import shown_page, shown_pages
from frumious.selection.subject import Context, Subject
from frumious.simple import kept_page, render, root_index
from frumious.simple.values import without_lone_surrogates
from frumious.snapshots.create import Created, begin, finish
from frumious.snapshots.delete import kept_projects
from frumious.snapshots.errors import SnapshotError, check_name
from frumious.state.objects import parse
from frumious.state.objects import render as render_state
from frumious.state.removed_files import keep_removed_files
from frumious.state.replacing import ATTEMPTS, replace_object, too_many_conflicts
from frumious.state.snapshots import read_kept_page, read_snapshots
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key
    from frumious.snapshots.readers import Readers

_PRIVATE: Final = "_frumious"


@dataclass(slots=True)
class Pass:
    """What a pass over the pages has found."""

    pages: int = 0  # that differ from the live ones
    newer: int = 0  # files that are left out: uploaded later, or nobody knows when
    undated: int = 0  # of these, files without an upload time
    yanked: int = 0  # files that are yanked now, and perhaps were not then
    back: int = 0  # files that only other snapshots show
    root: dict[NormalizedName, ListedProject | DelistedProject] = field(default_factory=dict)

    def count(
        self, page: ProjectPage | None, then: ProjectPage | None, live: ProjectPage | None
    ) -> None:
        """Count the files of a project: all that are known, those of that time, the live ones."""
        if page is None or then is None:
            return
        self.newer += len(page.files) - len(then.files)
        self.undated += sum(each.upload_time is None for each in page.files)
        self.yanked += sum(each.yanked is not False for each in then.files)
        self.back += len({*_names(then.files)} - {*_names(live.files if live else ())})


@dataclass(frozen=True, slots=True)
class _Past:
    """The time that a snapshot shows, and where to look."""

    name: str
    as_of: float
    others: Sequence[str]  # snapshots
    mirror: Mirror
    found: Pass


async def create_as_of(  # noqa: PLR0913 (what it works with)
    name: str,
    as_of: float,
    mirror: Mirror,
    readers: Readers,
    *,
    alone: bool,
    on_begin: Callable[[int, str | None, float], None],
    on_page: Callable[[], None],
) -> tuple[Created, Pass]:
    """Create a snapshot of the index at an earlier time, or finish its creation.

    `on_begin` gets the number of pages that are read, the older snapshot that tells which, if
    there is one, and for how many seconds jobs that do not know of the snapshot are waited for;
    `on_page` is called after each page.

    Raises:
        SnapshotError: the time is in the future; or as `create_snapshot`.
        InvalidPage, LedgerCorrupt: the root index, or a page, is damaged.
    """
    check_name(name)
    clock = mirror.clock
    if as_of > clock.now():
        msg = "--as-of is in the future: it takes a day that has ended, or a time that has passed"
        raise SnapshotError(msg)
    key, stored = await mirror.pages.read_root_index()
    if stored is None:
        msg = "the mirror has no JSON root index yet: run 'frumious mirror' first"
        raise SnapshotError(msg)
    new = await begin(name, mirror, alone=alone, as_of=as_of)
    listed = dict(root_index.entries(stored.body, key))
    older = await _older(name, as_of, mirror)
    wait = max(0.0, new.fixed - clock.now())
    number = len(listed) if older is None else len(await _kept(older, mirror))
    on_begin(number, older, wait)
    await clock.sleep(wait)
    projects = await _kept(name, mirror)
    if older is not None:
        projects |= await _kept(older, mirror)
    else:  # a page may be there before the root index lists it
        projects.update(listed, [each async for each in mirror.pages.stored_projects()])
    others = [each for each in (await read_snapshots(mirror.storage)).active if each != name]
    past = _Past(name, as_of, others, mirror, Pass())
    ordered, at_once = sorted(projects), mirror.config.workers
    for first in range(0, len(ordered), at_once):
        await run_all(_keep(each, past, on_page) for each in ordered[first : first + at_once])
    roots = _roots(listed, past.found.root, root_index.meta(stored.body, key), mirror)
    return await finish(name, new, roots, mirror, readers), past.found


async def _kept(snapshot: str, mirror: Mirror) -> set[NormalizedName]:
    return {each async for each in kept_projects(snapshot, mirror)}


async def _older(name: str, as_of: float, mirror: Mirror) -> str | None:
    """Return the newest snapshot of before that time: what it keeps has changed since."""
    known = (await read_snapshots(mirror.storage)).snapshots
    fit = {
        other: each.fixed
        for other, each in known.items()
        if other != name
        and each.fixed <= as_of
        and not (each.deleting or each.creating)
        and each.as_of is None
    }
    return max(fit, key=lambda other: fit[other], default=None)


async def _keep(project: NormalizedName, past: _Past, on_page: Callable[[], None]) -> None:
    """Keep the page of that time, unless it is the live one."""
    for _ in range(ATTEMPTS):
        try:
            await _keep_once(project, past)
            return on_page()
        except Conflict:
            continue  # a job has kept the page that was live
    raise too_many_conflicts(kept_page_key(past.name, project))


async def _keep_once(project: NormalizedName, past: _Past) -> None:
    mirror, key = past.mirror, kept_page_key(past.name, project)
    live = await mirror.pages.read_page(project)
    stored = await mirror.storage.read(key)
    kept = None if stored is None else parse(key, stored, KeptPage)
    base = live if kept is None else kept_page.parse(past.name, project, kept)
    more = [] if base is not None and base.is_private else await _others(project, past)
    page = _merged(base, more)
    if page is None and kept is None:
        return
    then = None if page is None else _at(past.as_of, project, page)
    names = {*_names(then.files)} if then is not None else set()
    if kept is None and live is not None and names == {*_names(live.files)}:
        past.found.count(page, then, live)
        return
    shown = then if page is not None and (names or not page.files) else None
    withheld = () if kept is None else tuple(each for each in kept.withheld if each in names)
    new = KeptPage(page=_payload(shown, mirror), withheld=withheld)
    body = render_state(new)
    if stored is None or body != stored.body:
        if kept is not None:
            await _schedule_deletion(project, kept, new, past)
        await replace_object(key, body, None if stored is None else stored.etag, mirror.storage)
    # Also where nothing is new: a command may have been killed before it wrote them.
    for each, content in shown_pages(past.name, project, shown, withheld, mirror.config):
        await mirror.storage.write(each, content)
    past.found.count(page, then, live)
    past.found.pages += 1
    past.found.root[project] = _entry(shown)


async def _schedule_deletion(
    project: NormalizedName, kept: KeptPage, new: KeptPage, past: _Past
) -> None:
    """Delete the files that the snapshot stops showing, unless something else names them then.

    A job may have left them to the snapshot: it has kept the page of now, with all its files.
    """
    before = kept_page.shown_keys(past.name, project, kept)
    keys = before - kept_page.shown_keys(past.name, project, new)
    storage, delete_at = past.mirror.storage, past.mirror.clock.now() + GRACE
    await keep_removed_files(project, (), keys, delete_at, None, storage)


def _at(time: float, project: NormalizedName, page: ProjectPage) -> ProjectPage:
    """Return a page without the files that are newer than a time, or perhaps are."""
    subject = Subject.of(project, page, Context(now=time))
    return subject.without(Cooldown(0.0, time).held_back(subject)).page


async def _others(project: NormalizedName, past: _Past) -> list[ProjectPage]:
    """Return what other snapshots show of a project on pages of their own."""
    found: list[ProjectPage] = []
    for name in past.others:
        kept = await read_kept_page(name, project, past.mirror.storage)
        page = None if kept is None else kept_page.parse(name, project, kept)
        if kept is not None and page is not None:
            found.append(shown_page(project, page, kept.withheld))
    return found


def _merged(base: ProjectPage | None, others: Iterable[ProjectPage]) -> ProjectPage | None:
    """Return a page with the files and versions of others as well."""
    for other in others:
        if base is None:
            base = other
            continue
        names = {*_names(base.files)}
        files = tuple(each for each in other.files if each.filename not in names)
        versions = dict.fromkeys((*(base.versions or ()), *(other.versions or ())))
        if files:
            both = tuple(versions) if base.versions is not None else None
            base = replace(base, files=(*base.files, *files), versions=both)
    return base


def _names(files: Iterable[File]) -> list[str]:
    return [each.filename for each in files]


def _entry(page: ProjectPage | None) -> ListedProject | DelistedProject:
    if page is None:
        return DelistedProject(None)
    size = sum(each.size or 0 for each in page.files)
    return ListedProject(page.name, page.serial, len(page.files), size)


def _payload(page: ProjectPage | None, mirror: Mirror) -> dict[str, Any] | None:
    if page is None:
        return None
    body = render.project_page_json(render.as_published(page, mirror.config.root_uri))
    return msgspec.json.decode(without_lone_surrogates(body), type=dict[str, Any])


def _roots(
    listed: dict[NormalizedName, ListedProject],
    changes: Mapping[NormalizedName, ListedProject | DelistedProject],
    meta: dict[str, Any],
    mirror: Mirror,
) -> Mapping[Key, bytes]:
    """Render the root index of that time, in all forms that readers get."""
    for project, change in changes.items():
        if isinstance(change, ListedProject):
            listed[project] = change
        else:
            listed.pop(project, None)
    projects = sorted(listed.items())
    serial = meta.pop("_last-serial", None)
    meta.pop(_PRIVATE, None)
    bodies: dict[Key, bytes] = {}
    for form in mirror.pages.layout.forms:
        if form == layout.V1_JSON:
            names = root_index.json_projects(root_index.batched(projects))
            body = root_index.json_page(names, serial, meta)
        else:
            body = root_index.html_page(root_index.batched(projects))
        bodies[layout.root_page(form)] = body
    return bodies
