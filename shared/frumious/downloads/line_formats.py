"""The formats of access logs. Each line shows its own, except for columns without names.

- CloudFront's legacy standard logs, and `w3c` and `plain` of standard logging (v2): a header names
  the columns. `raw` has none: the columns are those of a delivery that names none.
- JSON: CloudFront's `json`, nginx with `escape=json`
- nginx's `combined`, also with `"$http_x_forwarded_for"` behind it, and any other `log_format`
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Final

import msgspec

from frumious.downloads.fields import CLOUDFRONT, Columns, InvalidLine
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from frumious.downloads.fields import Request

_HEADER_FIELD: Final = "cs-uri-stem"
_DELIMITERS: Final = ("\t", " ", ",", "|", ";")
_QUOTED: Final = r'[^"\\]*(?:\\.[^"\\]*)*'  # nginx escapes quotes and backslashes
_COMBINED: Final = re.compile(
    r"(\S+) \S+ (.*?) \[([^\]]+)\]"
    rf' "({_QUOTED})" (\d{{3}}) (\d+|-)(?: "{_QUOTED}" "({_QUOTED})"(?: "({_QUOTED})")?)?(?: .*)?'
)
_COMBINED_COLUMNS: Final = Columns(
    (
        *("remote_addr", "remote_user", "time_local", "request", "status", "body_bytes_sent"),
        *("http_user_agent", "http_x_forwarded_for"),
    )
)
_VARIABLE: Final = re.compile(r"\$\{?([a-z0-9_]+)\}?", re.ASCII)


class InvalidLogFormat(FrumiousError):
    """A `log_format` whose lines cannot be taken apart."""


class LineParser:
    """Parses the lines of one log, in their order."""

    def __init__(self, log_format: LogFormat | None = None) -> None:
        self._log_format = log_format
        self._columns: Columns | None = None
        self._delimiter: str | None = None

    def parse(self, line: str) -> Request | None:
        """Return a line's request; None for a header, a comment and an empty line.

        Raises:
            InvalidLine: it is none of them.
        """
        if line.startswith("{"):
            return parse_json(line)
        if _HEADER_FIELD in line and "/" not in line:
            self._read_header(line)
            return None
        return self._parse_text(line) if line and not line.startswith("#") else None

    def _parse_text(self, line: str) -> Request:
        if self._log_format is not None:
            return self._log_format.parse(line)
        if self._columns is not None:
            return self._parse_columns(line, self._columns)
        found = _COMBINED.fullmatch(line)
        if found is not None:
            return _COMBINED_COLUMNS.request([value or "" for value in found.groups()])
        if line.count("\t") == len(CLOUDFRONT) - 1:
            self._columns, self._delimiter = Columns(CLOUDFRONT), "\t"
            return self._parse_columns(line, self._columns)
        msg = "the line is in no known format"
        raise InvalidLine(msg)

    def _read_header(self, line: str) -> None:
        names = line.removeprefix("#Fields:").strip()
        separator = next((each for each in _DELIMITERS if each in names), "\t")
        self._columns = Columns(name.strip() for name in names.split(separator))
        # In the W3C format, spaces separate the names and tabs the values.
        self._delimiter = None

    def _parse_columns(self, line: str, columns: Columns) -> Request:
        count = len(columns.names)
        if self._delimiter is None:
            fitting = [each for each in _DELIMITERS if line.count(each) == count - 1]
            if not fitting:
                msg = f"the line does not have the {count} columns of its header"
                raise InvalidLine(msg)
            self._delimiter = fitting[0]
        values = line.split(self._delimiter)
        if len(values) != count:
            msg = f"the line has {len(values)} columns, not {count}"
            raise InvalidLine(msg)
        return columns.request(values)


class LogFormat:
    """nginx's `log_format`, as its configuration has it: `$remote_addr [$time_local] ...`."""

    def __init__(self, text: str) -> None:
        """Parse a format.

        Raises:
            InvalidLogFormat: variables follow one another, or time, request or status are missing.
        """
        names: list[str] = []
        pattern, end = "", 0
        for variable in _VARIABLE.finditer(text):
            literal = text[end : variable.start()]
            if names and not literal:
                msg = f"nothing separates ${names[-1]} from {variable[0]} in the log format"
                raise InvalidLogFormat(msg)
            names.append(variable[1])
            end = variable.end()
            # Up to the next character of the format: a pattern without alternatives is fast.
            following = text[end : end + 1]
            value = _QUOTED if following == '"' else f"[^{re.escape(following)}]*"
            pattern += re.escape(literal) + (f"({value})" if following else "(.*)")
        self._pattern = re.compile(pattern + re.escape(text[end:]))
        try:
            self._columns = Columns(names)
        except InvalidLine as error:
            msg = f"the log format {text!r} is of no use: {error}"
            raise InvalidLogFormat(msg) from error

    def parse(self, line: str) -> Request:
        """Return a line's request.

        Raises:
            InvalidLine: the line is not in this format.
        """
        found = self._pattern.fullmatch(line)
        if found is None:
            msg = "the line is not in the given log format"
            raise InvalidLine(msg)
        return self._columns.request(found.groups())


def parse_json(line: str) -> Request:
    """Return the request of a line in JSON.

    Raises:
        InvalidLine: it is no object, or has no names that are known.
    """
    try:
        values = msgspec.json.decode(line)
    except (ValueError, RecursionError) as error:
        msg = "the line is not JSON"
        raise InvalidLine(msg) from error
    texts = [value if isinstance(value, str) else str(value) for value in values.values()]
    return _columns_of(tuple(values)).request(texts)


@lru_cache(256)
def _columns_of(names: tuple[str, ...]) -> Columns:
    return Columns(names)
