"""One project's pages, against each other and against what is listed."""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from frumious.auditing.headers_check import wrong_headers, wrong_type
from frumious.auditing.legacy_check import check_legacy_json
from frumious.model import layout
from frumious.model.audits import Finding, Kind, NamedPage
from frumious.model.blobs import readable_files
from frumious.model.checksums import md5
from frumious.model.page_layout import age_of_version
from frumious.model.release_json import is_release_key, stored_releases
from frumious.simple import gzipped, render
from frumious.state.page_store import UnreadableManifest

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.auditing.listing import ProjectObjects
    from frumious.mirror import Mirror
    from frumious.model.blobs import MirroredFile
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.state.page_store import Manifest
    from frumious.storage.protocol import Entry


@dataclass(frozen=True, slots=True, kw_only=True)
class PageCheck:
    """What was found out about a project's pages."""

    project: NormalizedName
    has_page: bool = True  # in any form
    manifest: Manifest | None = None  # None: there is none, or it is damaged
    files: tuple[MirroredFile, ...] = ()  # that the page names, or the HTML page instead of it
    findings: tuple[Finding, ...] = ()
    candidates: tuple[Entry, ...] = ()  # that nothing on the page names

    @property
    def named_page(self) -> NamedPage | None:
        """What the root index should say of the project; without a name if nobody knows."""
        if not self.has_page:
            return None
        if self.manifest is None:
            return NamedPage(self.project, "", None, True, 0, 0)  # noqa: FBT003 (a row)
        page = self.manifest.page
        return NamedPage(
            self.project,
            page.name,
            page.serial,
            not page.quarantined,
            len(self.files),
            sum(each.file.size or 0 for each in self.files),
            page.publication.run if page.publication is not None else "",
        )


async def check_pages(objects: ProjectObjects, mirror: Mirror, *, deep: bool = False) -> PageCheck:
    """Read a project's JSON page, and compare the other objects of the project with it.

    With `deep` read them all, and thereby their headers.
    """
    project, pages = objects.project, mirror.pages
    findings: list[Finding] = []
    manifest: Manifest | None = None
    forms = {*pages.layout.keys(project), pages.layout.manifest(project)}
    has_page = not forms.isdisjoint(objects.entries)
    try:
        manifest = await pages.read_manifest(project)
        page = manifest.page if manifest is not None else None
        if page is None and has_page:
            findings.append(Finding(Kind.MISSING_PAGE, pages.layout.manifest(project), project))
    except UnreadableManifest as error:
        findings.append(Finding(Kind.UNREADABLE_PAGE, error.key, project, _brief(error)))
        page = None
    files = readable_files(project, page)
    if files is None and manifest is not None:
        findings.append(Finding(Kind.UNREADABLE_PAGE, manifest.key, project, "a file's name"))
        page = manifest = None
    if page is None:
        files = readable_files(project, await pages.read_first_page(project))
    files = files or ()
    if manifest is not None:
        findings += await _compare(manifest, objects, mirror, deep=deep)
        findings += await check_legacy_json(project, manifest, objects.entries, mirror, deep=deep)
    provenance = {blob.key for each in files for blob in each.blobs if blob.expected is None}
    findings += [
        Finding(Kind.MISSING_PROVENANCE, key, project)
        for key in sorted(provenance - objects.entries.keys())
    ]
    known = {*forms, *provenance, *(layout.legacy_json(project) if has_page else ())}
    known |= stored_releases(project, page).keys()
    for former in await pages.former_layouts():
        known |= {*former.keys(project), former.manifest(project)}
    unreadable = has_page and manifest is None and not files
    return PageCheck(
        project=project,
        has_page=has_page or manifest is not None,
        manifest=manifest,
        files=files,
        findings=tuple(findings),
        candidates=tuple(
            entry
            for key, entry in objects.entries.items()
            if key not in known
            and not is_placeholder(key)
            and age_of_version(key) is None
            and not (unreadable and key.startswith(layout.PROVENANCE))
            and not (has_page and page is None and is_release_key(key, project))
        ),
    )


