"""An HTML page, as far as the Simple API speaks through it: links, meta tags, headings, serial.

Knows HTML, and what hostile HTML costs; does not know what the links are.
"""

from __future__ import annotations

import codecs
import re
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin

from frumious.simple.values import InvalidPage

if TYPE_CHECKING:
    from collections.abc import Mapping

_SERIAL: Final = re.compile(r"\s*SERIAL\s+([0-9]{1,18})\s*")  # as bandersnatch writes it
_CHARSET: Final = re.compile(
    rb"<meta[^>]{0,200}?charset\s*=\s*[\"']?([\w:.-]{1,40})", re.IGNORECASE
)
_CHARSET_WITHIN: Final = 1024  # bytes; HTML wants it there
# Not every codec of Python's is an encoding of pages, and some of them are slow.
_ENCODING: Final = re.compile(r"ascii|iso8859-\d+|cp\d+|koi8-[rtu]|shift_jis|euc_\w+|gb\w+|big5")
_WHITESPACE: Final = " \t\n\r\f"
_HEADINGS: Final = 8  # the first ones say what a page is
_LONGEST_HEADING: Final = 1000  # characters
_LONGEST_TAG: Final = 65_536
_LONGEST_BASE: Final = 8192
_HUGE_TAG: Final = re.compile(rb"<[a-zA-Z][^<>]{%d}" % _LONGEST_TAG)


@dataclass(frozen=True, slots=True)
class Anchor:
    """A link as it stands on the page."""

    attributes: Mapping[str, str]  # "" where there is no value
    pieces: list[str] = field(default_factory=list)

    @property
    def href(self) -> str:
        """Where it leads, as written."""
        return self.attributes["href"].strip(_WHITESPACE)

    @property
    def text(self) -> str:
        """What people read."""
        return "".join(self.pieces).strip()


@dataclass(frozen=True, slots=True)
class HtmlPage:
    """What a page says."""

    base: str  # what its links are relative to
    anchors: list[Anchor]
    meta: Mapping[str, str]  # <meta name= content=>
    headings: list[str]  # title and h1
    serial: int | None


def read(body: bytes, url: str, *, most_markup: int) -> HtmlPage:
    """Read an HTML page of at most so many tags, comments and entities, and attributes.

    Raises:
        InvalidPage: it is not HTML, has more of them, or ends within one.
    """
    # The parser takes microseconds for each, however short: this bounds its time.
    if body.count(b"<") + body.count(b"&") > most_markup:
        msg = f"{url} has more than {most_markup} tags and entities"
        raise InvalidPage(msg)
    if _HUGE_TAG.search(body):  # the parser's own search for its end is slow
        msg = f"{url} is not HTML: a tag has more than {_LONGEST_TAG} characters"
        raise InvalidPage(msg)
    text = _decode(body)
    reader = _Reader(most_markup)
    try:
        # In one piece and never closed: what is left unfinished would be looked at again and
        # again, at a cost that grows with its square.
        reader.feed(text)
    except (AssertionError, ValueError) as error:  # <![x[, &# with 5,000 digits, or too large
        msg = f"{url} is not HTML: {error}"
        raise InvalidPage(msg) from error
    if not reader.tags or ("\0" in text and not text.lstrip().startswith("<")):
        msg = f"{url} is not HTML"
        raise InvalidPage(msg)
    if "<" in reader.rawdata:  # half a page would look like one that lost files
        msg = f"{url} ends within a tag or a comment"
        raise InvalidPage(msg)
    return HtmlPage(
        base=_base(reader.base, url),
        anchors=reader.anchors,
        meta=reader.meta,
        headings=["".join(pieces)[:_LONGEST_HEADING] for pieces in reader.headings],
        serial=reader.serial,
    )


class _Reader(HTMLParser):
    """Collects what matters. Of what is said twice the first counts, as in browsers."""

    def __init__(self, most_attributes: int) -> None:
        super().__init__()
        self.tags = 0
        self._attributes_left = most_attributes
        self.base: str | None = None
        self.anchors: list[Anchor] = []
        self.meta: dict[str, str] = {}
        self.headings: list[list[str]] = []
        self.serial: int | None = None
        self._anchor: list[str] | None = None  # where the text goes
        self._heading: list[str] | None = None

    def check_for_whole_start_tag(self, i: int) -> int:
        """Find a tag's end, as the parser asks before it looks at the attributes."""
        end = super().check_for_whole_start_tag(i)
        if end - i > _LONGEST_TAG:
            msg = f"a tag has more than {_LONGEST_TAG} characters"
            raise ValueError(msg)
        return end

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags += 1
        self._attributes_left -= len(attrs)
        if self._attributes_left < 0:
            msg = "it has too many attributes"
            raise ValueError(msg)
        if tag == "a":
            said = {name: value or "" for name, value in reversed(attrs)}
            self._anchor = None
            if "href" in said:
                anchor = Anchor(said)
                self._anchor = anchor.pieces
                self.anchors.append(anchor)
        elif tag == "meta":
            said = {name: value or "" for name, value in reversed(attrs)}
            if "name" in said and "content" in said:
                self.meta.setdefault(said["name"].strip().lower(), said["content"])
        elif tag in {"title", "h1"} and len(self.headings) < _HEADINGS:
            self._heading = []
            self.headings.append(self._heading)
        elif tag == "base" and self.base is None:
            self.base = next((value for name, value in attrs if name == "href"), None)

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._anchor = None
        elif tag in {"title", "h1"}:
            self._heading = None

    def handle_data(self, data: str) -> None:
        if self._anchor is not None:
            self._anchor.append(data)
        if self._heading is not None:
            self._heading.append(data)

    def handle_comment(self, data: str) -> None:
        if found := _SERIAL.fullmatch(data):
            self.serial = int(found[1])


def _base(said: str | None, url: str) -> str:
    """Resolve `<base href>`; one that is no address of the web does not count."""
    if not said or len(said) > _LONGEST_BASE:
        return url
    try:
        base = urljoin(url, said.strip(_WHITESPACE))
    except ValueError:
        return url
    return base if base.startswith(("https://", "http://")) else url


def _decode(body: bytes) -> str:
    """Decode as UTF-8, or else as what the page declares."""
    try:
        return body.decode("utf-8-sig")
    except UnicodeDecodeError:
        pass
    found = _CHARSET.search(body[:_CHARSET_WITHIN])
    try:
        encoding = codecs.lookup(found[1].decode()).name if found else ""
    except (LookupError, UnicodeDecodeError):
        encoding = ""
    return body.decode(encoding if _ENCODING.fullmatch(encoding) else "utf-8", errors="replace")
