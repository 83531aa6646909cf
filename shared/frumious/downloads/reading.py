"""Logs, read as a stream of requests. What cannot be read is counted and named; the rest counts."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from frumious.downloads.fields import InvalidLine
from frumious.downloads.line_formats import LineParser
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from frumious.downloads.days import Days
    from frumious.downloads.fields import Request
    from frumious.downloads.line_formats import LogFormat
    from frumious.downloads.logs import Buffered, Log

_CHUNK: Final = 256 * 1024
_MAX_LINE: Final = 64 * 1024  # bytes; CloudFront refuses longer headers, and nginx by default too
_MAX_NAMED: Final = 20  # problems
_GZIP: Final = b"\x1f\x8b"
_UNREADABLE: Final = {
    b"PAR1": "Parquet cannot be read; let CloudFront deliver JSON, w3c or plain",
    b"\xfd7zXZ": "it is compressed with xz; unpack it, and pass it on standard input",
    b"BZh": "it is compressed with bzip2; unpack it, and pass it on standard input",
    b"\x28\xb5\x2f\xfd": "it is compressed with zstd; unpack it, and pass it on standard input",
}
_MAGIC: Final = max(map(len, (_GZIP, *_UNREADABLE)))


@dataclass
class Reading:
    """What was read of the logs, and what could not be."""

    logs: int = 0
    requests: int = 0  # of the given days
    damaged_lines: int = 0
    damaged_logs: int = 0
    problems: list[str] = field(default_factory=list)  # the first ones
    first: int | None = None  # the times of requests, in seconds since the epoch
    last: int | None = None

    @property
    def is_complete(self) -> bool:
        """Whether all that the logs have was read."""
        return not self.damaged_lines and not self.damaged_logs

    def report(self, problem: str) -> None:
        """Name a problem, unless there are many."""
        if len(self.problems) < _MAX_NAMED:
            self.problems.append(problem)


def read_requests(
    logs: Iterable[Log], days: Days, log_format: LogFormat | None, reading: Reading
) -> Iterator[Request]:
    """Yield the requests of the given days."""
    begin, end = days.begin, days.end
    for log in logs:
        for request in _requests(log, log_format, reading):
            time = request.time
            if not begin <= time < end:
                continue
            reading.requests += 1
            if reading.first is None or time < reading.first:
                reading.first = time
            if reading.last is None or time > reading.last:
                reading.last = time
            yield request


def _requests(log: Log, log_format: LogFormat | None, reading: Reading) -> Iterator[Request]:
    parser = LineParser(log_format)
    reading.logs += 1
    number = 0
    try:
        with log.open() as file:
            for line in _lines(file):
                number += 1
                try:
                    if line is None:
                        msg = f"the line is longer than {_MAX_LINE} bytes"
                        raise InvalidLine(msg)  # noqa: TRY301 (as of all other lines)
                    request = parser.parse(line.decode(errors="replace").rstrip("\r"))
                except InvalidLine as error:
                    reading.damaged_lines += 1
                    reading.report(f"{log.name}, line {number}: {error}")
                    continue
                if request is not None:
                    yield request
    except (OSError, EOFError, zlib.error, FrumiousError) as error:
        reading.damaged_logs += 1
        where = f"{log.name}, after line {number}" if number else log.name
        reason = (error.strerror if isinstance(error, OSError) else None) or error
        reading.report(f"{where}: {reason}")


def _lines(file: Buffered) -> Iterator[bytes | None]:
    """Yield the lines of a log without their ends; None for one that is too long.

    Raises:
        OSError, EOFError, zlib.error: it cannot be read, or not to its end.
    """
    pending = b""
    is_too_long = False
    for chunk in _chunks(file):
        first, *rest = chunk.split(b"\n")
        if is_too_long and rest:
            is_too_long = False
            lines = rest
        elif is_too_long:
            continue
        else:
            lines = [pending + first, *rest]
        pending = lines.pop()
        for line in lines:
            yield line if len(line) <= _MAX_LINE else None
        if len(pending) > _MAX_LINE:
            pending, is_too_long = b"", True
            yield None
    if pending:
        yield pending


def _chunks(file: Buffered) -> Iterator[bytes]:
    first = file.peek(_MAGIC)
    for magic, advice in _UNREADABLE.items():
        if first.startswith(magic):
            raise OSError(advice)
    if first.startswith(_GZIP):
        with gzip.GzipFile(fileobj=file) as unpacked:
            while chunk := unpacked.read1(_CHUNK):
                yield chunk
    else:
        while chunk := file.read1(_CHUNK):
            yield chunk
