"""What a job would do to its project, without doing any of it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frumious.errors import FrumiousError, explain
from frumious.model import layout
from frumious.model.blobs import keys_of, mirrored_files
from frumious.model.jobs import Outcome
from frumious.syncing.comparison import CurrentPage, compare
from frumious.syncing.exclusion import read_legacy_json, select_files
from frumious.syncing.page_builder import build_page, shows_the_same
from frumious.syncing.recovery import Attempt, Recovery
from frumious.syncing.sync import read_upstream, relevant_removed_files

if TYPE_CHECKING:
    from collections.abc import Collection

    from frumious.mirror import Mirror
    from frumious.model.blobs import Blob
    from frumious.model.jobs import Job
    from frumious.model.types import Key
    from frumious.storage.protocol import Storage


@dataclass(frozen=True, slots=True)
class Preview:
    """What a job would do: the files of releases that it would store and remove."""

    outcome: Outcome
    new_files: int = 0
    new_bytes: int = 0  # as far as upstream publishes sizes
    sizes_known: bool = True
    removed_files: int = 0
    error: str = ""  # why the project would lag


async def preview(job: Job, mirror: Mirror) -> Preview:
    """Compare a project with upstream as its job would, and write nothing.

    For a `continuation`, files that an interrupted job has stored do not count; each is looked for.
    """
    try:
        return await _preview(job, mirror)
    except FrumiousError as error:
        return Preview(Outcome.FAILED, error=explain(error))


async def _preview(job: Job, mirror: Mirror) -> Preview:
    project = job.project
    manifest = await mirror.pages.read_manifest(project)
    current = manifest.page if manifest is not None else None
    if current is None and job.migrating:
        current = await mirror.pages.read_html_page(project)
    files = mirrored_files(project, current)
    parsed = None
    named = job.named and not mirror.selection.private.has(project)
    if named or mirror.selection.wants(project):
        parsed = await read_upstream(Attempt(job), current, mirror)
    if parsed is None:
        outcome = Outcome.ABSENT if current is None else Outcome.REMOVED
        return Preview(outcome, removed_files=len(files))
    legacy = await read_legacy_json(project, parsed.page, mirror)
    page = select_files(job, parsed.page, legacy, mirror)
    if page is None:
        outcome = Outcome.EXCLUDED if current is None else Outcome.REMOVED
        return Preview(outcome, removed_files=len(files))
    selected = replace(parsed, page=page)
    removed = await relevant_removed_files(project, selected.page, current, mirror.storage)
    current_page = CurrentPage(current, files, removed)
    fingerprint = mirror.fingerprint(project)
    change = compare(project, selected, current_page, mirror.config, fingerprint)
    new: Collection[Blob] = change.new
    if job.continuation:
        new = [blob for blob in new if not await _is_stored(blob.key, mirror.storage)]
    built = build_page(change, {}, files, Recovery(job.run), mirror.config)
    if manifest is not None and shows_the_same(manifest, built.page):
        return Preview(Outcome.UNCHANGED)
    sizes = [
        blob.expected.size
        for blob in new
        if blob.expected is not None and layout.count_files([blob.key])
    ]
    return Preview(
        Outcome.QUARANTINED if built.page.quarantined else Outcome.UPDATED,
        new_files=len(sizes),
        new_bytes=sum(size or 0 for size in sizes),
        sizes_known=None not in sizes,
        removed_files=layout.count_files(keys_of(files) - keys_of(built.files)),
        error="" if not built.refused else next(iter(built.refused.values())),
    )


async def _is_stored(key: Key, storage: Storage) -> bool:
    """Return whether a file is stored; a listing does not read it, as `head` may."""
    async for entry in storage.list(key):
        return entry.key == key
    return False
