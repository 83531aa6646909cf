"""The parts of an HTML page that the Simple API uses: links, meta tags, headings, serial.

Limits the cost of hostile HTML. Does not know the meaning of the links.
"""

from __future__ import annotations

import re
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from frumious.encodings import encoding_of
from frumious.simple.values import InvalidPage, check_decoded_size
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_SERIAL: Final = re.compile(r"\s*SERIAL\s+([0-9]{1,18})\s*")  # bandersnatch's format
_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w:.-]{1,40})", re.IGNORECASE
)
_CHARSET_WITHIN: Final = 1024  # bytes; required by HTML
_WHITESPACE: Final = " \t\n\r\f"
_MAX_HEADINGS: Final = 8
_MAX_HEADING_LENGTH: Final = 1000  # characters
_MAX_TAG_LENGTH: Final = 65_536
_MAX_BASE_LENGTH: Final = 8192
_HUGE_TAG: Final = re.compile(rb"<[a-zA-Z][^<>]{%d}" % _MAX_TAG_LENGTH)


class Anchor(Value, frozen=True):
    """A link on the page."""

    href: str  # unresolved
    text: str
    attributes: Mapping[str, str]  # the others; "" for one without value


class HtmlPage(Value, frozen=True):
    """The parsed page."""

    base: str  # URL that its links are relative to
    meta: Mapping[str, str]  # <meta name= content=>
    headings: list[str]  # title and h1
    serial: int | None


def parse(
    body: bytes, url: str, *, max_markup: int, on_anchor: Callable[[Anchor, str], None]
) -> HtmlPage:
    """Parse an HTML page with at most `max_markup` tags, comments and entities, and attributes.

    Calls `on_anchor` with each link and the base so far: a list of all may not fit into memory.

    Raises:
        InvalidPage: it is not HTML, exceeds a limit, or ends within a tag or comment.
    """
    check_decoded_size(body, url)
    # The parser takes microseconds for each, however short: the limit bounds its time.
    if body.count(b"<") + body.count(b"&") > max_markup:
        msg = f"{url} has more than {max_markup} tags and entities"
        raise InvalidPage(msg)
    if _HUGE_TAG.search(body):  # the parser is slow to find the end of such a tag
        msg = f"{url} is not HTML: a tag has more than {_MAX_TAG_LENGTH} characters"
        raise InvalidPage(msg)
    text = _decode(body)
    parser = _Parser(url, max_markup, on_anchor)
    try:
        # All at once and without close(): the parser would rescan unfinished markup repeatedly,
        # at quadratic cost.
        parser.feed(text)
        parser.end_anchor()
    except (AssertionError, ValueError) as error:  # <![x[, &# with 5,000 digits, or too large
        msg = f"{url} is not HTML: {error}"
        raise InvalidPage(msg) from error
    if not parser.tags or ("\0" in text and not text.lstrip().startswith("<")):
        msg = f"{url} is not HTML"
        raise InvalidPage(msg)
    if "<" in parser.rawdata:  # a truncated page would look like one with fewer files
        msg = f"{url} ends within a tag or a comment"
        raise InvalidPage(msg)
    return HtmlPage(
        base=parser.base,
        meta=parser.meta,
        headings=["".join(pieces)[:_MAX_HEADING_LENGTH] for pieces in parser.headings],
        serial=parser.serial,
    )


class _Parser(HTMLParser):
    """Collects the parts. Of duplicate attributes and tags the first counts, as in browsers."""

    def __init__(
        self, url: str, max_attributes: int, on_anchor: Callable[[Anchor, str], None]
    ) -> None:
        super().__init__()
        self.tags = 0
        self._url = url
        self._remaining_attributes = max_attributes
        self._on_anchor = on_anchor
        self.base = url
        self._has_base = False
        self.meta: dict[str, str] = {}
        self.headings: list[list[str]] = []
        self.serial: int | None = None
        self._anchor: dict[str, str] | None = None  # the attributes of the open element
        self._pieces: list[str] = []  # its text
        self._heading: list[str] | None = None

    def check_for_whole_start_tag(self, i: int) -> int:
        """Return the end of a tag; the parser calls this before it parses the attributes."""
        end = super().check_for_whole_start_tag(i)
        if end - i > _MAX_TAG_LENGTH:
            msg = f"a tag has more than {_MAX_TAG_LENGTH} characters"
            raise ValueError(msg)
        return end

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        self._remaining_attributes -= len(attrs)
        if self._remaining_attributes < 0:
            msg = "it has too many attributes"
            raise ValueError(msg)
        if tag == "a":
            self.end_anchor()
            self._anchor = {name: value or "" for name, value in reversed(attrs)}
        elif tag == "meta":
            attributes = {name: value or "" for name, value in reversed(attrs)}
            if "name" in attributes and "content" in attributes:
                self.meta.setdefault(attributes["name"].strip().lower(), attributes["content"])
        elif tag in {"title", "h1"} and len(self.headings) < _MAX_HEADINGS:
            self._heading = []
            self.headings.append(self._heading)
        elif tag == "base" and not self._has_base:
            href = next((value for name, value in attrs if name == "href"), None)
            self._has_base = href is not None
            self.base = _base(href, self._url)

    def end_anchor(self) -> None:
        """Report the open link, if there is one."""
        if self._anchor is not None and "href" in self._anchor:
            href = self._anchor.pop("href").strip(_WHITESPACE)
            self._on_anchor(Anchor(href, "".join(self._pieces).strip(), self._anchor), self.base)
        self._anchor = None
        self._pieces = []

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self.end_anchor()
        elif tag in {"title", "h1"}:
            self._heading = None

    def handle_data(self, data: str) -> None:
        if self._anchor is not None:
            self._pieces.append(data)
        if self._heading is not None:
            self._heading.append(data)

    def handle_comment(self, data: str) -> None:
        if match := _SERIAL.fullmatch(data):
            self.serial = int(match[1])


def _base(href: str | None, url: str) -> str:
    """Resolve `<base href>`; ignore it unless it is an HTTP URL."""
    if not href or len(href) > _MAX_BASE_LENGTH:
        return url
    try:
        base = urljoin(url, href.strip(_WHITESPACE))
    except ValueError:
        return url
    return base if base.startswith(("https://", "http://")) else url


def _decode(body: bytes) -> str:
    """Decode as UTF-8, else with the encoding that the page declares."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    match = _CHARSET.search(body[:_CHARSET_WITHIN])
    try:
        encoding = encoding_of(match[1]) if match else "utf-8"
    except (LookupError, UnicodeDecodeError):
        encoding = "utf-8"
    return body.decode(encoding, errors="replace")
