"""A project's pages in the storage: published, kept as older versions, deleted where outdated.

The configuration decides where pages lie and in which forms (`layout.PageLayout`). It may have
changed: whoever publishes a project deletes what the earlier layouts left.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from frumious.model import layout
from frumious.model.types import Key
from frumious.simple import render
from frumious.syncing.blobs import keys_of, mirrored_files
from frumious.syncing.deletion import delete_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.state.manifest import Manifest
    from frumious.syncing.page_builder import BuiltPage

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.]+")  # as setuptools had it


async def publish_pages(
    project: NormalizedName,
    built: BuiltPage,
    manifest: Manifest | None,
    leftovers: Collection[Key],
    mirror: Mirror,
) -> None:
    """Write the pages, the JSON page last: only then does the job count as done.

    `leftovers` are deleted right before that, while the old JSON page still names them as removed;
    except for what one of the two pages needs.

    Raises:
        Conflict: another job has published the project since `manifest` was read.
    """
    page, key = built.page, mirror.pages.manifest(project)
    for page_key, body in _bodies(project, page, mirror):
        if page_key != key:
            await mirror.storage.write(page_key, body)
    hidden = await _hidden_pages(project, page, manifest, mirror)
    if hidden:
        await mirror.storage.delete(hidden)
    if leftovers:
        needed = keys_of(built.files)
        if manifest is not None:
            needed |= keys_of(mirrored_files(project, manifest.page))
        await delete_files(project, [key for key in leftovers if key not in needed], mirror)
    body = render.project_page_json(page)
    if manifest is None or manifest.key != key:
        await mirror.storage.create(key, body)
    else:
        await mirror.storage.write(key, body, replacing=manifest.stored.etag)


async def tidy_pages(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Do what is left once the JSON page is published; doing it twice changes nothing.

    JSON pages of earlier layouts go before any file does: as long as there is one, it is true.
    """
    former = {pages.manifest(project) for pages in await mirror.former_pages()}
    former.discard(mirror.pages.manifest(project))
    if former:
        await mirror.storage.delete(sorted(former))
    await _keep_version(project, page, mirror)
    await delete_other_names(project, page, mirror)


async def page_keys(project: NormalizedName, mirror: Mirror) -> Sequence[Key]:
    """Return every key that a page of the project may have, older versions included."""
    layouts = [mirror.pages, *await _layouts(mirror)]
    keys = {key for pages in layouts for key in (*pages.keys(project), pages.manifest(project))}
    for prefix in {pages.versions(project) for pages in layouts}:
        keys.update(await _versions(prefix, mirror))
    return sorted(keys)


def _bodies(
    project: NormalizedName, page: ProjectPage, mirror: Mirror
) -> Iterable[tuple[Key, bytes]]:
    """Render what readers get, the forms in the order in which they are written."""
    html = render.project_page_html(page, mirror.config.digest_name)
    for form in mirror.pages.forms:
        body = render.project_page_json(page) if form == layout.V1_JSON else html
        yield mirror.pages.page(project, form), body


async def _hidden_pages(
    project: NormalizedName, page: ProjectPage, manifest: Manifest | None, mirror: Mirror
) -> Collection[Key]:
    """Return the pages that readers no longer get; JSON pages are manifests, and not among them."""
    before = manifest.page.publication if manifest is not None else None
    now = page.publication
    if before is not None and now is not None and before.selection == now.selection:
        return ()
    layouts = await _layouts(mirror)
    manifests = {pages.manifest(project) for pages in layouts}
    hidden = {key for pages in layouts for key in pages.keys(project)} - manifests
    if manifest is not None and manifest.key != mirror.pages.manifest(project):
        prefixes = {pages.versions(project) for pages in layouts}
        for prefix in prefixes - {mirror.pages.versions(project)}:
            hidden.update(await _versions(prefix, mirror))
    return sorted(hidden - set(mirror.pages.keys(project)))


async def _keep_version(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Keep a copy of the page, and as many as are configured in all."""
    max_versions = mirror.config.keep_index_versions
    if not max_versions or page.publication is None:
        return
    prefix = mirror.pages.versions(project)
    kept = {*await _versions(prefix, mirror)}
    for key, body in _bodies(project, page, mirror):
        name = layout.version_of_page(page.serial, page.publication.run, layout.filename(key))
        version = Key(f"{prefix}{name}")
        await mirror.storage.write(version, body)
        kept.add(version)
    ages = sorted({age for key in kept if (age := layout.age_of_version(key)) is not None})
    old = [key for key in kept if layout.age_of_version(key) in ages[:-max_versions]]
    if old:
        await mirror.storage.delete(sorted(old))


async def _versions(prefix: str, mirror: Mirror) -> Collection[Key]:
    """Return the older versions of a project's pages: what begins with `prefix`."""
    return [
        entry.key
        async for entry in mirror.storage.list(prefix)
        if entry.key == prefix + layout.filename(entry.key) and layout.age_of_version(entry.key)
    ]


async def delete_other_names(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Delete the HTML that bandersnatch once wrote under the name as its owners spell it.

    A JSON page under such a name is the project's own, on a file system that does not distinguish
    upper and lower case: there nothing is deleted.
    """
    if not mirror.config.cleanup:
        return
    for name in sorted(_spellings(project, page)):
        if await mirror.storage.head(mirror.pages.manifest(name)) is None:
            html = (layout.HTML, layout.V1_HTML)
            await mirror.storage.delete([mirror.pages.page(name, form) for form in html])


def _spellings(project: NormalizedName, page: ProjectPage) -> Collection[str]:
    """Return how else the project is spelled: by its page, or at the beginning of filenames."""
    spellings = {page.name}
    for file in page.files:
        parts = file.filename.split("-")
        for end in range(1, project.count("-") + 2):
            name = "-".join(parts[:end])
            if canonicalize_name(name) == project:
                spellings.add(name)
    return {*spellings, *(_NOT_IN_NAMES.sub("-", name) for name in spellings)} - {project}


async def _layouts(mirror: Mirror) -> Sequence[layout.PageLayout]:
    """Return how pages may have been laid out before: surely in all forms, by any program."""
    return [layout.PageLayout(mirror.pages.hashed), *await mirror.former_pages()]
