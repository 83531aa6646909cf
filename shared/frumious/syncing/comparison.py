"""What a job has to do: upstream's project page against the mirror's. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import unquote

from msgspec.structs import replace

from frumious.errors import FrumiousError, Reason, explain
from frumious.model import layout
from frumious.model.blobs import MirroredFile
from frumious.model.checksums import strong_hashes
from frumious.model.jobs import AllowedRemoval
from frumious.selection.filenames import owners_of
from frumious.syncing.known_bytes import keep_known_bytes
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.blobs import Blob
    from frumious.model.checksums import ExpectedContent
    from frumious.model.jobs import Job
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Key
    from frumious.selection.selection import Selection
    from frumious.simple.values import ParsedPage
    from frumious.state.removed_files import RemovedFiles

_MAX_MINOR: Final = 4  # of the API versions 1.x that the mirror implements
_UNSUPPORTED: Final = frozenset({"namespaces"})  # keys that belong to later versions
_MAX_REFUSED_NAME: Final = 255  # characters of a refused file's name that the page keeps


class MassLoss(FrumiousError):
    """Upstream's page lacks most of the files that the mirror has, and no event says why."""

    reason = Reason.FILES_LOST


class CurrentPage(Value, frozen=True):
    """A project page of the mirror's; None: it has none."""

    page: ProjectPage | None
    files: tuple[MirroredFile, ...]  # that are stored
    removed: RemovedFiles  # that it named once, if upstream names one of them
    # The files of a page that came from upstream when the project became private, or the reverse:
    # none of them stays, and none counts as known.
    foreign: tuple[MirroredFile, ...] = ()
    damaged: bool = False  # HTML in place of a damaged JSON page: its files may be damaged as well

    @property
    def fingerprint(self) -> str | None:
        """The fingerprint of the configuration that shaped the page; None: unknown."""
        publication = self.page.publication if self.page is not None else None
        return publication.selection if publication is not None else None


class NothingSelected(FrumiousError):
    """The configuration selects none of a project's files, although it selects the project."""

    reason = Reason.NOTHING_SELECTED


class Change(Value, frozen=True, kw_only=True):
    """What brings the mirror's project page to upstream's."""

    page: ProjectPage  # upstream's; its files are `files`
    files: tuple[MirroredFile, ...]  # what is wanted of them, as the mirror advertises it
    fingerprint: str  # of the configuration that shapes the page
    etag: str  # of upstream's page
    refused: Mapping[str, str]  # filename -> why it is not what upstream has
    new: tuple[Blob, ...]
    identities: Mapping[str, str] | None  # as in ParsedPage

    def with_sha256(self, computed: Mapping[Key, str]) -> Change:
        """Return the same change, with the sha256 of files for which upstream has none."""
        return replace(self, files=tuple(each.with_sha256(computed) for each in self.files))


def lost_files(page: ProjectPage | None, current: ProjectPage | None) -> list[File]:
    """Return the files on the `current` page that upstream's page does not name."""
    named = {file.filename for file in page.files} if page is not None else set()
    files = current.files if current is not None else ()
    return [file for file in files if file.filename not in named]


def check_losses(
    job: Job, page: ProjectPage | None, current: ProjectPage | None, earlier: int = 0
) -> None:
    """Make sure that a fault of upstream's does not empty the mirror.

    `page` is upstream's; None where upstream says that there is no such project. `earlier` is how
    many files the project has lost lately, also without an event.

    Raises:
        MassLoss: the project, or more than half of the files on the `current` page, would be
            deleted, and no event of upstream's allows that.
    """
    if current is None:
        return
    if page is None:
        if job.allowed_removal < AllowedRemoval.PROJECT:
            msg = (
                f"upstream no longer has {job.project!r}, and no event reports its removal;"
                f" {_confirmation(job)}"
            )
            raise MassLoss(msg)
        return
    if job.allowed_removal > AllowedRemoval.NOTHING or page.quarantined:
        return
    lost, files = len(lost_files(page, current)), len(current.files)
    if lost and (lost + earlier) * 2 > files + earlier:
        lately = f", after {earlier} others in some days" if earlier else ""
        msg = (
            f"upstream no longer names {lost} of {files} files of {job.project!r}{lately},"
            f" and no event reports a removal; {_confirmation(job)}"
        )
        raise MassLoss(msg)


