"""The index without the cooldown: its pages name what is stored, and nothing else is.

What is wrong is taken away: readers get the live page until a job has made the page anew. Memory
grows with the files that are held back, by some 100 bytes each.
"""

from __future__ import annotations

from contextlib import aclosing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, cast

from frumious.auditing.confirm import check_blob
from frumious.auditing.file_check import MAX_JOB_AGE
from frumious.auditing.records import key_hash
from frumious.concurrency import in_groups
from frumious.model import layout, simple_all
from frumious.model.audits import Finding, Kind
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.types import Key
from frumious.selection.filenames import owners_of
from frumious.simple import render
from frumious.state.page_store import UnreadableManifest
from frumious.state.simple_all import without_cooldown

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, Collection, Iterable

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.state.page_store import Manifest

_AT_ONCE: Final = 64
_SETTLED: Final = 3.0  # seconds in which a job writes all pages of a project
_UNREADABLE: Final = (UnreadableManifest, layout.UnsafeName, ValueError)


@dataclass(slots=True)
class _Check:
    """What was found out about one project."""

    findings: list[Finding] = field(default_factory=list)
    keys: frozenset[Key] | None = frozenset()  # of all that is its own; None: nobody can say


async def check_simple_all(mirror: Mirror, *, deep: bool = False) -> list[Finding]:
    """Check all pages of the index without the cooldown, and their own files; `deep` reads these.

    Without the key in the configuration, whatever is left of it is found with other leftovers.
    """
    if not mirror.selection.simple_all:
        return []
    findings: list[Finding] = []
    known: set[bytes] = set()
    unknown: set[str] = set()  # projects of which nobody can say which files they have
    async for group in _groups(mirror):
        checks = await _check_all(group, mirror, deep=deep)
        suspects = [project for project, check in zip(group, checks, strict=True) if check.findings]
        if suspects:  # jobs may be at work
            await mirror.clock.sleep(_SETTLED)
            confirmed = await _check_all(suspects, mirror, deep=deep)
            findings += [each for check in confirmed for each in check.findings]
        for project, check in zip(group, checks, strict=True):
            pages = without_cooldown(mirror).pages.layout.keys(project)
            known.update(map(key_hash, (*map(simple_all.stored_at, pages), *(check.keys or ()))))
            if check.keys is None:
                unknown.add(project)
    return findings + await _unnamed(known, unknown, mirror)


async def left_damaged(findings: Iterable[Finding], mirror: Mirror) -> frozenset[Key]:
    """Return the keys of what is still damaged of some findings, all bytes read."""
    projects = sorted({cast("NormalizedName", each.project) for each in findings})
    checks = await _check_all(projects, mirror, deep=True)
    return frozenset(each.key for check in checks for each in check.findings)


async def withhold_simple_all(findings: Iterable[Finding], mirror: Mirror) -> None:
    """Delete the pages of the projects that findings concern, and then the objects themselves.

    All of them are the index's own: no live file is deleted. Readers get the live pages. The next
    job of each project stores and publishes all of it.
    """
    findings, second = [*findings], without_cooldown(mirror)
    for project in sorted({cast("NormalizedName", each.project) for each in findings}):
        pages = second.pages.layout
        await second.storage.delete([*pages.keys(project), pages.manifest(project)])
    await mirror.storage.delete(sorted({each.key for each in findings}))


async def unneeded(keys: Collection[Key], mirror: Mirror) -> list[Key]:
    """Return which of the files no page of the index names, looking again right before."""
    second = without_cooldown(mirror)
    found: list[Key] = []
    for key in keys:
        owners = _owners(key)
        pages = [await _own_keys(owner, second) for owner in owners]
        if owners and all(each is not None and key not in each for each in pages):
            found.append(key)
    return found


async def _groups(mirror: Mirror) -> AsyncGenerator[list[NormalizedName], None]:
    group: list[NormalizedName] = []
    async for project in without_cooldown(mirror).pages.stored_projects():
        group.append(project)
        if len(group) == _AT_ONCE:
            yield group
            group = []
    if group:
        yield group


async def _check_all(
    group: Collection[NormalizedName], mirror: Mirror, *, deep: bool
) -> list[_Check]:
    return await in_groups(_check(project, mirror, deep=deep) for project in group)


