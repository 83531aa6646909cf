"""PyPI's changelog (XML-RPC): the events of all projects, ordered by serial.

Knows the calls, their faults and what the events mean for a mirror.
"""

from __future__ import annotations

import logging
import math
import re
import reprlib
import xmlrpc.client
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from xml.parsers.expat import ExpatError, ParserCreate

from msgspec import field

from frumious.backoff import Backoff
from frumious.errors import FrumiousError
from frumious.model.jobs import AllowedRemoval
from frumious.simple.values import InvalidValue, parse_seconds, parse_serial, project_name
from frumious.upstream.failures import UpstreamUnavailable
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.upstream.client import Client

logger = logging.getLogger(__name__)

MAX_ROWS: Final = 50_000  # rows in one response

# Of one reading of the changelog, that is 2,000,000 events; the next one goes on behind them.
_MAX_CALLS: Final = 40
_MAX_SECONDS: Final = 400  # after which no further call begins

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
# Of the unmarshaller.
_INVALID: Final = (ValueError, TypeError, LookupError, AttributeError, ArithmeticError)
_MAX_I4: Final = 2**31 - 1  # of XML-RPC's own integers; Python's servers also read i8
# XML forbids control characters even as references, and servers write what projects contain.
_NOT_XML: Final = re.compile(
    r"[\0-\x08\x0b\x0c\x0e-\x1f\ufffe\uffff]"
    r"|&#(?:0*(?:[0-8]|1[124-9]|2\d|3[01])|x0*(?:[0-8bcefBCEF]|1[0-9a-fA-F]));"
)
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
_QUARANTINE: Final = re.compile(r"(project|release) quarantined\b")


class NoChangelog(FrumiousError):
    """Upstream has no changelog: only its root index shows what changed."""


class Changes(Value, frozen=True):
    """The changes since a serial."""

    projects: Mapping[NormalizedName, int]  # changed projects with their highest serials
    allowed_removals: Mapping[NormalizedName, AllowedRemoval]
    serial: int  # of the last event
    quarantined: frozenset[NormalizedName] = frozenset()  # projects that are, or a release of them
    earliest: float | None = None  # time of the first event, seconds since the epoch
    digests: Mapping[NormalizedName, str] = field(default_factory=dict)  # of pages, by change feed
    complete: bool = True  # False: there are more events after `serial`


async def last_serial(client: Client, master: str) -> int:
    """Return upstream's serial (`changelog_last_serial`).

    Raises:
        NoChangelog: upstream has no changelog.
        UpstreamUnavailable: upstream did not respond, or with an error.
    """
    serial = _serial(await _call(client, master, "changelog_last_serial"))
    if serial is None:
        msg = f"{master} returned no valid serial to changelog_last_serial"
        raise UpstreamUnavailable(msg)
    return serial


async def changes_since(
    client: Client, master: str, serial: int, *, until: float = math.inf
) -> Changes:
    """Return the changes after `serial` and up to `until` (`changelog_since_serial`).

    Repeats the call while a response has `MAX_ROWS` rows, up to a number of calls and for some
    minutes: then the changes are not `complete`. Events that do not concern the index
    (owners, invitations) are omitted. An event with an invalid serial concerns its project alone,
    whose job takes whatever upstream has; one without a valid name and serial is passed over.
    So are events after `until`, which upstream has not counted up to: a wrong serial, or so new
    that the next call returns them.

    Raises:
        NoChangelog: upstream has no changelog.
        UpstreamUnavailable: upstream did not respond, or with an error.
    """
    projects: dict[NormalizedName, int] = {}
    allowed_removals: dict[NormalizedName, AllowedRemoval] = {}
    quarantined: set[NormalizedName] = set()
    earliest: float | None = None
    stop = client.clock.monotonic() + _MAX_SECONDS
    calls = 0
    while True:
        calls += 1
        rows = await _call(client, master, "changelog_since_serial", serial)
        count, previous = len(rows) if isinstance(rows, list) else 0, serial
        for row in _reached(_rows(rows), until):
            serial = max(serial, row.serial or 0)
            project = row.project
            if project is None or _ROLE_EVENT.match(row.action):
                continue
            if earliest is None:
                earliest = row.timestamp
            projects[project] = max(row.serial or 0, projects.get(project, 0))
            quarantined.update([project] if _QUARANTINE.match(row.action) else ())
            if _PROJECT_REMOVAL.match(row.action):
                allowed_removals[project] = AllowedRemoval.PROJECT
            elif _FILE_REMOVAL.match(row.action) or project in allowed_removals:
                allowed_removals[project] = AllowedRemoval.FILES
        del rows
        complete = count < MAX_ROWS or serial >= until
        if not complete and serial == previous:
            msg = f"{master}: changelog has {count} rows but none with a serial above {previous}"
            raise UpstreamUnavailable(msg)
        if complete or calls == _MAX_CALLS or client.clock.monotonic() >= stop:
            break
    return Changes(
        projects,
        allowed_removals,
        serial,
        frozenset(quarantined),
        earliest,
        complete=complete,
    )


