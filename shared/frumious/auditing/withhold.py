"""Takes what is damaged from a project's page, so that the next job fetches it as a new file.

A page never names what is not stored and verified. So the page goes first, then the wrong bytes,
and an ordinary job compares the page with upstream's. What upstream no longer has stays away.
"""

from __future__ import annotations

import logging
import zlib
from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.auditing.confirm import check_blob
from frumious.auditing.page_check import other_pages
from frumious.concurrency import in_groups
from frumious.model import layout
from frumious.model.blobs import keys_of, mirrored_files, readable_files, same_bytes
from frumious.simple import gzipped, parse_html, parse_json, render
from frumious.simple.values import InvalidPage, InvalidValue, check_name
from frumious.state.objects import set_aside
from frumious.state.page_store import UnreadableManifest
from frumious.state.removed_files import keep_removed_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.blobs import MirroredFile
    from frumious.model.pages import ProjectPage
    from frumious.model.types import Key
    from frumious.state.page_store import Manifest

logger = logging.getLogger(__name__)


async def withhold(
    project: NormalizedName,
    damaged: Collection[Key],
    wrong: Collection[Key],
    mirror: Mirror,
    *,
    deep: bool,
) -> None:
    """Publish a project's pages without what is damaged, then delete the `wrong` objects of it.

    All pages are written from the JSON page, but for those that a killed job has left newer: these
    keep what they show apart from the damage. A project without a readable JSON page is left to
    its job. With `deep`, all bytes are read of what nobody has looked at.

    Raises:
        Conflict: a job has published the project since.
    """
    manifest, remade = await _read_manifest(project, mirror)
    if manifest is None:
        return
    if remade:  # nobody has looked at the files that it names
        unseen = await _find_damaged(project, manifest, mirror, deep=deep)
        damaged, wrong = unseen.union(damaged), unseen.union(wrong)
    interrupted = await _is_interrupted(project, manifest, mirror)
    if damaged or not interrupted:
        await _publish(project, manifest, damaged, mirror, interrupted=interrupted)
    if wrong:
        await mirror.storage.delete(sorted(wrong))


async def _is_interrupted(project: NormalizedName, manifest: Manifest, mirror: Mirror) -> bool:
    first_page = await mirror.pages.read_first_page(project)
    return first_page is not None and (first_page.serial or 0) > (manifest.page.serial or 0)


async def _find_damaged(
    project: NormalizedName, manifest: Manifest, mirror: Mirror, *, deep: bool
) -> frozenset[Key]:
    """Return what a page names, and what is missing or wrong."""
    blobs = [blob for each in mirrored_files(project, manifest.page) for blob in each.blobs]
    findings = await in_groups(check_blob(project, blob, mirror, deep=deep) for blob in blobs)
    return frozenset(each.key for each in findings if each is not None and each.kind.is_content)


async def _read_manifest(project: NormalizedName, mirror: Mirror) -> tuple[Manifest | None, bool]:
    """Return the JSON page, and whether it was missing or damaged and is made of another one."""
    pages, storage = mirror.pages, mirror.storage
    etag: str | None = None
    try:
        manifest = await pages.read_manifest(project)
        if manifest is not None and readable_files(project, manifest.page) is not None:
            return manifest, False
        key = pages.layout.manifest(project)
        if manifest is not None:  # a job could not read the names of its files
            await set_aside(manifest.key, manifest.stored, InvalidPage("unsafe names"), storage)
            await storage.delete([manifest.key])
    except UnreadableManifest as error:
        key, etag = error.key, error.stored.etag
    body = await _read_variant(project, key, mirror) or await _render_html_page(project, mirror)
    if body is None:
        return None, False  # a job finds the stored files by their keys
    if etag is None:
        await storage.create(key, body)
    else:
        await storage.write(key, body, replacing=etag)
    return await pages.read_manifest(project), True


async def _read_variant(project: NormalizedName, key: Key, mirror: Mirror) -> bytes | None:
    """Return the compressed variant of a JSON page, if it is a page."""
    pages, stored = mirror.pages.layout, None
    if pages.has_json_variants:
        stored = await mirror.storage.read(pages.variant(key))
    if stored is None:
        return None
    try:
        body = gzipped.decompress(stored.body)
        page = parse_json.manifest(body, key)
        check_name(page.name, project)
    except (InvalidPage, InvalidValue, zlib.error):
        return None
    return None if readable_files(project, page) is None else body


async def _render_html_page(project: NormalizedName, mirror: Mirror) -> bytes | None:
    """Return the HTML page as JSON, with what it knows of the project's files."""
    page = await mirror.pages.read_html_page(project)
    if page is None or readable_files(project, page) is None:
        return None
    return render.project_page_json(render.as_published(page, mirror.config.root_uri))


