"""What a job has to do: upstream's project page against the mirror's. Pure."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.checksums import DIGEST_LENGTHS, ExpectedContent
from frumious.model.jobs import AllowedRemoval
from frumious.syncing.blobs import Blob, blobs, link_to, stored_files

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.jobs import Job
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key
    from frumious.simple.values import ParsedPage


_LONGEST_TOLD: Final = 255  # characters of a refused file's name
_LARGEST_METADATA: Final = 16 * 1024**2  # bytes; upstream does not say how many there are


class MassLoss(FrumiousError):
    """Upstream's page lacks most of the files that the mirror has, and no event says why."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Change:
    """What brings the mirror's project page to upstream's."""

    page: ProjectPage  # upstream's, with only what is wanted
    fingerprint: str  # of the configuration that shapes the page
    etag: str  # of upstream's page
    refused: Mapping[str, str]  # filename -> why it is not what upstream has
    new: tuple[Blob, ...]


def check_losses(job: Job, page: ProjectPage | None, held: ProjectPage | None) -> None:
    """Make sure that a glitch of upstream's does not empty the mirror.

    `page` is all that upstream says; None where it says that there is no such project.

    Raises:
        MassLoss: the project, or more than half of its held files, would be gone, and
            upstream told of no such loss.
    """
    if held is None:
        return
    if page is None:
        if job.allowed_removal < AllowedRemoval.PROJECT:
            msg = (
                f"upstream no longer has {job.project!r}, and no event tells of its removal;"
                " plan the project by name with may_lose to agree"
            )
            raise MassLoss(msg)
        return
    if job.allowed_removal or page.quarantined:
        return
    named = {file.filename for file in page.files}
    lost = sum(file.filename not in named for file in held.files)
    if lost * 2 > len(held.files):
        msg = (
            f"upstream no longer names {lost} of {len(held.files)} files of {job.project!r},"
            " and no event tells of a removal; plan the project by name with may_lose to agree"
        )
        raise MassLoss(msg)


def compare(
    project: NormalizedName,
    parsed: ParsedPage,
    held: ProjectPage | None,
    config: Config,
    fingerprint: str,
) -> Change:
    """Compare what is wanted with what the mirror holds, by key and digest.

    `parsed` is upstream's page after selection; its file URLs are absolute. `fingerprint` is of
    the configuration that shapes the page.
    """
    if held is not None:  # of another configuration only what is here counts
        held = replace(held, files=stored_files(held) if config.release_files else ())
    quarantined = parsed.page.quarantined
    safe, unsafe = _safe_files(project, () if quarantined else parsed.page.files, held)
    refused = {} if quarantined else {**parsed.refused, **unsafe}
    kept, changed = _keep_changed_files(safe, held, config)
    there_already = {file.filename for file in kept}
    kept += [
        file
        for file in _keep_refused_files(refused, held, fingerprint)
        if file.filename not in there_already
    ]
    places = {layout.file_key(file) for file in kept}
    advertised = tuple(_as_mirrored(file, places, config) for file in kept)
    mirrored = advertised if config.release_files else ()
    wanted = {blob.key: blob for file in mirrored for blob in blobs(project, file)}
    there = {
        blob.key: blob.expected
        for file in (held.files if held is not None else ())
        for blob in blobs(project, file)
    }
    return Change(
        page=replace(
            parsed.page, files=advertised, api_version=_api_version(parsed.page, advertised)
        ),
        fingerprint=fingerprint,
        etag=parsed.etag,
        refused={**refused, **changed},
        new=tuple(
            blob
            for blob in wanted.values()
            if blob.key not in there or _differ(blob.expected, there[blob.key])
        ),
    )


def _safe_files(
    project: NormalizedName, files: Iterable[File], held: ProjectPage | None
) -> tuple[list[File], dict[str, str]]:
    """Tell files that can be stored, each at a place of its own, from those that cannot."""
    storable, refused = [], {}
    for file in files:
        try:
            for _ in blobs(project, file):
                pass
        except layout.UnsafeName as error:
            refused[file.filename[:_LONGEST_TOLD]] = str(error)
        else:
            storable.append(file)
    described = (*storable, *(held.files if held is not None else ()))
    taken = {
        layout.metadata_key(layout.file_key(file))
        for file in described
        if not isinstance(file.core_metadata, bool)
    }
    safe = []
    for file in storable:
        if layout.file_key(file) in taken:
            refused[file.filename] = f"its place is that of the .metadata of {file.filename[:-9]!r}"
        else:
            safe.append(file)
    return safe, refused


def _keep_changed_files(
    files: Iterable[File], held: ProjectPage | None, config: Config
) -> tuple[list[File], dict[str, str]]:
    """Keep the held file where upstream has other bytes under its name, unless that is allowed.

    Upstream never does that by itself: whoever pinned the old hash must go on getting it.
    """
    before = {file.filename: file for file in held.files} if held is not None else {}
    kept, changed = [], {}
    for file in files:
        old = before.get(file.filename, file)
        names = DIGEST_LENGTHS.keys() & file.hashes.keys() & old.hashes.keys()
        same = all(file.hashes[name] == old.hashes[name] for name in names)
        if same or config.allow_changed_files:
            kept.append(file)
        else:
            kept.append(replace(old, yanked=file.yanked))
            changed[file.filename] = (
                f"upstream has other bytes under the name {file.filename!r} than before;"
                " allow-changed-files = true takes them"
            )
    return kept, changed


def _keep_refused_files(
    refused: Mapping[str, str], held: ProjectPage | None, fingerprint: str
) -> list[File]:
    """Keep what the mirror has of files that upstream now describes in a way that is none."""
    if held is None or held.publication is None:
        return []
    if held.publication.selection != fingerprint:
        return []  # nobody can say whether they are still wanted
    return [file for file in held.files if file.filename in refused]


def _api_version(page: ProjectPage, files: Iterable[File]) -> str:
    """Return the API version that the mirror's page can claim.

    From 1.1 on it has to list versions and sizes (PEP 700), which nobody can read off an HTML
    page, whatever version that one claims.
    """
    complete = page.versions is not None and all(file.size is not None for file in files)
    return page.api_version if complete else "1.0"


def _as_mirrored(file: File, places: Container[Key], config: Config) -> File:
    """Advertise what goes with a file only where it is mirrored.

    Core metadata is, where it can be verified and its place is not another file's; a GPG
    signature is not.
    """
    if not config.release_files:
        return _as_upstream_has_it(file, config)
    verifiable = config.core_metadata and not isinstance(file.core_metadata, bool)
    free = layout.metadata_key(layout.file_key(file)) not in places
    return replace(
        file,
        core_metadata=file.core_metadata if verifiable and free else False,
        gpg_sig=False if file.gpg_sig else file.gpg_sig,
    )


def _as_upstream_has_it(file: File, config: Config) -> File:
    """Advertise what lies beside a file where the link leads to upstream's own."""
    link = link_to(file, layout.file_key(file), config)
    if unquote(link) == unquote(file.url):
        return file if config.core_metadata else replace(file, core_metadata=False)
    return replace(file, core_metadata=False, gpg_sig=False if file.gpg_sig else file.gpg_sig)


def _differ(wanted: ExpectedContent | None, there: ExpectedContent | None) -> bool:
    """Say whether two digests disagree; those of different algorithms do not agree either."""
    if wanted is None or there is None:
        return False
    return (wanted.algorithm, wanted.digest) != (there.algorithm, there.digest)
