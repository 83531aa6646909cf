"""The only fake upstream: an index that tests change, on a real socket, with faults to switch on.

    index = Index()
    index.upload(wheel("six", "1.0"))
    with Server(index) as server:
        server.faults.add(Fault(Status(503), match="/simple/six/", times=1))
        ...  # mirror from server.url
        assert len(server.requests_for("/simple/six/")) == 2

It knows nothing of the mirror and builds PyPI's formats by itself, so that it can judge.
"""

from .actions import (
    Action,
    Chunked,
    Edit,
    Endless,
    Gzip,
    NoRange,
    RateLimited,
    Raw,
    Redirect,
    Reset,
    Slow,
    Stale,
    Status,
    Together,
    Truncated,
    Wire,
    WrongBytes,
    WrongLength,
)
from .answer import Ask
from .dist import Dist, sdist, wheel
from .faults import Fault, Faults
from .index import Change, Index
from .personality import BANDERSNATCH, DEVPI, HTML_ONLY, NO_CHANGELOG, PYPI, Personality
from .project import File, ProjectView
from .record import Request
from .server import Server

__all__ = [
    "BANDERSNATCH",
    "DEVPI",
    "HTML_ONLY",
    "NO_CHANGELOG",
    "PYPI",
    "Action",
    "Ask",
    "Change",
    "Chunked",
    "Dist",
    "Edit",
    "Endless",
    "Fault",
    "Faults",
    "File",
    "Gzip",
    "Index",
    "NoRange",
    "Personality",
    "ProjectView",
    "RateLimited",
    "Raw",
    "Redirect",
    "Request",
    "Reset",
    "Server",
    "Slow",
    "Stale",
    "Status",
    "Together",
    "Truncated",
    "Wire",
    "WrongBytes",
    "WrongLength",
    "sdist",
    "wheel",
]