async def _disputed(page: ProjectPage, mirror: Mirror) -> frozenset[str]:
    """Return the files to which another page of the project gives other hashes."""
    other = await mirror.pages.read_first_page(canonicalize_name(page.name))
    others = {file.filename: file.hashes for file in other.files} if other is not None else {}
    return frozenset(
        file.filename
        for file in page.files
        if file.filename in others
        and file.hashes.keys() & others[file.filename].keys()
        and not same_bytes(file.hashes, others[file.filename])
    )


async def _publish(
    project: NormalizedName,
    manifest: Manifest,
    damaged: Collection[Key],
    mirror: Mirror,
    *,
    interrupted: bool,
) -> None:
    """Write the pages as a job does: the JSON page last, and only as it was read.

    Files whose hashes are disputed are left to upstream: one of the pages is damaged.
    """
    files = mirrored_files(project, manifest.page)
    disputed = await _disputed(manifest.page, mirror)
    leaving = [each for each in files if each.key in damaged or each.file.filename in disputed]
    dropped = [each for each in leaving if each.file.filename not in disputed]
    # The next job need not come to know what belongs to these, as upstream may lack it by then.
    whole = keys_of(leaving).difference(damaged)
    delete_at = mirror.clock.now() + mirror.config.delete_after
    await keep_removed_files(project, dropped, whole, delete_at, None, mirror.storage)
    page = _undamaged(render.as_published(manifest.page, mirror.config.root_uri), damaged, disputed)
    publication = page.publication
    if publication is not None:  # with no etag, the sweep takes it for outdated
        publication = replace(
            publication, etag="", removed_files=publication.removed_files or bool(leaving)
        )
    page, pages = replace(page, publication=publication), mirror.pages.layout
    body = render.project_page_json(page)
    if pages.project_of(manifest.key) is not None:  # else an earlier configuration published it
        for key, other in other_pages(page, manifest.key, body, mirror):
            compressed, shown = key == pages.variant(manifest.key), other
            newer = await _read_newer(key, page, mirror) if interrupted else None
            if newer is not None:
                newer = _undamaged(newer, damaged, disputed)
                html = render.project_page_html(newer, mirror.config.digest_name)
                shown = render.project_page_json(newer) if compressed else html
            await mirror.storage.write(key, gzipped.compress(shown) if compressed else shown)
    await mirror.storage.write(manifest.key, body, replacing=manifest.stored.etag)
    if damaged:
        extra = {"project": project, "files": len(damaged)}
        logger.warning("damaged files are taken from the page and fetched again", extra=extra)


def _without(files: Collection[MirroredFile], damaged: Collection[Key]) -> Iterator[MirroredFile]:
    """Yield the files that stay, without the core metadata and the provenance that are damaged."""
    for each in files:
        if each.key in damaged:
            continue
        file, keys = each.file, {blob.key for blob in each.blobs if blob.key in damaged}
        if each.metadata_key in keys:
            file = replace(file, core_metadata=False)
        if keys - {each.metadata_key}:
            file = replace(file, provenance=None)
        yield each.showing(file)


def _undamaged(
    page: ProjectPage, damaged: Collection[Key], disputed: Collection[str]
) -> ProjectPage:
    """Return a page without what is damaged, and without the disputed files."""
    files = mirrored_files(canonicalize_name(page.name), page)
    dropped = {each.file.filename for each in files if each.key in damaged} | {*disputed}
    shown = {each.file.filename: each.file for each in _without(files, damaged)}
    kept = (file for file in page.files if file.filename not in dropped)
    return replace(
        page,
        files=tuple(
            replace(
                file,
                core_metadata=shown[file.filename].core_metadata,
                provenance=file.provenance and shown[file.filename].provenance,
            )
            if file.filename in shown
            else file
            for file in kept
        ),
    )


async def _read_newer(key: Key, page: ProjectPage, mirror: Mirror) -> ProjectPage | None:
    """Return the page at a key, with links as published, if it is newer than the JSON page."""
    stored = await mirror.storage.read(key)
    if stored is None:
        return None
    try:
        if key.endswith((layout.HTML, layout.V1_HTML)):
            newer = parse_html.project_page(
                stored.body, f"/{key}", canonicalize_name(page.name)
            ).page
        else:
            newer = parse_json.manifest(gzipped.decompress(stored.body), key)
        newer = render.as_published(newer, mirror.config.root_uri)
    except (InvalidPage, layout.UnsafeName, zlib.error):
        return None
    return newer if (newer.serial or 0) > (page.serial or 0) else None
