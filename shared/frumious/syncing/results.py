"""What a job achieved, by the page that it leaves. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model.blobs import mirrored_files
from frumious.model.jobs import Outcome, Result
from frumious.model.types import Key
from frumious.syncing.feed_digests import with_digests
from frumious.syncing.page_builder import BuiltPage

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.model.blobs import MirroredFile
    from frumious.model.pages import ProjectPage
    from frumious.syncing.page_publisher import PagePublisher


def unchanged_result(
    publisher: PagePublisher, current: ProjectPage | None, *, report: bool = False
) -> Result:
    """Return that the mirror's page stays as it is; `report` as for `result_of`."""
    if current is None:
        return Result(project=publisher.project, outcome=Outcome.ABSENT)
    files = mirrored_files(publisher.project, current)
    return result_of(publisher, BuiltPage(current, files, {}), report=report)


def result_of(
    publisher: PagePublisher,
    built: BuiltPage,
    *,
    report: bool,
    before: Iterable[MirroredFile] = (),
) -> Result:
    """Return what the page says; with `report` also what the job that published it changed."""
    page, publication = built.page, built.page.publication
    outcome, added, removed = Outcome.UNCHANGED, frozenset[Key](), tuple[Key, ...]()
    if publication is not None and report:
        outcome = Outcome.QUARANTINED if page.quarantined else Outcome.UPDATED
        added, removed = frozenset(publication.added), publication.removed
    result = Result(
        project=publisher.project,
        outcome=outcome,
        name=page.name,
        serial=page.serial,
        listed=not page.quarantined,
        files=len(built.files),
        bytes_=sum(each.file.size or 0 for each in built.files),
        added=tuple(sorted(added)),
        added_bytes=sum(each.file.size or 0 for each in built.files if each.key in added),
        removed=removed,
        error=built.error,
    )
    return with_digests(result, page, (*before, *built.files), publisher.config)