def _confirmation(job: Job) -> str:
    return f"'frumious sync {job.project} --may-lose' confirms that (in AWS: may_lose)"


def check_selection(
    project: NormalizedName,
    page: ProjectPage,
    selected: ProjectPage | None,
    current: ProjectPage | None,
    selection: Selection,
) -> None:
    """Make sure that a mistake in a version specifier does not publish an empty page.

    `page` is upstream's, `selected` what the configuration selects of it, the cooldown aside. A
    blocklist may select nothing of a project whose files the mirror never had.

    Raises:
        NothingSelected: upstream has files, and the configuration selects none of them.
    """
    if (selected is not None and selected.files) or not page.files or page.quarantined:
        return
    stored = current is not None and bool(current.files)
    if selection.has_versions_of(project, allowed=not stored):
        msg = (
            f"the version specifiers of {project!r} in [allowlist] and [blocklist] select none of"
            f" upstream's {len(page.files)} files; correct them, or exclude the project by its name"
        )
        raise NothingSelected(msg)


def compare(
    project: NormalizedName,
    parsed: ParsedPage,
    current_page: CurrentPage,
    config: Config,
    fingerprint: str,
) -> Change:
    """Compare what is wanted with what the mirror has, by key and digest.

    `parsed` is upstream's page after selection; its file URLs are absolute. `fingerprint`
    identifies the configuration that shapes the page.
    """
    current = current_page.files if config.release_files else ()
    quarantined = parsed.page.quarantined
    files_upstream = () if quarantined else parsed.page.files
    safe, unsafe = _safe_files(project, files_upstream, current, config)
    invalid = parsed.refused
    if parsed.identities is None:
        invalid = {name: Reason.UPSTREAM_INVALID.explain(why) for name, why in invalid.items()}
    refused = {} if quarantined else {**invalid, **unsafe}
    removed = current_page.removed.hashes if config.release_files else {}
    files, changed = keep_known_bytes(project, safe, current, removed, config)
    # By another configuration, those that nobody has selected may no longer be wanted.
    kept = refused if current_page.fingerprint == fingerprint else unsafe
    names = {mirrored.file.filename for mirrored in files}
    files += [
        mirrored
        for mirrored in current
        if mirrored.file.filename in kept and mirrored.file.filename not in names
    ]
    keys = {mirrored.key for mirrored in files}
    advertised = tuple(_as_mirrored(project, mirrored, keys, config) for mirrored in files)
    wanted = {blob.key: blob for mirrored in advertised for blob in mirrored.blobs}
    verified = () if current_page.damaged else current
    stored = {blob.key: blob.expected for mirrored in verified for blob in mirrored.blobs}
    new = (
        blob
        for blob in wanted.values()
        if blob.key not in stored or _is_unverified(blob.expected, stored[blob.key])
    )
    return Change(
        page=_as_claimed(parsed.page, advertised),
        files=advertised,
        fingerprint=fingerprint,
        etag=parsed.etag,
        refused={**refused, **changed},
        new=tuple(new) if config.release_files else (),
        identities=parsed.identities,
    )


def with_refused_files(
    parsed: ParsedPage, current: ProjectPage | None, config: Config, fingerprint: str
) -> ParsedPage:
    """Return upstream's page with the mirror's entries of known files that it names in a wrong way.

    Where the configuration has changed since the `current` page, filters have to decide on them as
    on all others: else a faulty upstream would take them away at that moment.
    """
    publication = current.publication if current is not None else None
    is_stored = publication is None or publication.stored
    if current is None or not parsed.refused or is_stored is not config.release_files:
        return parsed
    if publication is not None and publication.selection == fingerprint:
        return parsed
    names = parsed.refused.keys() - {file.filename for file in parsed.page.files}
    known = (file for file in current.files if file.filename in names)
    return replace(parsed, page=replace(parsed.page, files=(*parsed.page.files, *known)))


