"""The days that a question is about, and which logs are of those days.

CloudFront names a log after the hour, in UTC, in which its requests occurred, however late it
delivers it ("Timing of log file delivery" in the CloudFront developer guide):
`<distribution>.YYYY-MM-DD-HH.<id>.gz`. Paths may be partitioned by days as well.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from typing import Final, NamedTuple

_HOUR_SECONDS: Final = 3600
_DAY: Final = timedelta(days=1)
_LOG_NAME: Final = re.compile(r"\.(\d{4}-\d\d-\d\d)-(\d\d)\.[^./]+(?:\.[a-z0-9]+)?", re.ASCII)
_DAY_IN_PATH: Final = re.compile(
    r"((?:year=)?)(\d{4})([-/](?:month=)?)(\d\d)([-/](?:day=)?)(\d\d)", re.ASCII
)
_BEHIND_DIGITS: Final = ":"  # it follows "9" in the order of keys


class Days(NamedTuple):
    """Whole days of UTC, both included; None: no limit."""

    first: date | None = None
    last: date | None = None

    @property
    def begin(self) -> float:
        """The first second that counts, since the epoch."""
        return _midnight(self.first) if self.first is not None else float("-inf")

    @property
    def end(self) -> float:
        """The first second that no longer counts."""
        return _midnight(self.last + _DAY) if self.last is not None else float("inf")

    def may_have(self, path: str) -> bool:
        """Return whether a log can have requests of these days, by the hour in its name.

        An hour on both sides counts, because a request that is long under way may be logged in the
        hour of its beginning. A log whose name has no hour can have any requests.
        """
        found = _LOG_NAME.search(path.rpartition("/")[2])
        if found is None:
            return True
        try:
            hour = datetime.fromisoformat(f"{found[1]}T{found[2]}:00+00:00").timestamp()
        except ValueError:
            return True
        return hour + 2 * _HOUR_SECONDS > self.begin and hour - _HOUR_SECONDS < self.end

    def next_key(self, key: str) -> str:
        """Return the key after which the next log of these days can come, in the order of keys.

        `key` is that of a log that `may_have` excludes. What is between it and the returned key is
        of other days as well, by its path.
        """
        name = _LOG_NAME.search(key.rpartition("/")[2])
        # The days around them have the hours around them.
        lower = None if self.first is None else (self.first - _DAY).isoformat()
        upper = None if self.last is None else (self.last + _DAY).isoformat()
        for found in _DAY_IN_PATH.finditer(key):
            prefix, year, separator, month, other_separator, number = found.groups()
            day = f"{year}-{month}-{number}"
            if name is None or day != name[1]:
                continue  # a date that is not the log's says nothing about other logs
            following = f"{prefix}{year}{separator}{_BEHIND_DIGITS}"
            if lower is not None and day < lower:
                if lower.startswith(year):
                    _, month, number = lower.split("-")
                    following = f"{prefix}{year}{separator}{month}{other_separator}{number}"
            elif upper is None or day <= upper:
                break
            return key[: found.start()] + following
        return key


def _midnight(day: date) -> float:
    return datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp()
