"""A project page of upstream and of the mirror, in every format and as pip reads it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final, Self

from tests.clients import HTML, JSON, TEXT, get, read_by_pip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.clients import Candidate


ABSENT: Final = object()  # the page has no such value
CANNOT: Final = object()  # the format cannot have such a value

Path = tuple[str | int, ...]
"""A value's path on a page: keys and positions."""


def lookup(page: Any, path: Path) -> Any:
    """Return the page's value at `path`, or ABSENT."""
    for step in path:
        try:
            page = page[step]
        except (KeyError, IndexError):
            return ABSENT
    return page


@dataclass(frozen=True, slots=True)
class PageViews:
    """One project's page, parsed."""

    upstream: Any  # upstream's page
    json: Any  # the mirror's JSON
    html: Any  # the mirror's HTML: {"meta": {...}, "links": [{...}], "title": ..., "serial": ...}
    pip_upstream: Sequence[Candidate]
    pip_json: Sequence[Candidate]
    pip_html: Sequence[Candidate]

    @classmethod
    def of(cls, upstream_url: str, mirror_url: str, project: str) -> Self:
        """Request the page from both."""
        upstream, own = (
            get(f"{url}/simple/{project}/", JSON) for url in (upstream_url, mirror_url)
        )
        html, text = (get(f"{mirror_url}/simple/{project}/", accept) for accept in (HTML, TEXT))
        assert (upstream.status, own.status, html.status) == (200, 200, 200), project
        assert html.body == text.body
        return cls(
            upstream=read(upstream.body, upstream.content_type),
            json=json.loads(own.body),
            html=read_html(html.body),
            pip_upstream=read_by_pip(upstream),
            pip_json=read_by_pip(own),
            pip_html=read_by_pip(html),
        )


def read(body: bytes, content_type: str) -> Any:
    """Parse a page in either format."""
    return json.loads(body) if content_type == JSON else read_html(body)


def read_html(body: bytes) -> Any:
    """Parse an HTML page into values for `lookup`."""
    reader = _Reader()
    reader.feed(body.decode())
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page: dict[str, Any] = {"meta": {}, "links": [], "title": ""}
        self._open: dict[str, Any] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "meta":
            self.page["meta"][attributes["name"]] = attributes["content"]
        elif tag == "a":
            url, _, fragment = str(attributes["href"]).partition("#")
            self._open = {**attributes, "href": url, "#": fragment, "title": ""}
            self.page["links"].append(self._open)
        elif tag == "title":
            self._open = self.page

    def handle_data(self, data: str) -> None:
        if self._open is not None:
            self._open["title"] += data

    def handle_endtag(self, tag: str) -> None:
        self._open = None

    def handle_comment(self, data: str) -> None:
        self.page["serial"] = data.removeprefix("SERIAL ")
