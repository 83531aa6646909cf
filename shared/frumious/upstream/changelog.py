"""PyPI's changelog (XML-RPC): what happened to which project, in the order of serials.

Knows the calls, their faults and what the events mean for a mirror. Decides nothing.
"""

from __future__ import annotations

import re
import xmlrpc.client
from dataclasses import dataclass
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from xml.parsers.expat import ExpatError

from packaging.utils import InvalidName, canonicalize_name

from frumious.backoff import Backoff
from frumious.errors import FrumiousError
from frumious.model.jobs import AllowedRemoval
from frumious.upstream.client import Client, UpstreamUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from packaging.utils import NormalizedName

FULL_CALL: Final = 50_000  # rows that one call gives at the most

_LARGEST: Final = 256 * 1024**2  # bytes of an answer; a full one has a tenth of it
# What says that nobody will ever answer there. 403: CloudFront, of a method that it does not
# pass on, which is how a mirror of ours answers.
_NOT_SPOKEN: Final = frozenset(
    {
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.METHOD_NOT_ALLOWED,
        HTTPStatus.GONE,
        HTTPStatus.NOT_IMPLEMENTED,
    }
)
_NO_SUCH_METHOD: Final = -32601
_NO_METHOD: Final = re.compile(r"not found|not supported|is currently disabled", re.IGNORECASE)
_TOO_MANY: Final = re.compile(r"TooManyRequests", re.IGNORECASE)
_RESET: Final = re.compile(r"reset in (\d{1,6}) second")
# "add Owner someone", "invite Maintainer someone": nothing about files, and the CDN is not
# told, so that waiting for such a serial on a project page would be in vain.
_ROLE_EVENT: Final = re.compile(r"\w+ (Owner|Maintainer)\b")
# After one of these a project may have fewer files, or none.
_LOSS: Final = re.compile(r"remove |release quarantined")
_REMOVAL: Final = re.compile(r"(remove project|project quarantined)\b")


class NoChangelog(FrumiousError):
    """Upstream has no changelog: what changed can only be told from its root index."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened upstream since a serial."""

    projects: Mapping[NormalizedName, int]  # those that changed, each with its highest serial
    allowed_removals: Mapping[
        NormalizedName, AllowedRemoval
    ]  # those of them from which something was removed
    serial: int  # that this brings one to
    earliest: float | None = None  # when the first of it happened, seconds since the epoch


async def last_serial(client: Client, master: str) -> int:
    """Return upstream's serial (`changelog_last_serial`).

    Raises:
        NoChangelog: upstream has none.
        UpstreamUnavailable: upstream did not answer, or with a fault.
    """
    serial = await _call(client, master, "changelog_last_serial")
    if not isinstance(serial, int):
        msg = f"upstream's serial is {serial!r:.80}, not a number"
        raise UpstreamUnavailable(msg)
    return serial


async def changes_since(client: Client, master: str, serial: int) -> Changes:
    """Return what changed after `serial` (`changelog_since_serial`), however much it is.

    Asks again while a call comes back full, and keeps no rows. Events that say nothing about the
    index (owners, invitations) are left out.

    Raises:
        NoChangelog: upstream has none.
        UpstreamUnavailable: upstream did not answer, or with a fault.
    """
    projects: dict[NormalizedName, int] = {}
    allowed_removals: dict[NormalizedName, AllowedRemoval] = {}
    earliest: float | None = None
    while True:
        rows = await _call(client, master, "changelog_since_serial", serial)
        count, before = 0, serial
        for row in _rows(rows):
            count += 1
            serial = max(serial, row.serial)
            if _ROLE_EVENT.match(row.action):
                continue
            try:
                project = canonicalize_name(row.name, validate=True)
            except InvalidName:
                continue  # can have no project page under any address
            if earliest is None:
                earliest = row.timestamp
            projects[project] = max(row.serial, projects.get(project, 0))
            if _REMOVAL.match(row.action):
                allowed_removals[project] = AllowedRemoval.PROJECT
            elif _LOSS.match(row.action) or project in allowed_removals:
                allowed_removals[project] = AllowedRemoval.FILES
        del rows
        if count < FULL_CALL:
            return Changes(projects, allowed_removals, serial, earliest)
        if serial == before:
            msg = f"upstream's changelog has {count} rows, and none with a serial above {before}"
            raise UpstreamUnavailable(msg)


@dataclass(frozen=True, slots=True)
class _Row:
    """One event, as far as it matters."""

    name: str
    timestamp: float | None
    action: str
    serial: int


def _rows(said: object) -> Iterator[_Row]:
    """Read the rows one by one: there may be 50,000 of them."""
    if not isinstance(said, list):
        msg = f"upstream's changelog is {said!r:.80}, not a list"
        raise UpstreamUnavailable(msg)
    for row in said:
        match row:
            case [name, _, timestamp, action, int(serial)]:
                when = float(timestamp) if isinstance(timestamp, int | float) else None
                yield _Row(str(name or ""), when, str(action or ""), serial)
            case _:
                msg = f"upstream's changelog has the row {row!r:.200}, which is no event"
                raise UpstreamUnavailable(msg)


async def _call(client: Client, master: str, method: str, *arguments: int) -> object:
    backoff = Backoff(client.clock)
    while True:
        try:
            return await _call_once(client, master, method, arguments)
        except _RateLimited as error:
            await backoff.wait(error)


class _RateLimited(UpstreamUnavailable):
    """Too many calls of late. Unlike other faults, it passes by itself within seconds."""


async def _call_once(
    client: Client, master: str, method: str, arguments: tuple[int, ...]
) -> object:
    answer = await client.fetch(
        f"{master}/pypi",
        limit=_LARGEST,
        headers={"Content-Type": "text/xml"},
        data=xmlrpc.client.dumps(arguments, method),
    )
    if answer.status in _NOT_SPOKEN:
        msg = f"upstream has no changelog: {answer.url} answers {answer.status} to {method}"
        raise NoChangelog(msg)
    if answer.status != HTTPStatus.OK:
        msg = f"{answer.url} answers {answer.status}"
        raise UpstreamUnavailable(msg)
    try:
        (said,) = xmlrpc.client.loads(answer.body)[0]
    except xmlrpc.client.Fault as fault:
        raise _refusal(fault, method) from fault
    except (ExpatError, xmlrpc.client.Error, ValueError, TypeError) as error:
        msg = f"upstream's answer to {method} is not XML-RPC: {error}"
        raise UpstreamUnavailable(msg) from error
    return said


def _refusal(fault: xmlrpc.client.Fault, method: str) -> FrumiousError:
    text = str(fault.faultString)
    msg = f"upstream refuses {method}: {text:.300}"
    if _TOO_MANY.search(text):
        seconds = _RESET.search(text)
        return _RateLimited(msg, retry_after=float(seconds[1]) if seconds else None)
    if fault.faultCode == _NO_SUCH_METHOD or _NO_METHOD.search(text):
        return NoChangelog(msg)
    return UpstreamUnavailable(msg)
