"""A project's pages in the storage: written, kept when they grow old, taken away where left over.

Where pages lie and in which forms is the configuration's (`layout.PageLayout`). It may have been
another one before: whoever publishes a project takes away what is left of that.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name

from frumious.model import layout
from frumious.model.types import Key
from frumious.simple import render
from frumious.syncing.blobs import stored_keys
from frumious.syncing.deletion import delete_files

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.state.manifest import Manifest

_NOT_IN_NAMES: Final = re.compile(r"[^A-Za-z0-9.]+")  # as setuptools had it


async def publish_pages(
    project: NormalizedName,
    page: ProjectPage,
    manifest: Manifest | None,
    left: Collection[Key],
    mirror: Mirror,
) -> None:
    """Write the pages, the JSON page last: only then does the job count as done.

    `left` is deleted right before, when the old JSON page still knows it; but for what one of the
    two pages names.
    """
    here = mirror.pages.manifest(project)
    for key, body in _bodies(project, page, mirror):
        if key != here:
            await mirror.storage.write(key, body)
    gone = await _shown_before(project, page, manifest, mirror)
    if gone:
        await mirror.storage.delete(gone)
    named = {*stored_keys(project, page)}
    if manifest is not None:
        named.update(stored_keys(project, manifest.page))
    await delete_files(project, [key for key in left if key not in named], mirror)
    body = render.project_page_json(page)
    if manifest is None or manifest.key != here:
        await mirror.storage.create(here, body)
    else:
        await mirror.storage.write(here, body, replacing=manifest.stored.etag)


async def tidy_pages(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Do what is left once the JSON page is there; doing it twice changes nothing.

    Old JSON pages elsewhere go before any file does: as long as there is one, it is true.
    """
    here = mirror.pages.manifest(project)
    books = {pages.manifest(project) for pages in await mirror.former_pages()} - {here}
    if books:
        await mirror.storage.delete(sorted(books))
    await _keep_version(project, page, mirror)
    await delete_other_names(project, page, mirror)


async def page_keys(project: NormalizedName, mirror: Mirror) -> Sequence[Key]:
    """Return every key that a page of the project may have, older pages as well."""
    layouts = [mirror.pages, *await _layouts(mirror)]
    keys = {key for pages in layouts for key in (*pages.of(project), pages.manifest(project))}
    for place in {pages.versions(project) for pages in layouts}:
        keys.update(await _versions(place, mirror))
    return sorted(keys)


def _bodies(
    project: NormalizedName, page: ProjectPage, mirror: Mirror
) -> Iterable[tuple[Key, bytes]]:
    """Render what readers get, the forms in the order in which they are written."""
    html = render.project_page_html(page, mirror.config.digest_name)
    for form in mirror.pages.forms:
        body = render.project_page_json(page) if form == layout.V1_JSON else html
        yield mirror.pages.page(project, form), body


async def _shown_before(
    project: NormalizedName, page: ProjectPage, manifest: Manifest | None, mirror: Mirror
) -> Collection[Key]:
    """Return which pages readers no longer get, but for the JSON pages: those are books."""
    before = manifest.page.publication if manifest is not None else None
    now = page.publication
    if before is not None and now is not None and before.selection == now.selection:
        return ()
    layouts = await _layouts(mirror)
    books = {pages.manifest(project) for pages in layouts}
    gone = {key for pages in layouts for key in pages.of(project)} - books
    if manifest is not None and manifest.key != mirror.pages.manifest(project):
        places = {pages.versions(project) for pages in layouts}
        for place in places - {mirror.pages.versions(project)}:
            gone.update(await _versions(place, mirror))
    return sorted(gone - set(mirror.pages.of(project)))


async def _keep_version(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Keep a copy of the page, and of those before it as many as are wanted in all."""
    most = mirror.config.keep_index_versions
    if not most or page.publication is None:
        return
    place = mirror.pages.versions(project)
    kept = {*await _versions(place, mirror)}
    for key, body in _bodies(project, page, mirror):
        name = layout.version_of_page(page.serial, page.publication.run, layout.filename(key))
        version = Key(f"{place}{name}")
        await mirror.storage.write(version, body)
        kept.add(version)
    ages = sorted({age for key in kept if (age := layout.age_of_version(key)) is not None})
    old = [key for key in kept if layout.age_of_version(key) in ages[:-most]]
    if old:
        await mirror.storage.delete(sorted(old))


async def _versions(place: str, mirror: Mirror) -> Collection[Key]:
    """Return a project's older pages: what begins with `place`."""
    return [
        entry.key
        async for entry in mirror.storage.list(place)
        if entry.key == place + layout.filename(entry.key) and layout.age_of_version(entry.key)
    ]


async def delete_other_names(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> None:
    """Delete the HTML that bandersnatch once wrote under the name as its owners spell it.

    A JSON page under such a name is the project's own, on a file system that does not tell
    capitals from small letters: there nothing is deleted.
    """
    if not mirror.config.cleanup:
        return
    for other in sorted(_spellings(project, page)):
        if await mirror.storage.head(mirror.pages.manifest(other)) is None:
            html = (layout.HTML, layout.V1_HTML)
            await mirror.storage.delete([mirror.pages.page(other, form) for form in html])


def _spellings(project: NormalizedName, page: ProjectPage) -> Collection[str]:
    """Return how else the project is spelled: by its page, or at the beginning of filenames."""
    said = {page.name}
    for file in page.files:
        parts = file.filename.split("-")
        for end in range(1, project.count("-") + 2):
            name = "-".join(parts[:end])
            if canonicalize_name(name) == project:
                said.add(name)
    return {*said, *(_NOT_IN_NAMES.sub("-", name) for name in said)} - {project}


async def _layouts(mirror: Mirror) -> Sequence[layout.PageLayout]:
    """Return how pages may have been laid out before: surely in all forms, by whomever."""
    return [layout.PageLayout(mirror.pages.hashed), *await mirror.former_pages()]
