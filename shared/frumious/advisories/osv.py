"""Entries of OSV's archive as advisories: https://ossf.github.io/osv-schema/.

Unknown keys are ignored. What an entry says of other ecosystems is as well.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Final

import msgspec
from msgspec import Meta, Struct
from packaging.utils import NormalizedName, canonicalize_name
from packaging.version import InvalidVersion, Version

from frumious.advisories.cvss import severity_of_vector
from frumious.model.advisories import (
    MAX_VERSIONS,
    Advisory,
    AdvisoryId,
    Severity,
    Span,
    VersionText,
)
from frumious.model.layout import is_project

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

_ECOSYSTEM: Final = "PyPI"
_MALWARE: Final = "MAL-"
# Steps that the evaluation of an entry may take, each less than a microsecond: it compares each
# version with each range.
MAX_STEPS: Final = 5_000_000
_PARSING: Final = 10  # steps that a version or a vector takes by itself
_TEXT_BYTES: Final = 57  # of a text in a tuple, and one for each character
_STRUCT_BYTES: Final = 200
_MAX_AFFECTED: Final = 1000
_MAX_EVENTS: Final = 1000
# GitHub's words, in `database_specific`.
_WORDS: Final = {
    "critical": Severity.CRITICAL,
    "high": Severity.HIGH,
    "moderate": Severity.MEDIUM,
    "medium": Severity.MEDIUM,
    "low": Severity.LOW,
}
_SEVERITIES: Final = list(Severity)
_FIXED, _INTRODUCED, _LAST = range(3)  # in the order in which they count at the same version
_ZERO: Final = Version("0")
_SHA256_LENGTH: Final = 64


class _Package(Struct):
    ecosystem: str
    name: Annotated[str, Meta(max_length=1000)]


class _Event(Struct):
    introduced: VersionText | None = None
    fixed: VersionText | None = None
    last_affected: VersionText | None = None
    limit: VersionText | None = None


class _Range(Struct):
    type: str
    events: Annotated[list[_Event], Meta(max_length=_MAX_EVENTS)] = []


class _Vector(Struct):
    type: str
    score: Annotated[str, Meta(max_length=1000)]


class _Affected(Struct):
    package: _Package | None = None
    versions: Annotated[list[VersionText], Meta(max_length=MAX_VERSIONS)] | None = None
    ranges: Annotated[list[_Range], Meta(max_length=_MAX_EVENTS)] | None = None
    severity: list[_Vector] | None = None
    database_specific: dict[str, Any] | None = None


class _Entry(Struct):
    id: AdvisoryId
    withdrawn: str | None = None
    aliases: Annotated[list[AdvisoryId], Meta(max_length=_MAX_AFFECTED)] | None = None
    affected: Annotated[list[_Affected], Meta(max_length=_MAX_AFFECTED)] | None = None
    severity: list[_Vector] | None = None
    database_specific: dict[str, Any] | None = None


class Parsed(Struct, frozen=True):
    """What an entry of the archive says."""

    id: str
    aliases: tuple[str, ...]
    severity: Severity  # UNKNOWN: that of an alias counts
    withdrawn: bool
    projects: dict[NormalizedName, list[Advisory]]  # of PyPI

    @property
    def size(self) -> int:
        """About how many bytes of memory it takes."""
        kept = [advisory for each in self.projects.values() for advisory in each]
        texts = [*self.aliases]
        for advisory in kept:
            texts += (*advisory.versions, *advisory.sha256)
        spans = sum(len(advisory.spans) for advisory in kept)
        structs = (1 + len(kept) + spans) * _STRUCT_BYTES
        return structs + sum(_TEXT_BYTES + len(text) for text in texts)


class InvalidEntry(ValueError):
    """An entry that does not follow the schema, or does not say what it affects."""


_decoder = msgspec.json.Decoder(_Entry)


def parse_entry(body: bytes, count: Callable[[int], None] = lambda _: None) -> Parsed:
    """Parse an entry; `count` gets the steps that this takes, before they are taken.

    Raises:
        InvalidEntry: it is invalid, or takes more than MAX_STEPS.
    """
    try:
        entry = _decoder.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        msg = f"it does not follow the schema: {error}"
        raise InvalidEntry(msg) from error
    steps = _steps(entry)
    if steps > MAX_STEPS:
        msg = f"its versions and ranges take more than {MAX_STEPS} steps"
        raise InvalidEntry(msg)
    count(steps)
    projects: dict[NormalizedName, list[Advisory]] = {}
    severity = _severity(entry)
    aliases = tuple(entry.aliases or ())
    for affected in entry.affected or ():
        package = affected.package
        if package is None or package.ecosystem.partition(":")[0] != _ECOSYSTEM:
            continue
        project = canonicalize_name(package.name)
        if not is_project(project):
            msg = f"it affects {package.name!r:.120}, which no project is called"
            raise InvalidEntry(msg)
        own = _of_vectors(affected.severity) if severity is Severity.UNKNOWN else severity
        spans = tuple(dict.fromkeys(_spans(affected.ranges or ())))
        advisory = Advisory(
            id=entry.id,
            severity=own,
            aliases=aliases,
            versions=_versions(affected.versions or (), spans),
            spans=spans,
            sha256=tuple(sorted(_file_hashes(affected.database_specific or {}))),
        )
        if not (advisory.versions or advisory.spans or advisory.sha256):
            msg = f"it does not say which versions of {project!r} it affects"
            raise InvalidEntry(msg)
        projects.setdefault(project, []).append(advisory)
    return Parsed(entry.id, aliases, severity, bool(entry.withdrawn), projects)


def _steps(entry: _Entry) -> int:
    """Return about how many steps the evaluation of an entry takes."""
    steps = _PARSING * len(entry.severity or ())
    for affected in entry.affected or ():
        events = sum(len(each.events) for each in affected.ranges or ())
        rated = events + len(affected.severity or ())
        steps += _PARSING * rated + len(affected.versions or ()) * (_PARSING + events)
    return steps


def _severity(entry: _Entry) -> Severity:
    """Return the severity: that of the database's words, else the highest of the CVSS vectors."""
    if entry.id.startswith(_MALWARE):
        return Severity.MALWARE
    word = str((entry.database_specific or {}).get("severity")).lower()
    return _WORDS.get(word) or _of_vectors(entry.severity)


