"""Access logs, which have what any client sent."""

from __future__ import annotations

import io
from typing import Final

from frumious.downloads.agents import parse_agent
from frumious.downloads.counting import file_requests
from frumious.downloads.days import Days
from frumious.downloads.files import InvalidSubject, Subject, releases_of
from frumious.downloads.line_formats import InvalidLogFormat, LogFormat
from frumious.downloads.logs import Log
from frumious.downloads.reading import Reading, read_requests
from tests.fuzz.targets.checks import check_project

_STATUSES: Final = frozenset(range(1000))


def access_log(data: bytes) -> None:
    """A log in any format, also compressed."""
    _check(data, None)


def log_format(data: bytes) -> None:
    """A `log_format` of nginx's, and lines in it."""
    first, _, lines = data.partition(b"\n")
    try:
        parsed = LogFormat(first.decode(errors="replace"))
    except InvalidLogFormat:
        return
    _check(lines, parsed)


def _check(data: bytes, parsed_format: LogFormat | None) -> None:
    reading = Reading()
    log = Log("log", lambda: io.BufferedReader(io.BytesIO(data)))
    requests = read_requests([log], Days(), parsed_format, reading)
    for filename, request in file_requests(requests, _STATUSES):
        assert filename.isprintable()
        for text in (request.address, request.forwarded_for, request.user, request.agent):
            assert text.isprintable()
        str(parse_agent(request.agent))
        for release in releases_of(filename):
            check_project(release.project)
    assert reading.is_complete or reading.problems


def download_subject(data: bytes) -> None:
    """What somebody asks for."""
    text = data.decode(errors="replace")
    try:
        subject = Subject(text)
    except InvalidSubject:
        return
    assert isinstance(subject.has("six-1.16.0.tar.gz"), bool)


TARGETS: Final = (access_log, log_format, download_subject)
