"""The copy of upstream's legacy JSON, which is stored before the page that knows its MD5."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from msgspec import structs

from frumious.model import layout
from frumious.model.checksums import md5
from frumious.model.pages import LegacyCopy
from frumious.simple import legacy_json
from frumious.simple.values import InvalidValue, parse_serial

if TYPE_CHECKING:
    from collections.abc import Container

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.syncing.page_builder import BuiltPage


async def store_legacy_json(
    project: NormalizedName,
    body: bytes | None,
    shown: Container[str],
    built: BuiltPage,
    mirror: Mirror,
) -> BuiltPage:
    """Store upstream's legacy JSON if it is mirrored, and return the page that describes the copy.

    `body` is the legacy JSON if filters have read it. Empty projects have none. With a cooldown,
    the copy describes the `shown` files alone.
    """
    publication = built.page.publication
    if not mirror.config.json or publication is None:
        return built
    if mirror.selection.private.has(project):
        body = None  # private projects have none
    elif not mirror.selection.needs_legacy:
        body = await mirror.upstream.legacy_json(project)
    if body is None:
        await mirror.storage.delete(layout.legacy_json(project))
        copy = LegacyCopy()
    else:
        body = legacy_json.without_queries(body)
        if mirror.selection.cooldown is not None:
            body = legacy_json.only(shown, body)
        for key in layout.legacy_json(project):
            await mirror.storage.write(key, body)
        copy = LegacyCopy(md5(body), _serial(body))
    return replace(
        built, page=replace(built.page, publication=structs.replace(publication, legacy=copy))
    )


def _serial(body: bytes) -> int | None:
    try:
        return parse_serial(legacy_json.parse(body).get("last_serial"))
    except InvalidValue:
        return None
