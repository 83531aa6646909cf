"""The HTTP headers of the objects that the mirror stores."""

from __future__ import annotations

from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Self

from frumious.model.layout import (
    CHANGES,
    GZIP_FOLDER,
    HTML,
    PYTHON_BUILDS,
    SIMPLE_ALL,
    V1_HTML,
    V1_JSON,
    filename,
    may_change,
)
from frumious.model.types import Key
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

CONTENT_TYPES = {
    HTML: "text/html; charset=utf-8",
    V1_HTML: "application/vnd.pypi.simple.v1+html",
    V1_JSON: "application/vnd.pypi.simple.v1+json",
}

# `max-age` is for clients, `s-maxage` for caches in front of the storage, which must not serve what
# was removed for long: docs/serving/README.md has the sums.
_PAGE_CACHING = "public, max-age=20, s-maxage=30"
_FILE_CACHING = "public, max-age=31536000, s-maxage=86400, immutable"


def http_time(date: str) -> float | None:
    """Return the seconds since the epoch of a Date header (RFC 9110, 6.6.1); None: it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except ValueError:
        return None


class Headers(Value, frozen=True):
    """HTTP headers of an object."""

    content_type: str
    cache_control: str | None
    content_encoding: str | None = None

    @classmethod
    def received(cls, headers: Mapping[str, str]) -> Self:
        """Return those of a response; `headers` are in lower case, or ignore it.

        Some servers store `aws-chunked`, the encoding of an upload, which S3 removes (API page of
        PutObject).
        """
        encodings = headers.get("content-encoding", "").replace(" ", "").split(",")
        encoding = ",".join(each for each in encodings if each not in {"", "aws-chunked"})
        return cls(headers.get("content-type", ""), headers.get("cache-control"), encoding or None)

    def problem(self, expected: Headers) -> str:
        """Return what readers of the object get instead of the type and encoding; empty: nothing.

        Swift lists `text/html;charset=utf-8` for `text/html; charset=utf-8`.
        """
        found, wanted = (each.content_type.replace(" ", "").casefold() for each in (self, expected))
        if found != wanted:
            return self.content_type or "no type"
        if self.content_encoding != expected.content_encoding:
            return f"Content-Encoding: {self.content_encoding or 'none'}"
        return ""


_BY_PREFIX: dict[str, Headers] = {
    "web/packages/": Headers("application/octet-stream", _FILE_CACHING),
    "web/integrity/": Headers("application/vnd.pypi.integrity.v1+json", _PAGE_CACHING),
    f"{PYTHON_BUILDS}downloads.json": Headers("application/json", _PAGE_CACHING),
    PYTHON_BUILDS: Headers("application/octet-stream", _FILE_CACHING),
    "web/json/": Headers("application/json", _PAGE_CACHING),
    "web/pypi/": Headers("application/json", _PAGE_CACHING),
    # What C2SP's tlog-tiles demands; entries have a format of their own.
    f"{CHANGES}tile/": Headers("application/octet-stream", _FILE_CACHING),
    f"{CHANGES}entries/": Headers("application/x-ndjson", _FILE_CACHING),
}


def headers_of(key: Key) -> Headers:
    """Return the HTTP headers of the object at `key`."""
    if not key.startswith("web/"):
        json = key.endswith((".json", V1_JSON))
        return Headers("application/json" if json else "text/plain; charset=utf-8", None)
    if key.startswith(SIMPLE_ALL) and filename(key) not in CONTENT_TYPES:
        return headers_of(Key(f"web/{key.removeprefix(SIMPLE_ALL)}"))
    if key.startswith("web/packages/") and may_change(filename(key)):
        return Headers("application/octet-stream", _PAGE_CACHING)
    for prefix, headers in _BY_PREFIX.items():
        if key.startswith(prefix):
            return headers
    name = filename(key)
    page = f"index.{name.rpartition('.')[2]}"  # an older version is called index_<...>.<form>
    if page in CONTENT_TYPES and (name == page or name.startswith("index_")):
        encoding = "gzip" if key.startswith(GZIP_FOLDER) else None
        return Headers(CONTENT_TYPES[page], _PAGE_CACHING, encoding)
    kind = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
    return Headers(kind, _PAGE_CACHING)
