"""What snapshots keep: what they show is what they keep, and its files are stored."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import structs
from packaging.utils import canonicalize_name

from frumious.auditing.confirm import check_blob, named_blobs
from frumious.auditing.repair import Outcome, Repaired
from frumious.concurrency import in_groups
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.model.blobs import mirrored_files
from frumious.model.snapshots import KEPT_PAGES, KeptPage, kept_page_key, snapshot_key
from frumious.selection.kept_pages import shown_pages
from frumious.simple import kept_page
from frumious.simple.values import InvalidPage, without_lone_surrogates
from frumious.state.objects import LedgerCorrupt, parse, render, set_aside

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.storage.protocol import Stored

_SETTLED: Final = 3.0  # seconds in which a job writes all that a snapshot keeps of a project


@dataclass(frozen=True, slots=True)
class KeptKey:
    """Where a snapshot keeps the page of a project."""

    snapshot: str
    project: NormalizedName

    @property
    def key(self) -> Key:
        """The key of the kept page."""
        return kept_page_key(self.snapshot, self.project)


@dataclass(frozen=True, slots=True)
class _Checked:
    """A kept page, and what is wrong with it."""

    stored: Stored | None = None  # None: it is gone
    kept: KeptPage | None = None  # None: it is damaged
    page: ProjectPage | None = None
    problem: str = ""  # of the kept page, or of what is shown of it
    missing: frozenset[str] = frozenset()  # files that are shown, and not whole


async def kept_pages(mirror: Mirror, *, after: str = "") -> AsyncGenerator[KeptKey, None]:
    """Yield what snapshots keep, behind a key, in the order of the keys."""
    try:
        names = await mirror.pages.snapshots.active()
    except LedgerCorrupt:
        return  # a finding of its own
    if not names:
        return
    async for entry in mirror.storage.list(KEPT_PAGES, after=after):
        snapshot, _, name = entry.key.removeprefix(KEPT_PAGES).partition("/")
        project = name.removesuffix(".json")
        if snapshot in names and layout.is_project(project):
            yield KeptKey(snapshot, canonicalize_name(project))


async def check_kept_pages(
    group: Sequence[KeptKey], mirror: Mirror, *, deep: bool = False
) -> list[Finding]:
    """Check some kept pages; what is suspected is looked at again, as jobs may be at work.

    Files that live pages name as well are checked with these; `deep` reads all others.
    """
    suspects = [
        each
        for each, found in await _check_all(group, mirror, deep=deep)
        if found.problem or found.missing
    ]
    if not suspects:
        return []
    await mirror.clock.sleep(_SETTLED)
    return [
        finding
        for each, found in await _check_all(suspects, mirror, deep=deep)
        for finding in _findings(each, found)
    ]


async def repair_snapshots(findings: Iterable[Finding], mirror: Mirror) -> list[Repaired]:
    """Show what snapshots keep, but for the files that are not stored any more.

    A damaged kept page is made again from the JSON page that readers get.

    Raises:
        Conflict: a job has changed what a snapshot keeps.
    """
    results: list[Repaired] = []
    for finding in findings:
        snapshot = finding.key.split("/")[2]
        each = KeptKey(snapshot, canonicalize_name(finding.project))
        await _repair(each, mirror)
        found = await _check(each, mirror, deep=True)
        is_left = bool(found.problem or found.missing)
        results.append(Repaired(finding, Outcome.DAMAGED if is_left else Outcome.REPAIRED))
    return results


async def _check_all(
    group: Sequence[KeptKey], mirror: Mirror, *, deep: bool
) -> list[tuple[KeptKey, _Checked]]:
    found = await in_groups(_check(each, mirror, deep=deep) for each in group)
    return [*zip(group, found, strict=True)]


async def _check(each: KeptKey, mirror: Mirror, *, deep: bool) -> _Checked:
    stored = await mirror.storage.read(each.key)
    if stored is None:
        return _Checked()  # the snapshot was deleted
    try:
        kept = parse(each.key, stored, KeptPage)
        page = kept_page.parse(each.snapshot, each.project, kept)
    except (LedgerCorrupt, InvalidPage, layout.UnsafeName) as error:
        return _Checked(stored, problem=f"{error!s:.200}")
    problem = ""
    for key, body in shown_pages(each.snapshot, each.project, page, kept.withheld, mirror.config):
        shown = await mirror.storage.read(key)
        if shown is None or shown.body != body:
            problem = f"{key!r} is {'missing' if shown is None else 'not what the snapshot keeps'}"
    missing = await _missing_files(each.project, page, kept, mirror, deep=deep)
    return _Checked(stored, kept, page, problem, missing)


async def _missing_files(
    project: NormalizedName,
    page: ProjectPage | None,
    kept: KeptPage,
    mirror: Mirror,
    *,
    deep: bool,
) -> frozenset[str]:
    """Return the files that are shown, and that are missing or damaged."""
    live = await named_blobs(project, mirror)
    missing: set[str] = set()
    for each in mirrored_files(project, page):
        if each.file.filename in kept.withheld:
            continue
        for blob in each.blobs:
            if blob.key in live:
                continue
            found = await check_blob(project, blob, mirror, deep=deep)
            if found is not None and found.kind.is_content:
                missing.add(each.file.filename)
    return frozenset(missing)


def _findings(each: KeptKey, found: _Checked) -> Iterable[Finding]:
    if found.problem:
        yield Finding(Kind.DAMAGED_SNAPSHOT, each.key, each.project, found.problem)
    for name in sorted(found.missing):
        detail = f"{name} is shown, and is not stored"
        yield Finding(Kind.DAMAGED_SNAPSHOT, each.key, each.project, detail)


async def _repair(each: KeptKey, mirror: Mirror) -> None:
    found = await _check(each, mirror, deep=True)
    if found.stored is None:
        return
    kept, page = found.kept, found.page
    if kept is None:
        rebuilt = await _rebuilt(each, mirror)
        if rebuilt is None:
            return
        kept, page = rebuilt
        error = InvalidPage(found.problem)
        await set_aside(each.key, found.stored, error, mirror.storage)
    withheld = tuple(sorted({*kept.withheld, *found.missing}))
    for key, body in shown_pages(each.snapshot, each.project, page, withheld, mirror.config):
        await mirror.storage.write(key, body)
    body = render(structs.replace(kept, withheld=withheld))
    if body != found.stored.body:
        await mirror.storage.write(each.key, body, replacing=found.stored.etag)


async def _rebuilt(each: KeptKey, mirror: Mirror) -> tuple[KeptPage, ProjectPage | None] | None:
    """Return what a snapshot keeps by the JSON page that it shows; None: that is damaged too."""
    key = snapshot_key(each.snapshot, mirror.pages.layout.page(each.project, layout.V1_JSON))
    stored = await mirror.storage.read(key)
    if stored is None:
        return None
    with suppress(InvalidPage, layout.UnsafeName, ValueError):
        body = without_lone_surrogates(stored.body)
        payload = msgspec.json.decode(body, type=dict[str, Any])
        kept = KeptPage(page=payload)
        return kept, kept_page.parse(each.snapshot, each.project, kept)
    return None
