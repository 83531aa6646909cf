"""The fake upstream of all tests: an index that tests change, on a real socket, with faults.

    index = Index()
    index.upload(wheel("six", "1.0"))
    with Server(index) as server:
        server.faults.add(Fault(Status(503), match="/simple/six/", times=1))
        ...  # mirror from server.url
        assert len(server.requests_for("/simple/six/")) == 2

It shares no code with the mirror, so that it can verify the mirror's output.
"""

from .actions import (
    Action,
    AtOnce,
    Chunked,
    Edit,
    Endless,
    Gzip,
    Headers,
    NoRange,
    RateLimited,
    Raw,
    Redirect,
    RequireLogin,
    Reset,
    Rpc,
    Slow,
    Stale,
    Status,
    Together,
    Truncated,
    UntilClose,
    Wire,
    WrongBytes,
    WrongLength,
)
from .dist import Dist, sdist, wheel
from .faults import Fault, Faults
from .index import Change, Index
from .messages import Request
from .personality import BANDERSNATCH, DEVPI, HTML_ONLY, NO_CHANGELOG, PYPI, Personality
from .project import File, ProjectView
from .record import RecordedRequest
from .server import Server

__all__ = [
    "BANDERSNATCH",
    "DEVPI",
    "HTML_ONLY",
    "NO_CHANGELOG",
    "PYPI",
    "Action",
    "AtOnce",
    "Change",
    "Chunked",
    "Dist",
    "Edit",
    "Endless",
    "Fault",
    "Faults",
    "File",
    "Gzip",
    "Headers",
    "Index",
    "NoRange",
    "Personality",
    "ProjectView",
    "RateLimited",
    "Raw",
    "RecordedRequest",
    "Redirect",
    "Request",
    "RequireLogin",
    "Reset",
    "Rpc",
    "Server",
    "Slow",
    "Stale",
    "Status",
    "Together",
    "Truncated",
    "UntilClose",
    "Wire",
    "WrongBytes",
    "WrongLength",
    "sdist",
    "wheel",
]
