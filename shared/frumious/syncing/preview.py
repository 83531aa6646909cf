"""What a job would do to its project, without doing any of it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.errors import FrumiousError, explain
from frumious.model import layout
from frumious.model.advisories import NO_ADVISORIES
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.jobs import Outcome
from frumious.model.simple_all import own_files
from frumious.selection.advisories import blocked_on_page
from frumious.state.simple_all import without_cooldown
from frumious.syncing.attestations import verify_attestations
from frumious.syncing.blocking import Blocked
from frumious.syncing.comparison import compare, with_refused_files
from frumious.syncing.current_page import has_moved, read_current_page
from frumious.syncing.exclusion import read_legacy_json, select_files
from frumious.syncing.page_builder import build_page, shows_the_same
from frumious.syncing.recovery import Attempt, Recovery
from frumious.syncing.sync import read_upstream
from frumious.syncing.transfer import Transfer

if TYPE_CHECKING:
    from collections.abc import Collection

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.advisories import ProjectAdvisories
    from frumious.model.blobs import Blob
    from frumious.model.jobs import Job
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage
    from frumious.syncing.exclusion import SelectedPage


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would do: the files of releases that it would store and remove."""

    outcome: Outcome
    new_files: int = 0
    new_bytes: int = 0  # as far as upstream publishes sizes
    sizes_known: bool = True
    removed_files: int = 0
    held_back: int = 0  # files that the cooldown keeps out
    ripens: float = 0.0  # when the first of them is ripe; 0: never
    unverified: int = 0  # files with faults of their attestations
    fault: str = ""  # of the first of them
    error: str = ""  # why the project would lag


async def preview(
    job: Job, mirror: Mirror, advisories: ProjectAdvisories = NO_ADVISORIES
) -> Preview:
    """Compare a project with upstream as its job would, and write nothing.

    For a `continuation`, files that an interrupted job has stored do not count; each is looked for.
    """
    try:
        return await _preview(job, mirror, advisories)
    except FrumiousError as error:
        return Preview(Outcome.FAILED, error=explain(error))


async def _preview(job: Job, mirror: Mirror, advisories: ProjectAdvisories) -> Preview:
    project = job.project
    manifest = await mirror.pages.read_manifest(project)
    current = manifest.page if manifest is not None else None
    if current is None and job.migrating:
        current = await mirror.pages.read_html_page(project)
    files = mirrored_files(project, current)
    if mirror.selection.private.has_files(project):
        return _preview_private(project, current, mirror)
    parsed = None
    named = job.named and not mirror.selection.private.has(project)
    moved = has_moved(project, current, mirror)
    if advisories.blocker is None and (named or mirror.selection.wants(project)):
        counted = Blocked(blocked_on_page(project, current, advisories)).without(current)
        parsed = await read_upstream(Attempt(job), None if moved else counted, mirror)
    if parsed is None:
        outcome = Outcome.ABSENT if current is None else Outcome.REMOVED
        return Preview(outcome, removed_files=len(files))
    legacy = await read_legacy_json(project, parsed.page, mirror)
    known, fingerprint = None if moved else current, mirror.fingerprint(project)
    parsed = with_refused_files(parsed, known, mirror.config, fingerprint)
    chosen = select_files(job, parsed.page, legacy, mirror, advisories, known)
    if chosen.page is None:
        outcome = Outcome.EXCLUDED if current is None else Outcome.REMOVED
        return Preview(outcome, removed_files=len(files))
    selected = replace(parsed, page=chosen.page)
    current_page = await read_current_page(project, selected.page, current, mirror, moved=moved)
    change = compare(project, selected, current_page, mirror.config, fingerprint)
    transfer = Transfer.of(Attempt(job), mirror)
    verified = await verify_attestations(change, current_page, transfer, mirror, read_only=True)
    change = verified.change
    new: Collection[Blob] = change.new
    if job.continuation:
        new = [blob for blob in new if not await _is_stored(blob.key, mirror.storage)]
    built = build_page(change, {}, current_page, Recovery(job.run), mirror.config)
    early, dropped = await _preview_simple_all(project, built.page, chosen, mirror)
    if manifest is not None and shows_the_same(manifest, built.page) and not (early or dropped):
        return Preview(Outcome.UNCHANGED)
    sizes = [
        blob.expected.size
        for blob in new
        if blob.expected is not None and layout.count_files([blob.key])
    ]
    sizes += [file.size for file in early]
    return Preview(
        Outcome.QUARANTINED if built.page.quarantined else Outcome.UPDATED,
        new_files=len(sizes),
        new_bytes=sum(size or 0 for size in sizes),
        sizes_known=None not in sizes,
        removed_files=layout.count_files(keys_of(files) - keys_of(built.files)) + dropped,
        held_back=len(chosen.held_back),
        ripens=chosen.ripens,
        unverified=len(verified.faults),
        fault=next((f"{name}: {fault}" for name, fault in verified.faults.items()), ""),
        error="" if not built.refused else next(iter(built.refused.values())),
    )


async def _preview_simple_all(
    project: NormalizedName, live: ProjectPage, chosen: SelectedPage, mirror: Mirror
) -> tuple[list[File], int]:
    """Return what the index without the cooldown stores for itself, and how many files it drops.

    Files that are old enough now are none of these: the live index stores them.
    """
    if not mirror.selection.simple_all:
        return [], 0
    second = without_cooldown(mirror)
    manifest = await second.pages.read_manifest(project)
    own = own_files(project, manifest.page if manifest is not None else None)
    stored = {each.file.filename for each in own}
    anytime = () if chosen.anytime is None or live.quarantined else chosen.anytime.files
    shown = {file.filename for file in live.files}
    wanted = [file for file in anytime if file.filename not in shown]
    named = shown.union(file.filename for file in wanted)
    return [file for file in wanted if file.filename not in stored], len(stored - named)


def _preview_private(
    project: NormalizedName, current: ProjectPage | None, mirror: Mirror
) -> Preview:
    """Compare the private directory with the page by its listing; no file is read."""
    publication = current.publication if current is not None else None
    known = publication.private if publication is not None else {}
    files = mirror.selection.private.listing.files(project)
    new = [file for file in files if known.get(file.filename) != file.identity]
    names = {file.filename for file in files}
    removed = [file for file in (current.files if current else ()) if file.filename not in names]
    if not new and not removed:
        return Preview(Outcome.UNCHANGED)
    return Preview(
        Outcome.UPDATED,
        new_files=len(new),
        new_bytes=sum(file.size for file in new),
        removed_files=len(removed),
    )


async def _is_stored(key: Key, storage: Storage) -> bool:
    """Return whether a file is stored; a listing does not read it, as `head` may."""
    async for entry in storage.list(key):
        return entry.key == key
    return False
