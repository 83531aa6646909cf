"""Advisories of malware and vulnerabilities, as far as they block or report something.

They are what the planner keeps of the feed in `state/advisories/`.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace
from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from frumious.model.types import Count, ProjectName, Seconds
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from packaging.utils import NormalizedName

MAX_VERSIONS: Final = 20_000  # that an advisory lists for a project

AdvisoryId = Annotated[str, Meta(pattern=r"\A[A-Za-z0-9][A-Za-z0-9:._-]{0,99}\Z")]
Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
VersionText = Annotated[str, Meta(max_length=200)]


class Action(StrEnum):
    """What an advisory does to the versions that it affects."""

    BLOCK = "block"
    REPORT = "report"
    IGNORE = "ignore"


class Severity(StrEnum):
    """How severe an advisory is, the most severe first."""

    MALWARE = "malware"
    CRITICAL = "critical"
    HIGH = "high"
    MEDIUM = "medium"
    LOW = "low"
    UNKNOWN = "unknown"


class Span(Struct, frozen=True, array_like=True):
    """Versions that follow one another."""

    first: VersionText = ""  # empty: from the beginning
    last: VersionText = ""  # empty: without an end
    closed: bool = False  # whether `last` is one of them

    @property
    def has_all(self) -> bool:
        """Whether it has all versions, valid or not."""
        return not self.first and not self.last


class Advisory(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What an advisory says of one project."""

    id: AdvisoryId
    severity: Severity
    blocks: bool = True  # else it only reports
    aliases: tuple[AdvisoryId, ...] = ()
    versions: Annotated[tuple[VersionText, ...], Meta(max_length=MAX_VERSIONS)] = ()
    spans: tuple[Span, ...] = ()
    sha256: tuple[Sha256, ...] = ()  # of files

    @property
    def has_all(self) -> bool:
        """Whether it affects all versions."""
        return any(span.has_all for span in self.spans)

    def affects(self, text: str | None, sha256: str | None = None) -> bool:
        """Return whether it affects a version, or a file; the version is None if it is unknown.

        A version that is not valid (PEP 440) is in no range but that of all versions.
        """
        if self.has_all or (sha256 is not None and sha256 in self.sha256):
            return True
        if text is None:
            return False
        version = _version(text)
        if version is None:
            return text in self.versions
        return any(_version(each) == version for each in self.versions) or any(
            _is_in(version, span) for span in self.spans
        )


