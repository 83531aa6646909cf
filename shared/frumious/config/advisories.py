"""`[advisories]`: where the feed is, and what its entries do."""

from __future__ import annotations

import calendar
import hashlib
import re
import time
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from msgspec import field
from msgspec.structs import replace
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from frumious.config import values
from frumious.config.choices import Removals
from frumious.model.advisories import Action, Severity, Waiver
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from frumious.config.reader import Reader

# OSV's "Data dumps": a zip of all entries for an ecosystem, https://google.github.io/osv.dev/data/.
OSV: Final = "https://osv-vulnerabilities.storage.googleapis.com/PyPI/all.zip"
SECTION: Final = "advisories"

_DAY: Final = 24 * 3600  # seconds
_UNITS: Final = {"s": 1, "m": 60, "h": 3600, "d": _DAY}
_MAX_BLOCKED: Final = Removals()
_RATED: Final[list[Severity]] = [
    Severity.CRITICAL,
    Severity.HIGH,
    Severity.MEDIUM,
    Severity.LOW,
]
_DEFAULTS: Final = {Severity.MALWARE: Action.BLOCK}
_POLICY: Final = re.compile(r"severity\s*>=\s*(\w+)(?:\s+(\w+))?")
_WAIVER: Final = re.compile(r"(?P<what>.+?)\s+until\s+(?P<until>\d{4}-\d{2}-\d{2})")
_ID: Final = re.compile(r"(MAL|GHSA|PYSEC|CVE|OSV)-[A-Za-z0-9-]+", re.IGNORECASE)


class AdvisoryPolicy(Value, frozen=True, kw_only=True):
    """Which advisories count, and what for. Times are seconds."""

    feed: str = OSV  # https://..., s3://bucket/key, or the path of a file
    every: float = 3600.0  # how often the feed is read
    actions: Mapping[Severity, Action] = field(default_factory=lambda: _DEFAULTS)
    waivers: tuple[Waiver, ...] = ()
    max_blocked: Removals = _MAX_BLOCKED  # mirrored projects that a change of the feed may block
    max_shrinking: float = 0.2  # share of the entries that the feed may lose at once

    def action_of(self, severity: Severity) -> Action:
        """Return what advisories of a severity do."""
        return self.actions.get(severity, Action.IGNORE)

    @property
    def source(self) -> str:
        """Identify the feed."""
        return hashlib.sha256(self.feed.encode()).hexdigest()[:16]

    @property
    def fingerprint(self) -> str:
        """Identify the feed and what selects its entries."""
        actions = sorted((key.value, action.value) for key, action in self.actions.items())
        return hashlib.sha256(repr((self.feed, actions)).encode()).hexdigest()[:16]

    def waivers_at(self, now: float) -> tuple[Waiver, ...]:
        """Return the exceptions that are in force."""
        return tuple(each for each in self.waivers if now < each.until)


def read_advisories(reader: Reader, *, insecure: bool) -> AdvisoryPolicy | None:
    """Read `[advisories]`; None: there is no such section, or it is not enabled."""
    enabled = reader.get(SECTION, "enabled", values.boolean, True)
    default = AdvisoryPolicy()
    actions = reader.get(SECTION, "policy", _policy, dict[Severity, Action]())
    for severity in Severity:
        default_action = actions.get(severity, _DEFAULTS.get(severity, Action.IGNORE))
        actions[severity] = reader.get(
            SECTION, severity.value, values.choice(Action), default_action
        )
    policy = replace(
        default,
        feed=reader.get(SECTION, "feed", _feed(insecure=insecure), default.feed),
        every=reader.get(SECTION, "every", _interval, default.every),
        actions=actions,
        waivers=reader.get(SECTION, "exceptions", _waivers, default.waivers),
        max_blocked=reader.get(SECTION, "max-blocked", values.removals, default.max_blocked),
        max_shrinking=reader.get(SECTION, "max-shrinking", _share, default.max_shrinking),
    )
    return policy if enabled and reader.has_section(SECTION) else None


def _feed(*, insecure: bool) -> Callable[[str], str]:
    parse_url = values.url(insecure=insecure)

    def parse(text: str) -> str:
        if text.startswith("/") and Path(text).name:
            return text
        parts = urlsplit(text)
        if parts.scheme == "s3":
            if parts.netloc and parts.path.strip("/"):
                return text
        elif parts.scheme in {"http", "https"}:
            return parse_url(text)
        msg = "must be https://..., s3://bucket/key, or the absolute path of a file"
        raise ValueError(msg)

    return parse


def _interval(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([smhd])", text)
    seconds = float(match[1]) * _UNITS[match[2]] if match else 0.0
    if 60 <= seconds <= 30 * _DAY:  # noqa: PLR2004
        return seconds
    msg = "must be a time from 1m to 30d, such as 30m or 1h"
    raise ValueError(msg)


def _share(text: str) -> float:
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%", text)
    if match is None or float(match[1]) > 100:  # noqa: PLR2004
        msg = "must be a share, such as 20%"
        raise ValueError(msg)
    return float(match[1]) / 100


def _policy(text: str) -> dict[Severity, Action]:
    """Parse lines such as `severity >= critical` and `severity >= medium report`."""
    actions: dict[Severity, Action] = {}
    for line in filter(None, map(_without_comment, text.splitlines())):
        match = _POLICY.fullmatch(line)
        least = match[1].lower() if match else ""
        action = (match[2] or Action.BLOCK).lower() if match else ""
        if least not in _RATED or action not in list(Action):
            levels = ", ".join(_RATED)
            msg = f"{line!r:.80} is not 'severity >= LEVEL [block|report]'; a LEVEL is {levels}"
            raise ValueError(msg)
        for severity in _RATED[: _RATED.index(Severity(least)) + 1]:
            if action == Action.BLOCK or severity not in actions:
                actions[severity] = Action(action)
    return actions


def _waivers(text: str) -> tuple[Waiver, ...]:
    """Parse lines such as `GHSA-xxxx until 2026-12-31`, `MAL-2026-1 demo == 1.0 until ...`."""
    return tuple(_waiver(line) for line in filter(None, map(_without_comment, text.splitlines())))


def _waiver(line: str) -> Waiver:
    match = _WAIVER.fullmatch(line)
    if match is None:
        msg = (
            f"{line!r:.80} has no end: each exception is an advisory's ID, a project with an"
            " optional version specifier, or both, and then 'until YYYY-MM-DD'"
        )
        raise ValueError(msg)
    first, _, rest = match["what"].partition(" ")
    advisory, rest = (first, rest.strip()) if _ID.fullmatch(first) else ("", match["what"])
    project = versions = ""
    try:
        if rest:
            requirement = Requirement(rest)
            project, versions = canonicalize_name(requirement.name), str(requirement.specifier)
        day = time.strptime(match["until"], "%Y-%m-%d")
    except (InvalidRequirement, ValueError, OverflowError) as error:
        msg = f"{line!r:.80}: {error}"
        raise ValueError(msg) from None
    until = float(calendar.timegm(day) + _DAY)  # the day itself counts
    return Waiver(advisory=_as_written(advisory), project=project, versions=versions, until=until)


def _as_written(advisory: str) -> str:
    """Return an ID as databases write it: only the ID proper of GitHub's is in lower case."""
    database, _, rest = advisory.partition("-")
    database = database.upper()
    return f"{database}-{rest.lower() if database == 'GHSA' else rest}" if advisory else ""


def _without_comment(line: str) -> str:
    return line.partition("#")[0].strip()
