"""A project page as upstream says it and as the mirror serves it, read in every way there is."""

from __future__ import annotations

import json
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Any, Final, Self

from tests.clients import HTML, JSON, TEXT, get, read_by_pip

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.clients import Candidate


ABSENT: Final = object()  # it could be said, but is not
CANNOT: Final = object()  # the form has no way to say it

Path = tuple[str | int, ...]
"""Where something stands on a page: keys and positions."""


def look(page: Any, path: Path) -> Any:
    """Return what stands on a page at `path`, or ABSENT."""
    for step in path:
        try:
            page = page[step]
        except (KeyError, IndexError):
            return ABSENT
    return page


@dataclass(frozen=True, slots=True)
class Seen:
    """One page, as far as anybody reads it."""

    said: Any  # upstream's JSON
    json: Any  # the mirror's
    html: Any  # the mirror's HTML: {"meta": {...}, "links": [{...}], "title": ..., "serial": ...}
    pip_said: Sequence[Candidate]
    pip_json: Sequence[Candidate]
    pip_html: Sequence[Candidate]

    @classmethod
    def of(cls, upstream: str, mirror: str, project: str) -> Self:
        """Ask both for the page."""
        said, own = (get(f"{base}/simple/{project}/", JSON) for base in (upstream, mirror))
        html, text = (get(f"{mirror}/simple/{project}/", accept) for accept in (HTML, TEXT))
        assert (said.status, own.status, html.status) == (200, 200, 200), project
        assert html.body == text.body
        return cls(
            said=read(said.body, said.content_type),
            json=json.loads(own.body),
            html=read_html(html.body),
            pip_said=read_by_pip(said),
            pip_json=read_by_pip(own),
            pip_html=read_by_pip(html),
        )


def read(body: bytes, content_type: str) -> Any:
    """Read a page in the form that it came in."""
    return json.loads(body) if content_type == JSON else read_html(body)


def read_html(body: bytes) -> Any:
    """Read an HTML page into something that `look` can look into."""
    reader = _Reader()
    reader.feed(body.decode())
    return reader.page


class _Reader(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.page: dict[str, Any] = {"meta": {}, "links": [], "title": ""}
        self._into: dict[str, Any] | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        said = dict(attrs)
        if tag == "meta":
            self.page["meta"][said["name"]] = said["content"]
        elif tag == "a":
            url, _, fragment = str(said["href"]).partition("#")
            self._into = {**said, "href": url, "#": fragment, "title": ""}
            self.page["links"].append(self._into)
        elif tag == "title":
            self._into = self.page

    def handle_data(self, data: str) -> None:
        if self._into is not None:
            self._into["title"] += data

    def handle_endtag(self, tag: str) -> None:
        self._into = None

    def handle_comment(self, data: str) -> None:
        self.page["serial"] = data.removeprefix("SERIAL ")