class Waiver(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An exception: what advisories do not block until a time."""

    advisory: str = ""  # its id, or an alias; empty: any
    project: str = ""  # empty: any
    versions: str = ""  # a version specifier; empty: all
    until: Seconds

    def concerns(self, advisory: Advisory, project: str) -> bool:
        """Return whether it is an exception from an advisory of a project."""
        if self.advisory and self.advisory not in {advisory.id, *advisory.aliases}:
            return False
        return self.project in {"", project}

    def covers(self, text: str | None) -> bool:
        """Return whether it is an exception for a version; None: for all of them."""
        if not self.versions:
            return True
        version = None if text is None else _version(text)
        specifiers = _specifiers(self.versions)
        if version is None or specifiers is None:
            return False
        return specifiers.contains(version, prereleases=True)


class FeedProblem(StrEnum):
    """Why the last good feed counts instead of the current one, as the public may know it."""

    UNAVAILABLE = "the feed of advisories cannot be read"
    INVALID = "the feed of advisories is broken"
    SHRUNK = "the feed of advisories has lost too many entries"
    EXCESSIVE = "the feed of advisories blocks more of the mirror than max-blocked allows"


class Feed(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """How far the mirror follows the feed, as the cursor keeps it."""

    digest: Annotated[str, Meta(pattern=r"\A([0-9a-f]{32})?\Z")] = ""  # names the state file
    asked: Seconds = 0.0  # when it was last read, or that was tried
    read: Seconds = 0.0  # when that last succeeded
    policy: str = ""  # the fingerprint of the policy with which that was tried
    waivers: str = ""  # the fingerprint of the exceptions that are in force
    problem: FeedProblem | None = None
    malware: Count = 0  # advisories that block, of each kind
    blocking: Count = 0
    reporting: Count = 0
    projects: Count = 0  # that are blocked in part or as a whole, mirrored or not
    skipped: Count = 0  # entries of the feed that are invalid

    def at(self, now: float, latest: float) -> Feed:
        """Return the same without times after `latest`, which a wrong clock left."""
        return replace(
            self,
            asked=self.asked if self.asked <= latest else 0.0,
            read=self.read if self.read <= latest else now,
        )


class Advisories(Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The advisories that count: the last good feed by the policy, and the exceptions from it."""

    source: str = ""  # the fingerprint of the feed's address
    policy: str = ""  # the fingerprint of what selects advisories
    etag: Annotated[str, Meta(max_length=1000)] = ""  # of the feed
    entries: Count = 0  # of the feed that are valid
    malware: Count = 0  # of these
    skipped: Count = 0  # entries that are invalid
    projects: Mapping[ProjectName, tuple[Advisory, ...]] = {}
    waivers: tuple[Waiver, ...] = ()

    def of(self, project: NormalizedName) -> ProjectAdvisories:
        """Return what concerns a project."""
        advisories = self.projects.get(project, ())
        if not advisories:
            return NO_ADVISORIES
        waivers = [
            each
            for each in self.waivers
            if any(each.concerns(advisory, project) for advisory in advisories)
        ]
        return ProjectAdvisories(project, advisories, tuple(waivers))

    def wholly_blocked(self) -> Iterator[NormalizedName]:
        """Yield the projects that are blocked as a whole."""
        for project in self.projects:
            if self.of(project).blocker is not None:
                yield project


class ProjectAdvisories(Value, frozen=True, dict=True):
    """What advisories say of one project."""

    project: str = ""
    advisories: tuple[Advisory, ...] = ()
    waivers: tuple[Waiver, ...] = ()

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.advisories)

    @cached_property
    def blocking(self) -> tuple[Advisory, ...]:
        """The advisories that block something, the most severe first."""
        blocking = (each for each in self.advisories if each.blocks and not self._waives(each))
        return tuple(sorted(blocking, key=_order))

    @cached_property
    def blocker(self) -> Advisory | None:
        """The advisory that blocks the project as a whole; None: there is none."""
        return next((each for each in self.blocking if each.has_all and self._is_plain(each)), None)

    @property
    def is_malware(self) -> bool:
        """Whether malware is blocked."""
        return any(each.severity is Severity.MALWARE for each in self.blocking)

    def blocker_of(self, version: str | None, sha256: str | None = None) -> Advisory | None:
        """Return the advisory that blocks a version, or a file; None: there is none."""
        for advisory in self.blocking:
            if advisory.affects(version, sha256) and not self._waives(advisory, version):
                return advisory
        return None

    def reporters_of(self, version: str | None, sha256: str | None = None) -> list[Advisory]:
        """Return the advisories that affect a version, or a file, and block nothing."""
        return [
            each
            for each in sorted(self.advisories, key=_order)
            if not each.blocks and each.affects(version, sha256)
        ]

    def _waives(self, advisory: Advisory, version: str | None = None) -> bool:
        """Return whether an exception covers a version; without one, all versions."""
        return any(each.covers(version) for each in self._waivers_of(advisory))

    def _is_plain(self, advisory: Advisory) -> bool:
        """Return whether no exception from the advisory is in force, not even for a version."""
        return not any(self._waivers_of(advisory))

    def _waivers_of(self, advisory: Advisory) -> Iterable[Waiver]:
        return (each for each in self.waivers if each.concerns(advisory, self.project))


NO_ADVISORIES: Final = ProjectAdvisories()
_SEVERITIES: Final = list(Severity)


def _order(advisory: Advisory) -> tuple[int, str]:
    return _SEVERITIES.index(advisory.severity), advisory.id


@lru_cache(100_000)
def _version(text: str) -> Version | None:
    try:
        return Version(text)
    except InvalidVersion:
        return None


@lru_cache(1000)
def _specifiers(text: str) -> SpecifierSet | None:
    try:
        return SpecifierSet(text)
    except InvalidSpecifier:
        return None


def _is_in(version: Version, span: Span) -> bool:
    first = _version(span.first) if span.first else None
    last = _version(span.last) if span.last else None
    if (span.first and first is None) or (span.last and last is None):
        return False
    if first is not None and version < first:
        return False
    return last is None or version < last or (span.closed and version == last)