def _safe_files(
    project: NormalizedName, files: Iterable[File], current: Iterable[MirroredFile], config: Config
) -> tuple[list[MirroredFile], dict[str, str]]:
    """Separate files that can be stored, each at a key of its own, from those that cannot.

    Files that other projects own by their names are neither. No installer uses them, and they are
    not this project's to keep: their owner may delete them.
    """
    safe: list[MirroredFile] = []
    refused: dict[str, str] = {}
    stored = {mirrored.file.filename: mirrored for mirrored in current}
    for file in files:
        if (known := stored.get(file.filename)) is not None and known.file == file:
            safe.append(known)  # an entry of the mirror's own
            continue
        owners = owners_of(file.filename)
        if owners and project not in owners:
            continue
        if config.release_files and _too_weak(file.hashes, config):
            names = ", ".join(sorted(file.hashes))
            refused[file.filename[:_MAX_REFUSED_NAME]] = Reason.UPSTREAM_INVALID.explain(
                f"only weak hashes ({names:.80}) can verify {file.filename!r:.120};"
                " allow-weak-hashes = true accepts them"
            )
            continue
        try:
            layout.check_reserved(file.filename)
            safe.append(MirroredFile.of(project, file))
        except layout.UnsafeName as error:
            refused[file.filename[:_MAX_REFUSED_NAME]] = explain(error)
    return safe, refused


def _as_claimed(page: ProjectPage, files: Iterable[MirroredFile]) -> ProjectPage:
    """Return the page without its files, with the API version that the mirror can claim.

    From 1.1 on a page has to list versions and sizes (PEP 700), which no HTML page does, whatever
    version it claims. 1.4 is the newest: 1.5 needs the routes of PEP 752, and who lacks them must
    not have its key either. HTML stays at 1.4 for ever (PEP 833).
    """
    sizes = (mirrored.file.size for mirrored in files)
    complete = page.versions is not None and None not in sizes
    minor = min(int(page.api_version.partition(".")[2]), _MAX_MINOR) if complete else 0
    extra = {key: value for key, value in page.extra.items() if key not in _UNSUPPORTED}
    return replace(page, files=(), api_version=f"1.{minor}", extra=extra)


def _as_mirrored(
    project: NormalizedName, mirrored: MirroredFile, keys: Container[Key], config: Config
) -> MirroredFile:
    """Advertise what belongs to a file only where it is mirrored.

    Core metadata is, where it can be verified and its key is not another file's. That is so if the
    file can only be this project's: the file's key depends on its content, and the metadata's key
    on the file's alone. A GPG signature is not.
    """
    file = mirrored.file
    gpg_sig: bool | None = False if file.gpg_sig else file.gpg_sig
    if config.release_files:
        verifiable = (
            config.core_metadata
            and not isinstance(file.core_metadata, bool)
            and not _too_weak(file.core_metadata, config)
        )
        metadata = (
            verifiable
            and owners_of(file.filename) == {project}
            and mirrored.metadata_key not in keys
        )
        core_metadata = file.core_metadata if metadata else False
    elif unquote(link_to(mirrored, config)) == unquote(file.url):  # upstream's own
        gpg_sig = file.gpg_sig
        core_metadata = file.core_metadata if config.core_metadata else False
    else:
        core_metadata = False
    if core_metadata is file.core_metadata and gpg_sig is file.gpg_sig:
        return mirrored
    return mirrored.showing(replace(file, core_metadata=core_metadata, gpg_sig=gpg_sig))


def _too_weak(hashes: Mapping[str, str], config: Config) -> bool:
    return not config.allow_weak_hashes and not strong_hashes(hashes)


def link_to(mirrored: MirroredFile, config: Config) -> str:
    """Return where readers get a file; a mirror without files links to upstream's.

    Without its query, which may be a signature for the mirror alone.
    """
    if config.release_files or config.root_uri:
        return layout.file_url(mirrored.key, config.root_uri)
    return mirrored.file.url.partition("?")[0]


def _is_unverified(wanted: ExpectedContent | None, stored: ExpectedContent | None) -> bool:
    """Return whether what is stored is not known to have the sha256 that is wanted.

    That includes a file whose sha256 nobody knows yet: it is computed when the file is fetched.
    """
    if wanted is None or stored is None:
        return False
    return wanted.sha256 is None or wanted.sha256 != stored.sha256