class _Row(Value, frozen=True):
    """One event."""

    project: NormalizedName | None = None  # None: no project can have its name
    timestamp: float | None = None
    action: str = ""
    serial: int | None = None


def _reached(rows: Iterable[_Row], until: float) -> Iterator[_Row]:
    """Yield the events up to `until`."""
    for row in rows:
        if (row.serial or 0) <= until:
            yield row
        else:
            extra = {"project": row.project, "serial": row.serial, "until": until}
            logger.info("event passed over: upstream has not reached its serial", extra=extra)


def _rows(payload: object) -> Iterator[_Row]:
    """Yield the events; a few may be invalid, but not all of them.

    Raises:
        UpstreamUnavailable: this is no changelog.
    """
    if not isinstance(payload, list):
        msg = f"upstream's changelog is {reprlib.repr(payload)}, not a list"
        raise UpstreamUnavailable(msg)
    rows = list(map(_row, payload))
    invalid = [entry for entry, row in zip(payload, rows, strict=True) if not _is_valid(row)]
    if invalid:
        msg = f"upstream's changelog has {len(invalid)} invalid rows: {reprlib.repr(invalid[0])}"
        if len(invalid) == len(rows):
            raise UpstreamUnavailable(msg)
        logger.warning("%s", msg)
    yield from rows


def _row(entry: object) -> _Row:
    match entry:
        case [name, _, timestamp, action, serial]:
            action = action if isinstance(action, str) else ""
            return _Row(project_name(name), parse_seconds(timestamp), action, _serial(serial))
        case _:
            return _Row()


def _is_valid(row: _Row) -> bool:
    return row.project is not None or row.serial is not None


def _serial(value: object) -> int | None:
    try:
        return parse_serial(value) if type(value) is int else None
    except InvalidValue:
        return None


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
        data=_request(method, arguments),
    )
    if response.status in _UNSUPPORTED:
        msg = f"upstream has no changelog: {response.url} returned {response.status} to {method}"
        raise NoChangelog(msg)
    response.check_status()
    try:
        payload = _parse_leniently(response.body)
    except xmlrpc.client.Fault as fault:
        raise _error_of(fault, method) from fault
    except (ExpatError, xmlrpc.client.Error, *_INVALID) as error:
        msg = f"{response.url} returned no XML-RPC to {method}: {error!s:.300}"
        raise UpstreamUnavailable(msg) from error
    return payload


def _parse_leniently(body: bytes) -> object:
    """Parse the response to a call, without what XML forbids where there is any."""
    try:
        return _parse(body)
    except ExpatError:
        return _parse(_NOT_XML.sub("", body.decode(errors="replace")))


def _parse(body: bytes | str) -> object:
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


def _request(method: str, arguments: tuple[int, ...]) -> str:
    types = ("int" if number <= _MAX_I4 else "i8" for number in arguments)
    params = (
        f"<param><value><{kind}>{number}</{kind}></value></param>"
        for kind, number in zip(types, arguments, strict=True)
    )
    return (
        f"<?xml version='1.0'?><methodCall><methodName>{method}</methodName>"
        f"<params>{''.join(params)}</params></methodCall>"
    )


def _error_of(fault: xmlrpc.client.Fault, method: str) -> FrumiousError:
    cause: object = fault.faultString
    text = cause if isinstance(cause, str) else reprlib.repr(cause)
    msg = f"upstream refused {method}: {text:.300}"
    if _RATE_LIMIT.search(text):
        seconds = _RESET.search(text)
        return _RateLimited(msg, retry_after=float(seconds[1]) if seconds else None)
    if fault.faultCode == _METHOD_NOT_FOUND or _NO_METHOD.search(text):
        return NoChangelog(msg)
    return UpstreamUnavailable(msg)