async def _check(project: NormalizedName, mirror: Mirror, *, deep: bool) -> _Check:
    second = without_cooldown(mirror)
    try:
        manifest = await second.pages.read_manifest(project)
        if manifest is None:
            return _Check()
        own = simple_all.own_files(project, manifest.page)
        page = simple_all.as_published(project, manifest.page, mirror.config.root_uri)
        live = await mirror.pages.read_page(project)
        shared = _shared(manifest.page) - keys_of(mirrored_files(project, live))
    except _UNREADABLE as error:
        key = simple_all.stored_at(second.pages.layout.manifest(project))
        return _Check([_finding(key, project, f"{error!s:.200}")], None)
    check = _Check(keys=frozenset(map(simple_all.stored_at, keys_of(own))))
    if shared:
        page_key = simple_all.stored_at(second.pages.layout.manifest(project))
        detail = f"it names {min(shared)}, and the live page does not"
        check.findings.append(_finding(page_key, project, detail))
    check.findings += await _check_forms(project, manifest, page, second)
    blobs = [blob for each in own for blob in each.blobs]
    for blob, found in zip(
        blobs,
        await in_groups(check_blob(project, blob, second, deep=deep) for blob in blobs),
        strict=True,
    ):
        if found is not None:
            key = simple_all.stored_at(blob.key)
            check.findings.append(_finding(key, project, found.detail or found.kind))
    return check


async def _check_forms(
    project: NormalizedName, manifest: Manifest, page: ProjectPage, second: Mirror
) -> list[Finding]:
    """Compare all forms of a page with what the JSON page says."""
    publication, pages = manifest.page.publication, second.pages.layout
    if publication is None or publication.selection != second.fingerprint(project):
        return []  # a job is about to publish it anew
    findings: list[Finding] = []
    for form, body in render.project_pages(page, pages.forms, second.config.digest_name):
        key = pages.page(project, form)
        stored = await second.storage.read(key)
        if stored is None or stored.body != body:
            problem = "it is missing" if stored is None else "it is not what the JSON page says"
            findings.append(_finding(simple_all.stored_at(key), project, problem))
    return findings


async def _unnamed(known: set[bytes], unknown: set[str], mirror: Mirror) -> list[Finding]:
    """Return the files of the index that none of its pages names, and pages of no JSON page."""
    findings: list[Finding] = []
    oldest = mirror.clock.now() - MAX_JOB_AGE
    pages = {layout.HTML, layout.V1_HTML, layout.V1_JSON}
    async with aclosing(mirror.storage.list(layout.SIMPLE_ALL)) as listing:
        async for entry in listing:
            is_young = entry.modified is not None and entry.modified > oldest
            if is_young or key_hash(entry.key) in known:
                continue
            folder, _, name = entry.key.rpartition("/")
            project = cast("NormalizedName", layout.filename(Key(folder)))
            if name in pages and layout.is_project(project):
                findings.append(_finding(entry.key, project, "there is no JSON page for it"))
                continue
            owners = _owners(entry.key)
            if unknown.intersection(owners):
                continue
            kind = Kind.ORPHAN if owners else Kind.LEFTOVER
            findings.append(Finding(kind, entry.key, owners[0] if len(owners) == 1 else ""))
    orphans = {each.key for each in findings if each.kind is Kind.ORPHAN}
    left = {*await unneeded(orphans, mirror)}
    return [each for each in findings if each.kind is not Kind.ORPHAN or each.key in left]


def _owners(key: Key) -> list[NormalizedName]:
    """Return the projects that a file of the index can belong to, by its name."""
    parts = key.removeprefix(layout.SIMPLE_ALL).split("/")
    if parts[0] == "integrity" and len(parts) > 1 and layout.is_project(parts[1]):
        return [cast("NormalizedName", parts[1])]
    return sorted(owners_of(parts[-1].removesuffix(".metadata")))


async def _own_keys(project: NormalizedName, second: Mirror) -> frozenset[Key] | None:
    """Return the keys of what a project's page has for itself; None: it cannot be read."""
    try:
        manifest = await second.pages.read_manifest(project)
        page = None if manifest is None else manifest.page
        return frozenset(map(simple_all.stored_at, keys_of(simple_all.own_files(project, page))))
    except _UNREADABLE:
        return None


def _shared(page: ProjectPage) -> frozenset[Key]:
    """Return the keys of the live files that a page of the index names."""
    publication = page.publication
    if publication is not None and not publication.stored:
        return frozenset()
    files = tuple(file for file in page.files if not simple_all.has_own(file))
    return frozenset(layout.stored_key(file) for file in files)


def _finding(key: Key, project: NormalizedName, detail: str) -> Finding:
    return Finding(Kind.DAMAGED_SIMPLE_ALL, key, project, detail)
