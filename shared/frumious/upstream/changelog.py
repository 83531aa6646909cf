"""PyPI's changelog (XML-RPC): the events of all projects, ordered by serial.

Knows the calls, their faults and what the events mean for a mirror.
"""

from __future__ import annotations

import re
import reprlib
import xmlrpc.client
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from xml.parsers.expat import ExpatError, ParserCreate

from packaging.utils import InvalidName, canonicalize_name

from frumious.backoff import Backoff
from frumious.errors import FrumiousError
from frumious.model.jobs import AllowedRemoval
from frumious.upstream.client import Client, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.utils import NormalizedName

MAX_ROWS: Final = 50_000  # rows in one response

_MAX_BYTES: Final = 32 * 1024**2  # of a response; MAX_ROWS rows take half of it
_MAX_ELEMENTS: Final = 1_500_000  # of its XML; a row takes 13
# Statuses of an index without XML-RPC. 403 is CloudFront's response to POST: that of a Frumious
# mirror as upstream.
_UNSUPPORTED: Final = frozenset(
    {
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
_INVALID: Final = (ValueError, TypeError, LookupError, ArithmeticError)  # of the unmarshaller
_METHOD_NOT_FOUND: Final = -32601
_NO_METHOD: Final = re.compile(r"not found|not supported|is currently disabled", re.IGNORECASE)
_RATE_LIMIT: Final = re.compile(r"TooManyRequests", re.IGNORECASE)
_RESET: Final = re.compile(r"reset in (\d{1,6}) second")
# "add Owner someone", "invite Maintainer someone": they change no files and do not purge the CDN,
# so that the project page would never reach their serial.
_ROLE_EVENT: Final = re.compile(r"\w+ (Owner|Maintainer)\b")
# Events after which a project may have fewer files, or none.
_FILE_REMOVAL: Final = re.compile(r"remove |release quarantined")
_PROJECT_REMOVAL: Final = re.compile(r"(remove project|project quarantined)\b")
_QUARANTINE: Final = re.compile(r"release quarantined\b")


class NoChangelog(FrumiousError):
    """Upstream has no changelog: only its root index shows what changed."""


@dataclass(frozen=True, slots=True)
class Changes:
    """The changes since a serial."""

    projects: Mapping[NormalizedName, int]  # changed projects with their highest serials
    allowed_removals: Mapping[NormalizedName, AllowedRemoval]
    serial: int  # of the last event
    quarantined: frozenset[NormalizedName] = frozenset()  # projects with a quarantined release
    earliest: float | None = None  # time of the first event, seconds since the epoch


async def last_serial(client: Client, master: str) -> int:
    """Return upstream's serial (`changelog_last_serial`).

    Raises:
        NoChangelog: upstream has no changelog.
        UpstreamUnavailable: upstream did not respond, or with an error.
    """
    serial = await _call(client, master, "changelog_last_serial")
    if not isinstance(serial, int):
        msg = f"{master} returned the serial {reprlib.repr(serial)}, not a number"
        raise UpstreamUnavailable(msg)
    return serial


async def changes_since(client: Client, master: str, serial: int) -> Changes:
    """Return the changes after `serial` (`changelog_since_serial`).

    Repeats the call while a response has `MAX_ROWS` rows. Events that do not concern the index
    (owners, invitations) are omitted.

    Raises:
        NoChangelog: upstream has no changelog.
        UpstreamUnavailable: upstream did not respond, or with an error.
    """
    projects: dict[NormalizedName, int] = {}
    allowed_removals: dict[NormalizedName, AllowedRemoval] = {}
    quarantined: set[NormalizedName] = set()
    earliest: float | None = None
    while True:
        rows = await _call(client, master, "changelog_since_serial", serial)
        count, previous = 0, serial
        for row in _rows(rows):
            count += 1
            serial = max(serial, row.serial)
            if _ROLE_EVENT.match(row.action):
                continue
            try:
                project = canonicalize_name(row.name, validate=True)
            except InvalidName:
                continue  # no project page can have such a name
            if earliest is None:
                earliest = row.timestamp
            projects[project] = max(row.serial, projects.get(project, 0))
            quarantined.update([project] if _QUARANTINE.match(row.action) else ())
            if _PROJECT_REMOVAL.match(row.action):
                allowed_removals[project] = AllowedRemoval.PROJECT
            elif _FILE_REMOVAL.match(row.action) or project in allowed_removals:
                allowed_removals[project] = AllowedRemoval.FILES
        del rows
        if count < MAX_ROWS:
            return Changes(projects, allowed_removals, serial, frozenset(quarantined), earliest)
        if serial == previous:
            msg = f"{master}: changelog has {count} rows but none with a serial above {previous}"
            raise UpstreamUnavailable(msg)


@dataclass(frozen=True, slots=True)
class _Row:
    """One event."""

    name: str
    timestamp: float | None
    action: str
    serial: int


def _rows(payload: object) -> Iterator[_Row]:
    if not isinstance(payload, list):
        msg = f"upstream's changelog is {reprlib.repr(payload)}, not a list"
        raise UpstreamUnavailable(msg)
    for row in payload:
        match row:
            case [name, _, timestamp, action, int(serial)]:
                time = float(timestamp) if isinstance(timestamp, int | float) else None
                yield _Row(str(name or ""), time, str(action or ""), serial)
            case _:
                msg = f"upstream's changelog has the invalid row {reprlib.repr(row)}"
                raise UpstreamUnavailable(msg)


async def _call(client: Client, master: str, method: str, *arguments: int) -> object:
    backoff = Backoff(client.clock)
    while True:
        try:
            return await _call_once(client, master, method, arguments)
        except _RateLimited as error:
            await backoff.wait(error)


class _RateLimited(UpstreamUnavailable):
    """Too many calls. Unlike other faults, it is worth a retry within seconds."""


async def _call_once(
    client: Client, master: str, method: str, arguments: tuple[int, ...]
) -> object:
    response = await client.fetch(
        f"{master}/pypi",
        limit=_MAX_BYTES,
        headers={"Content-Type": "text/xml"},
        data=xmlrpc.client.dumps(arguments, method),
    )
    if response.status in _UNSUPPORTED:
        msg = f"upstream has no changelog: {response.url} returned {response.status} to {method}"
        raise NoChangelog(msg)
    response.check_status()
    try:
        payload = _parse(response.body)
    except xmlrpc.client.Fault as fault:
        raise _error_of(fault, method) from fault
    except (ExpatError, xmlrpc.client.Error, *_INVALID) as error:
        msg = f"{response.url} returned no XML-RPC to {method}: {error}"
        raise UpstreamUnavailable(msg) from error
    return payload


def _parse(body: bytes) -> object:
    """Parse the response to a call.

    Unlike `xmlrpc.client.loads` it limits the elements, and it does not split text at newlines.

    Raises:
        Fault, ExpatError, Error, *_INVALID: it is not one, or reports a fault.
    """
    target = xmlrpc.client.Unmarshaller(use_builtin_types=True)
    target.xml("", "")  # the parser decodes text
    parser = ParserCreate()
    parser.buffer_text = True
    elements = 0

    def start(tag: str, attributes: dict[str, str]) -> None:
        nonlocal elements
        elements += 1
        if elements > _MAX_ELEMENTS:
            msg = f"it has more than {_MAX_ELEMENTS} elements"
            raise ValueError(msg)
        target.start(tag, attributes)

    parser.StartElementHandler = start
    parser.CharacterDataHandler = target.data
    parser.EndElementHandler = target.end
    parser.Parse(body, True)  # noqa: FBT003
    (payload,) = target.close()
    return payload


def _error_of(fault: xmlrpc.client.Fault, method: str) -> FrumiousError:
    text = str(fault.faultString)
    msg = f"upstream refused {method}: {text:.300}"
    if _RATE_LIMIT.search(text):
        seconds = _RESET.search(text)
        return _RateLimited(msg, retry_after=float(seconds[1]) if seconds else None)
    if fault.faultCode == _METHOD_NOT_FOUND or _NO_METHOD.search(text):
        return NoChangelog(msg)
    return UpstreamUnavailable(msg)
