"""The page for people at `/`: a static file that reads `status.json` in the browser."""

from __future__ import annotations

import hashlib
from importlib.resources import files
from typing import TYPE_CHECKING, Final

from frumious.model import layout

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage

PAGE: Final = (files("frumious.finalizing") / "front_page.html").read_bytes()
VERSION: Final = hashlib.sha256(PAGE).hexdigest()[:12]

_MARK: Final = b'<meta name="generator" content="Frumious">'


async def publish_front_page(storage: Storage) -> None:
    """Write the page, unless an operator has written another one.

    Raises:
        Conflict: another finalizer wrote it in between.
    """
    stored = await storage.read(layout.FRONT_PAGE)
    if stored is None:
        await storage.create(layout.FRONT_PAGE, PAGE)
    elif _MARK in stored.body and stored.body != PAGE:
        await storage.write(layout.FRONT_PAGE, PAGE, replacing=stored.etag)
