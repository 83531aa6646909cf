"""The Content-Type and Content-Encoding that readers of an object get.

Swift lists the types of objects. S3 does not: there they come with the answer to a GET, so that
only what is read is checked. A folder has none.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.model.headers import headers_of

if TYPE_CHECKING:
    from frumious.model.headers import Headers
    from frumious.model.types import Key
    from frumious.storage.protocol import Entry


def wrong_headers(key: Key, headers: Headers | None) -> str:
    """Return which wrong header an object has; empty: none that is known."""
    return "" if headers is None else headers.problem(headers_of(key))


def wrong_type(entry: Entry) -> str:
    """Return the wrong content type that a listing has; empty: it has none, or the right one."""
    if entry.content_type is None:
        return ""
    expected = headers_of(entry.key)
    return replace(expected, content_type=entry.content_type).problem(expected)
