"""Builds of Python are added to a bundle: those that the destination lacks, and then their list."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.bundles import work
from frumious.bundles.adding import add_files, add_whole
from frumious.bundles.builds import missing_builds, named_builds
from frumious.bundles.errors import InvalidBundle
from frumious.bundles.manifest import Line, render_line
from frumious.bundles.reading import FileGone
from frumious.model import layout
from frumious.model.checksums import WrongBytes
from frumious.model.types import Key
from frumious.pythons.published import LIST

if TYPE_CHECKING:
    from frumious.bundles.work import Work
    from frumious.mirror import Mirror
    from frumious.storage.protocol import Storage


def exported_builds(export: str) -> Key:
    """Return the key of the list of builds that the destination of an export has after it."""
    return Key(f"{layout.EXPORTS_FOLDER}{export}.builds.json")


async def add_builds(bundle: Work, mirror: Mirror, destination: str) -> None:
    """Add the builds of the list that the export began with.

    If one is missing or damaged, the destination keeps what it has.
    """
    progress, body = bundle.progress, work.read_builds(bundle.folder)
    if body is None or progress.has_builds:
        return
    try:
        had = named_builds(await _previous_builds(bundle, mirror.storage))
        for file in missing_builds(named_builds(body), had):
            if file.blob.key <= progress.build:
                continue
            files = await add_files((file,), bundle, mirror.storage)
            bundle.manifest.write(render_line(Line(files=files)))
            progress.build = file.blob.key
            progress.objects += 1
            progress.bytes += files[0].size
            await bundle.checkpoint(destination, mirror.config)
    except (FileGone, WrongBytes, InvalidBundle) as error:
        problem = f"{error}; 'frumious pythons --deep' repairs it"
        progress.skipped[layout.PYTHON_BUILDS] = problem
        (bundle.folder / work.BUILDS).unlink()
        return
    added = await add_whole(LIST, body, bundle.pages)
    progress.site, progress.has_builds = Line(pages=(*progress.site.pages, added)), True
    await bundle.checkpoint(destination, mirror.config)


async def keep_builds(bundle: Work, storage: Storage) -> None:
    """Keep which builds the destination has after the bundle."""
    body = work.read_builds(bundle.folder) or await _previous_builds(bundle, storage)
    if body is not None:
        await storage.write(exported_builds(bundle.progress.id), body)


async def _previous_builds(bundle: Work, storage: Storage) -> bytes | None:
    """Return the list of builds that the destination has."""
    if bundle.progress.previous is None:
        return None
    stored = await storage.read(exported_builds(bundle.progress.previous))
    return stored.body if stored is not None else None
