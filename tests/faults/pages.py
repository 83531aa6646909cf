"""A mirror's project page as its readers see it.

Shares no code with the mirror, so that the check is independent.
"""

from __future__ import annotations

import gzip
import json
import re
from dataclasses import dataclass
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any
from urllib.parse import unquote, urldefrag, urljoin

HTML, V1_HTML, V1_JSON = FORMS = ("index.html", "index.v1_html", "index.v1_json")
VARIANT = "gzip"  # the JSON page, compressed
_VARIANTS = "web/gzip/"
GZIP = b"\x1f\x8b"


@dataclass(frozen=True, slots=True)
class Link:
    """A file that a page names."""

    filename: str
    key: str
    sha256: str
    metadata: str | None  # its sha256
    yanked: bool | str

    def objects(self) -> dict[str, str]:
        """Return what must be stored: key -> sha256."""
        metadata = {f"{self.key}.metadata": self.metadata} if self.metadata else {}
        return {self.key: self.sha256, **metadata}


@dataclass(frozen=True, slots=True)
class Page:
    serial: int
    links: tuple[Link, ...]

    def objects(self) -> dict[str, str]:
        return {key: digest for link in self.links for key, digest in link.objects().items()}


def page_key(project: str, form: str) -> str:
    if form == VARIANT:
        return f"{_VARIANTS}simple/{project}/{V1_JSON}"
    return f"web/simple/{project}/{form}"


def is_variant(key: str) -> bool:
    """Say whether a page is compressed: in a bucket by its folder, in a folder by its suffix."""
    return key.startswith(_VARIANTS) or key.endswith(".gz")


def plain(key: str) -> str:
    """Return the key of the page of which another one is a compressed variant."""
    return f"web/{key.removeprefix(_VARIANTS).removeprefix('web/').removesuffix('.gz')}"


def read_page(key: str, body: bytes) -> Page:
    """Parse a page of either format, or a compressed variant.

    Raises:
        ValueError, KeyError, TypeError, AttributeError, OSError: it is not a project page.
    """
    if is_variant(key):
        key = plain(key)
        body = gzip.decompress(body) if body.startswith(GZIP) else body  # clients decompress it
    return _read_json(key, body) if key.endswith(V1_JSON) else _read_html(key, body)


def _read_json(key: str, body: bytes) -> Page:
    payload = json.loads(body)
    links = [
        Link(
            file["filename"],
            _target(key, file["url"]),
            file["hashes"]["sha256"],
            (file["core-metadata"] or {}).get("sha256"),
            file["yanked"],
        )
        for file in payload["files"]
    ]
    return Page(payload["meta"]["_last-serial"], tuple(links))


def _read_html(key: str, body: bytes) -> Page:
    text = body.decode()
    serial = re.search(r"<!--SERIAL (\d+)-->$", text)
    if serial is None or not text.startswith("<!DOCTYPE html>"):
        msg = f"{key} is incomplete: {text[-60:]!r}"
        raise ValueError(msg)
    reading = _Anchors(key)
    reading.feed(text)
    reading.close()
    return Page(int(serial[1]), tuple(reading.links))


class _Anchors(HTMLParser):
    def __init__(self, key: str) -> None:
        super().__init__()
        self.links: list[Link] = []
        self._key = key
        self._open: dict[str, Any] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag == "a":
            self._open = dict(attrs)

    def handle_data(self, data: str) -> None:
        if self._open is None:
            return
        attributes, self._open = self._open, None
        url, fragment = urldefrag(attributes["href"])
        metadata = attributes.get("data-core-metadata")
        yanked = attributes.get("data-yanked")
        self.links.append(
            Link(
                data,
                _target(self._key, url),
                fragment.removeprefix("sha256="),
                metadata.removeprefix("sha256=") if metadata else None,
                False if yanked is None else (yanked or True),
            )
        )


@lru_cache(maxsize=10_000)
def _target(key: str, url: str) -> str:
    return unquote(urljoin(f"/{key}", url)).removeprefix("/")
