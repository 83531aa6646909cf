"""What a job publishes: the compared page, without what could not be stored. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.pages import File, Publication
from frumious.syncing.blobs import blobs, link_to, stored_files, stored_keys

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.jobs import Job
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key, RunId
    from frumious.syncing.comparison import Change


@dataclass(frozen=True, slots=True)
class PreviousPublication:
    """What the last job of a project did, as its page or its tombstone says."""

    run: RunId
    added: Collection[Key]
    removed: Collection[Key]


def build_page(  # noqa: PLR0913, PLR0917 - what it is made of
    change: Change,
    failed: Mapping[Key, str],
    job: Job,
    held: ProjectPage | None,
    config: Config,
    untold: PreviousPublication | None,
) -> ProjectPage:
    """Return the page that the mirror publishes: without what could not be stored.

    `failed` says why blobs were not stored. `untold` is what an earlier job did, and perhaps
    nobody has heard of.
    """
    files = tuple(_published_files(job.project, change.page.files, failed, held, config))
    mirrored = files if config.release_files else ()
    here = {blob.key for file in mirrored for blob in blobs(job.project, file)}
    added = {blob.key for blob in change.new}
    removed = {*(stored_keys(job.project, held) if held is not None else ())}
    removed.update(added - failed.keys())  # what goes with a file that could not be stored
    if untold is not None:
        added.update(untold.added)
        removed.update(untold.removed)
    return replace(
        change.page,
        files=files,
        publication=Publication(
            run=job.run,
            selection=change.fingerprint,
            etag=change.etag,
            added=tuple(sorted(added & here)),
            removed=tuple(sorted(removed - here)),
            refused={
                **change.refused,
                **{key.removeprefix("web/"): reason for key, reason in failed.items()},
            },
            stored=config.release_files,
        ),
    )


def _published_files(
    project: NormalizedName,
    files: Iterable[File],
    failed: Mapping[Key, str],
    held: ProjectPage | None,
    config: Config,
) -> Iterator[File]:
    before = {file.filename: file for file in stored_files(held)} if held is not None else {}
    for file in files:
        key = layout.file_key(file)
        if key in failed:
            old = before.get(file.filename)
            if old is not None:  # what upstream has of it now is not to be had
                moved = layout.file_key(old) != key  # else its metadata may be the new one's
                yield replace(
                    old,
                    url=layout.file_url(layout.file_key(old), config.root_uri),
                    core_metadata=old.core_metadata if moved else False,
                )
            continue
        without = layout.metadata_key(key) in failed
        yield replace(
            file,
            url=link_to(file, key, config),
            core_metadata=False if without else file.core_metadata,
            provenance=_published_provenance(project, file, failed, config),
        )


def _published_provenance(
    project: NormalizedName, file: File, failed: Mapping[Key, str], config: Config
) -> str | None:
    """Return the provenance's address: the mirror's own where its address is configured.

    PEP 740 asks for a whole address, so that it stays upstream's otherwise.
    """
    if file.provenance is None or not config.release_files:
        return file.provenance
    key = layout.provenance_key(project, file)
    if key in failed:
        return None
    return layout.file_url(key, config.root_uri) if config.root_uri else file.provenance
