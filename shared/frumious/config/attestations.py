"""`[attestations]`: of which projects attestations are verified, and what follows."""

from __future__ import annotations

import re
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Final

from msgspec import field
from packaging.utils import canonicalize_name

from frumious.config import filters
from frumious.selection.cooldown import Exceptions, read_exceptions
from frumious.selection.fingerprints import fingerprint
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.config.reader import Reader

SECTION: Final = "attestations"
_KEYS: Final = ("trust-root", "report", "require", "publishers", "exceptions")
_NAME: Final = re.compile(r"[a-z0-9*]+(-[a-z0-9*]+)*")
_PUBLISHER: Final = re.compile(r"(github\.com|gitlab\.com|accounts\.google\.com|circleci\.com)/\S+")


class Mode(StrEnum):
    """What follows from a fault of a project's attestations."""

    REPORT = "report"  # an alarm
    REQUIRE = "require"  # also that the file is kept out


class Names(Value, frozen=True):
    """Names of projects, and patterns with `*`; all normalised."""

    names: frozenset[NormalizedName] = frozenset()
    patterns: tuple[str, ...] = ()

    def has(self, project: NormalizedName) -> bool:
        """Return whether a project is one of them."""
        return project in self.names or any(
            re.fullmatch(re.escape(each).replace(r"\*", ".*"), project) for each in self.patterns
        )


_NOBODY: Final = Names()


class AttestationPolicy(Value, frozen=True):
    """Of which projects attestations are verified, by which trust root, and what follows."""

    trust_root: Path
    required: Names = _NOBODY
    reported: Names = _NOBODY
    publishers: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)
    exceptions: Mapping[NormalizedName, Exceptions] = field(default_factory=dict)

    def mode(self, project: NormalizedName) -> Mode | None:
        """Return what follows for a project; None: its attestations are not verified."""
        if self.required.has(project):
            return Mode.REQUIRE
        return Mode.REPORT if self.reported.has(project) else None

    def accepts(self, project: NormalizedName, publisher: str, known: tuple[str, ...]) -> bool:
        """Return whether a publisher is the project's: a listed one, else one of those known.

        `github.com/example/demo` accepts all workflows of that repository. The hosts ignore case.
        """
        listed = self.publishers.get(project)
        if listed is None:
            return not known or publisher in known
        publisher = publisher.lower()
        return any(publisher == each or publisher.startswith(f"{each}/") for each in listed)

    @property
    def projects(self) -> frozenset[NormalizedName]:
        """The projects with rules of their own."""
        return frozenset(
            (*self.required.names, *self.reported.names, *self.publishers, *self.exceptions)
        )

    def rules_fingerprint(self, project: NormalizedName) -> str:
        """Identify the rules of a project alone; empty without any."""
        listed, exceptions = self.publishers.get(project), self.exceptions.get(project)
        is_named = project in self.required.names or project in self.reported.names
        if not (is_named or listed or exceptions):
            return ""
        return fingerprint(self.mode(project), listed, exceptions)

    @property
    def pages_fingerprint(self) -> str:
        """Identify what concerns any project; empty without patterns."""
        patterns = (self.required.patterns, self.reported.patterns)
        return fingerprint(*patterns) if any(patterns) else ""


def read_attestations(reader: Reader) -> AttestationPolicy | None:
    """Read `[attestations]`; None: there is no such section."""
    path: Path | None = None
    no_publishers: Mapping[NormalizedName, tuple[str, ...]] = {}
    no_exceptions: Mapping[NormalizedName, Exceptions] = {}
    trust_root = reader.get(SECTION, "trust-root", _path, path)
    policy = AttestationPolicy(
        trust_root or Path(),
        required=reader.get(SECTION, "require", _names, _NOBODY),
        reported=reader.get(SECTION, "report", _names, _NOBODY),
        publishers=reader.get(SECTION, "publishers", _publishers, no_publishers),
        exceptions=reader.get(SECTION, "exceptions", read_exceptions, no_exceptions),
    )
    if not reader.has_section(SECTION):
        return None
    reader.refuse_unknown(SECTION, _KEYS)  # a slip in `require` would let files in
    if policy.required == policy.reported == _NOBODY:
        reader.mistakes.append("[attestations] names no project; list them as report or require")
    if not reader.has(SECTION, "trust-root"):
        reader.mistakes.append(
            "[attestations] trust-root is missing; it is the file of Sigstore's trust root"
            " (docs/operations.md)"
        )
    return policy


def _path(text: str) -> Path:
    if not text:
        msg = "must be the path of a file"
        raise ValueError(msg)
    return Path(text)


def _names(text: str) -> Names:
    """Parse names of projects and patterns with `*`, one on each line."""
    found = {re.sub(r"[-_.]+", "-", line).lower() for line in filters.lines(text)}
    for each in sorted(found):
        if not _NAME.fullmatch(each):
            msg = f"{each!r:.120} is not a project's name, nor a pattern such as acme-* or *"
            raise ValueError(msg)
    patterns = tuple(sorted(each for each in found if "*" in each))
    return Names(frozenset(map(canonicalize_name, found.difference(patterns))), patterns)


def _publishers(text: str) -> Mapping[NormalizedName, tuple[str, ...]]:
    """Parse lines such as `demo github.com/example/demo`."""
    found: dict[NormalizedName, set[str]] = {}
    for line in filters.lines(text):
        name, _, publisher = line.partition(" ")
        publisher = publisher.strip().rstrip("/")
        if not _NAME.fullmatch(canonicalize_name(name)) or not _PUBLISHER.fullmatch(publisher):
            msg = f"{line!r:.120} is not a project and a publisher, such as github.com/OWNER/NAME"
            raise ValueError(msg)
        found.setdefault(canonicalize_name(name), set()).add(publisher.lower())
    return {project: tuple(sorted(found[project])) for project in sorted(found)}