async def _compare(
    manifest: Manifest, objects: ProjectObjects, mirror: Mirror, *, deep: bool
) -> list[Finding]:
    """Compare the pages that were published with the JSON page.

    Of what another program published, or this one by another configuration, only the compressed
    variant is compared, which is a copy in any case: a job will publish the others anew.
    """
    project, pages = objects.project, mirror.pages.layout
    publication = manifest.page.publication
    key = pages.manifest(project)
    if manifest.key != key:
        return []
    comparer = _Comparer(manifest, objects.entries, mirror, deep)
    if publication is None or publication.selection != mirror.fingerprint(project):
        return await _compare_variant(comparer)
    findings: list[Finding] = []
    page = render.as_published(manifest.page, mirror.config.root_uri)
    if render.project_page_json(page) != manifest.stored.body:
        detail = "its bytes are not those that its content has"
        findings.append(Finding(Kind.WRONG_PAGE, key, project, detail))
    for other, body in other_pages(page, key, manifest.stored.body, mirror):
        if (problem := await comparer.problem(other, body)) is not None:
            findings.append(problem)
    if detail := wrong_headers(key, manifest.stored.headers):
        findings.append(Finding(Kind.WRONG_TYPE, key, project, detail))
    return findings


async def _compare_variant(comparer: _Comparer) -> list[Finding]:
    pages, manifest = comparer.mirror.pages.layout, comparer.manifest
    variant = pages.variant(manifest.key)
    if not pages.has_json_variants or variant not in comparer.entries:
        return []
    problem = await comparer.problem(variant, manifest.stored.body)
    return [] if problem is None else [problem]


def other_pages(
    page: ProjectPage, key: Key, body: bytes, mirror: Mirror
) -> Iterator[tuple[Key, bytes]]:
    """Yield the pages that are published before the JSON page at `key`, in their order."""
    pages, config = mirror.pages.layout, mirror.config
    project = pages.project_of(key) or ""
    html = render.project_page_html(page, config.digest_name) if pages.html else b""
    for form in pages.forms:
        if pages.page(project, form) != key:
            yield pages.page(project, form), html
    publication = page.publication
    if pages.has_json_variants and publication is not None and publication.compressed:
        yield pages.variant(key), body


@dataclass(frozen=True, slots=True)
class _Comparer:
    """Compares stored pages with what they should be: by the listing, where it is enough."""

    manifest: Manifest
    entries: Mapping[Key, Entry]
    mirror: Mirror
    deep: bool

    async def problem(self, key: Key, body: bytes) -> Finding | None:
        """Return what is wrong with a page."""
        project = self.mirror.pages.layout.project_of(self.manifest.key) or ""
        entry = self.entries.get(key)
        if entry is None:
            return Finding(Kind.MISSING_PAGE, key, project)
        compressed = key == self.mirror.pages.layout.variant(self.manifest.key)
        expected = gzipped.compress(body) if compressed else body
        wrong = wrong_type(entry)
        if self.deep or not self._is_listed(entry, expected):
            stored = await self.mirror.storage.read(key)
            if stored is None:
                return Finding(Kind.MISSING_PAGE, key, project)
            if stored.body != expected and not (compressed and is_variant(stored.body, body)):
                detail = "it is not what the JSON page says"
                return Finding(Kind.WRONG_PAGE, key, project, detail)
            wrong = wrong_headers(key, stored.headers) or wrong
        return Finding(Kind.WRONG_TYPE, key, project, wrong) if wrong else None

    def _is_listed(self, entry: Entry, body: bytes) -> bool:
        """Return whether the listing proves that an object has these bytes.

        Its etag does where the etag of the JSON page, which was read, is an MD5.
        """
        manifest = self.entries.get(self.manifest.key)
        if entry.size != len(body) or manifest is None:
            return False
        return manifest.has_md5(md5(self.manifest.stored.body)) and entry.has_md5(md5(body))


def is_placeholder(key: Key) -> bool:
    """Return whether an object is one that bandersnatch puts into each folder of a bucket."""
    return layout.filename(key) == ".s3keep"


def is_variant(stored: bytes, body: bytes) -> bool:
    """Return whether stored bytes are the page, compressed by another version of zlib."""
    try:
        return gzipped.decompress(stored, len(body) + 1) == body
    except zlib.error:
        return False


def _brief(error: Exception) -> str:
    return f"{str(error).rpartition(': ')[2]:.200}"
