"""The fields of a logged request, by the names that CloudFront and nginx give them.

- CloudFront: "Log file fields" in "Standard logging reference" of the CloudFront developer guide
- nginx: "Embedded Variables" of ngx_http_core_module; in JSON, people choose other names
"""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import lru_cache
from typing import TYPE_CHECKING, Final, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

_ABSENT: Final = ("", "-")
# The first name that a log has counts.
NAMES: Final[Mapping[str, Sequence[str]]] = {
    "date": ("date",),
    "time": (
        *("time", "time_local", "time_iso8601", "timestamp(ms)", "timestamp", "@timestamp"),
        *("msec", "ts", "datetime"),
    ),
    "address": ("c-ip", "remote_addr", "address", "remote_ip", "client_ip", "client", "ip"),
    "forwarded_for": (
        *("x-forwarded-for", "http_x_forwarded_for", "x_forwarded_for", "forwarded_for"),
    ),
    "user": ("viewer-request-log-data", "remote_user", "user"),
    "request": ("request",),
    "method": ("cs-method", "request_method", "method"),
    "path": ("cs-uri-stem", "request_uri", "uri", "document_uri", "path", "url"),
    "status": ("sc-status", "status"),
    "bytes": ("sc-bytes", "body_bytes_sent", "bytes_sent", "bytes", "size"),
    "agent": ("cs(User-Agent)", "http_user_agent", "user_agent", "agent"),
}
# CloudFront's fields of a delivery that names none, in their order.
CLOUDFRONT: Final = (
    *("date", "time", "x-edge-location", "sc-bytes", "c-ip", "cs-method", "cs(Host)"),
    *("cs-uri-stem", "sc-status", "cs(Referer)", "cs(User-Agent)", "cs-uri-query", "cs(Cookie)"),
    *("x-edge-result-type", "x-edge-request-id", "x-host-header", "cs-protocol", "cs-bytes"),
    *("time-taken", "x-forwarded-for", "ssl-protocol", "ssl-cipher"),
    *("x-edge-response-result-type", "cs-protocol-version", "fle-status", "fle-encrypted-fields"),
    *("c-port", "time-to-first-byte", "x-edge-detailed-result-type", "sc-content-type"),
    *("sc-content-len", "sc-range-start", "sc-range-end"),
)
_MONTHS: Final = {
    "Jan": 1,
    "Feb": 2,
    "Mar": 3,
    "Apr": 4,
    "May": 5,
    "Jun": 6,
    "Jul": 7,
    "Aug": 8,
    "Sep": 9,
    "Oct": 10,
    "Nov": 11,
    "Dec": 12,
}
_LOCAL_TIME: Final = re.compile(
    r"(\d\d)/([A-Z][a-z][a-z])/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d{4})", re.ASCII
)
_NUMBER: Final = re.compile(r"(\d{1,11})(?:\.\d*)?|(\d{12,14})", re.ASCII)
_ESCAPED_BYTES: Final = re.compile(r"(?:\\x[0-9A-Fa-f]{2})+")  # nginx's own escape
_MAX_ENCODINGS: Final = 3
_STATUS_DIGITS: Final = 3


class InvalidLine(Exception):
    """A line that is no logged request."""


class Request(NamedTuple):
    """A request as it was logged. What the log does not say is empty.

    Clients choose `forwarded_for` and `agent`, and may lie there.
    """

    time: int  # seconds since the epoch
    method: str  # empty: what the client sent was no request of HTTP
    path: str  # as it was logged: encoded, perhaps with a query
    status: int  # 0: the client closed the connection before
    bytes_: int
    address: str
    forwarded_for: str
    user: str  # of HTTP basic authentication, or the name of an access token
    agent: str


class Columns:
    """Where a log's lines have the values of a request."""

    def __init__(self, names: Iterable[str]) -> None:
        """Find the fields.

        Raises:
            InvalidLine: time, request or status are missing.
        """
        self.names = tuple(names)
        positions = {name: index for index, name in reversed([*enumerate(self.names)])}

        def position(field: str) -> int | None:
            return next((positions[n] for n in NAMES[field] if n in positions), None)

        self._date = position("date")
        time, status = position("time"), position("status")
        self._request, self._path = position("request"), position("path")
        if time is None or status is None or (self._request is None and self._path is None):
            msg = "time, request or status are missing"
            raise InvalidLine(msg)
        self._time, self._status = time, status
        self._method, self._bytes = position("method"), position("bytes")
        self._texts = [position(each) for each in ("address", "forwarded_for", "user", "agent")]
        # CloudFront writes values as they are in URLs.
        self._is_encoded = "cs-uri-stem" in positions

    def request(self, values: Sequence[str]) -> Request:
        """Return the request that has these values.

        Raises:
            InvalidLine: one of them is not what it should be.
        """
        if self._date is None:
            time = parse_time(values[self._time])
        else:
            time = parse_time(f"{values[self._date]}T{values[self._time]}Z")
        status = values[self._status]
        if not (len(status) == _STATUS_DIGITS and status.isascii() and status.isdigit()):
            msg = "the status is no number of three digits"
            raise InvalidLine(msg)
        if self._path is not None:
            method = "GET" if self._method is None else values[self._method]
            path = values[self._path]
        else:
            method, _, rest = values[self._request or 0].partition(" ")
            path = rest.partition(" ")[0]
            method = method if path else ""
        sent = "" if self._bytes is None else values[self._bytes]
        texts = ["" if each is None else values[each] for each in self._texts]
        address, forwarded_for, user, agent = (
            "" if text in _ABSENT else _decode(text, is_encoded=self._is_encoded) for text in texts
        )
        count = int(sent) if sent.isascii() and sent.isdigit() and len(sent) <= 15 else 0  # noqa: PLR2004 (a petabyte)
        return Request(time, method, path, int(status), count, address, forwarded_for, user, agent)


@lru_cache(8192)  # addresses and agents come again and again
def _decode(text: str, *, is_encoded: bool) -> str:
    """Return a value without the log's encoding, and without control characters."""
    if is_encoded:
        text = decode_url(text)
    elif "\\x" in text:
        text = _ESCAPED_BYTES.sub(_unescape, text)
    if not text.isprintable():  # a terminal would obey them
        text = "".join(c if c.isprintable() else "\N{REPLACEMENT CHARACTER}" for c in text)
    return text


def decode_url(text: str) -> str:
    """Return a text without its URL encoding: CloudFront encodes some characters twice."""
    for _ in range(_MAX_ENCODINGS):
        if "%" not in text:
            break
        text = unquote(text)
    return text


@lru_cache(4096)
def parse_time(text: str) -> int:
    """Return the time of a request: in nginx's form, in that of ISO 8601, or as a number.

    Raises:
        InvalidLine: it is none of them. Times without a zone are UTC, as CloudFront's are.
    """
    try:
        if number := _NUMBER.fullmatch(text):
            return int(number[1]) if number[1] else int(number[2]) // 1000
        if local := _LOCAL_TIME.fullmatch(text):
            day, month, year, clock, zone = local.groups()
            text = f"{year}-{_MONTHS[month]:02}-{day}T{clock}{zone[:3]}:{zone[3:]}"
        time = datetime.fromisoformat(text)
        return int((time if time.tzinfo else time.replace(tzinfo=UTC)).timestamp())
    except (ValueError, KeyError, OverflowError) as error:
        msg = "the time is in no known form"
        raise InvalidLine(msg) from error


def _unescape(found: re.Match[str]) -> str:
    return bytes.fromhex(found[0].replace("\\x", "")).decode(errors="replace")