def _of_vectors(vectors: Iterable[_Vector] | None) -> Severity:
    found = [severity_of_vector(each.score) for each in vectors or ()]
    return most_severe(found)


def most_severe(severities: Iterable[Severity]) -> Severity:
    """Return the most severe; UNKNOWN if there are none."""
    return min(severities, key=_SEVERITIES.index, default=Severity.UNKNOWN)


def _spans(ranges: Iterable[_Range]) -> Iterator[Span]:
    """Return what the ranges have, as the schema evaluates them.

    Other types than ECOSYSTEM are not of versions as PyPI has them.

    Raises:
        InvalidEntry: a version is not valid.
    """
    for each in ranges:
        if each.type != "ECOSYSTEM":
            continue
        yield from _spans_of(each.events)


def _spans_of(events: Iterable[_Event]) -> Iterator[Span]:
    changes: list[tuple[Version | None, int]] = []  # None: before all versions
    limits: list[str] = []
    for event in events:
        match event:
            case _Event(introduced=str(text)):
                changes.append((None if text == "0" else _valid(text), _INTRODUCED))
            case _Event(fixed=str(text)):
                changes.append((_valid(text), _FIXED))
            case _Event(last_affected=str(text)):
                changes.append((_valid(text), _LAST))
            case _Event(limit=str(text)):
                limits.append(text)
    limit = None if not limits or "*" in limits else max(map(_valid, limits))
    changes.sort(key=lambda each: (each[0] is not None, each[0] or _ZERO, each[1]))
    first: str | None = None
    for version, kind in changes:
        text = "" if version is None else str(version)
        if kind == _INTRODUCED:
            first = text if first is None else first
        elif first is not None:
            yield from _limited(Span(first, text, kind == _LAST), limit)
            first = None
    if first is not None:
        yield from _limited(Span(first), limit)


def _limited(span: Span, limit: Version | None) -> Iterator[Span]:
    """Return what a span has below a limit."""
    if limit is not None and span.first and Version(span.first) >= limit:
        return
    if limit is not None and (not span.last or Version(span.last) >= limit):
        span = Span(span.first, str(limit))
    yield span


def _versions(texts: Iterable[str], spans: tuple[Span, ...]) -> tuple[str, ...]:
    """Return the listed versions that no range has: OSV lists those as well."""
    of_ranges = Advisory(id="x", severity=Severity.UNKNOWN, spans=spans)
    return tuple(sorted({text for text in texts if text and not of_ranges.affects(text)}))


def _file_hashes(specific: dict[str, Any]) -> set[str]:
    """Return the hashes of malicious files, as GitHub's advisories of malware have them."""
    indicators = specific.get("indicators")
    files = indicators.get("package_integrity") if isinstance(indicators, dict) else None
    found: set[str] = set()
    for file in files if isinstance(files, list) else ():
        hashes = file.get("hashes") if isinstance(file, dict) else None
        for holder in (file, hashes):
            if isinstance(holder, dict):
                text = str(holder.get("sha256")).lower()
                if len(text) == _SHA256_LENGTH and all(each in "0123456789abcdef" for each in text):
                    found.add(text)
    return found


def _valid(text: str) -> Version:
    try:
        return Version(text)
    except InvalidVersion as error:
        msg = f"a range ends or begins at {text!r:.120}, which is not a version"
        raise InvalidEntry(msg) from error
