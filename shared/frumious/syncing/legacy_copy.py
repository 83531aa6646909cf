"""The copy of upstream's legacy JSON, which is stored before the page that knows its MD5."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.model import layout
from frumious.model.checksums import md5
from frumious.model.pages import LegacyCopy
from frumious.simple import legacy_json
from frumious.simple.values import InvalidValue, parse_serial
from frumious.syncing.release_copies import store_releases

if TYPE_CHECKING:
    from collections.abc import Container

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
    from frumious.model.types import JsonObject
    from frumious.syncing.page_builder import BuiltPage
    from frumious.syncing.recovery import Attempt


async def store_legacy_json(  # noqa: PLR0913, PLR0917 (what it depends on)
    attempt: Attempt,
    body: bytes | None,
    shown: Container[str],
    built: BuiltPage,
    before: ProjectPage | None,
    mirror: Mirror,
) -> BuiltPage:
    """Store upstream's legacy JSON if it is mirrored, and return the page that describes the copy.

    `body` is the legacy JSON if filters have read it. Empty projects have none. With a cooldown,
    the copy describes the `shown` files alone. `before` is the page that the built one replaces.

    Raises as `store_releases`, which does the same with the JSON of releases.
    """
    project, publication = attempt.job.project, built.page.publication
    if publication is None:
        return built
    legacy = None
    if mirror.config.json:
        copy, legacy = await _store(project, body, shown, mirror)
        publication = replace(publication, legacy=copy)
    releases = await store_releases(attempt, legacy, built.page, before, mirror)
    publication = replace(publication, releases=releases)
    return replace(built, page=replace(built.page, publication=publication))


async def _store(
    project: NormalizedName, body: bytes | None, shown: Container[str], mirror: Mirror
) -> tuple[LegacyCopy, JsonObject | None]:
    """Store the legacy JSON of a project; return what the page says of it, and upstream's."""
    if mirror.selection.private.has(project):
        body = None  # private projects have none
    elif not mirror.selection.needs_legacy:
        body = await mirror.upstream.legacy_json(project)
    if body is None:
        await mirror.storage.delete(layout.legacy_json(project))
        return LegacyCopy(), None
    payload = legacy_json.parse(body) if mirror.config.release_json else None
    body = legacy_json.without_secrets(body)
    if mirror.selection.cooldown is not None:
        body = legacy_json.only(shown, body)
    for key in layout.legacy_json(project):
        await mirror.storage.write(key, body)
    return LegacyCopy(md5(body), _serial(body)), payload


def _serial(body: bytes) -> int | None:
    try:
        return parse_serial(legacy_json.parse(body).get("last_serial"))
    except InvalidValue:
        return None
