"""Reads OSV's archive: a zip with one JSON file for each advisory.

What it may cost is bounded: its directory, the number and the sizes of its members, and what they
have together. A member that is invalid is passed over, and counted.
"""

from __future__ import annotations

import io
import logging
import zipfile
import zlib
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.advisories.osv import InvalidEntry, Parsed, most_severe, parse_entry
from frumious.errors import FrumiousError
from frumious.model.advisories import Action, Advisories, Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from packaging.utils import NormalizedName

    from frumious.model.advisories import Advisory

MAX_ENTRIES: Final = 200_000  # OSV has some 25,000 for PyPI
MAX_ENTRY: Final = 8 * 1024**2  # bytes; those with the most versions have some hundred KB
MAX_TOTAL: Final = 2 * 1024**3  # bytes of all entries
MAX_STEPS: Final = 200_000_000  # of the evaluation of all entries; see osv.MAX_STEPS
MAX_MEMORY: Final = 256 * 1024**2  # bytes that all entries take
MAX_KEPT: Final = 100_000  # advisories that block or report
_MAX_DIRECTORY: Final = 24 * 1024**2  # bytes that are read at once
_METHODS: Final = frozenset({zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED})
_MAX_INVALID: Final = 0.05  # of the entries; if more are invalid, the archive is
_MAX_LOGGED: Final = 10

logger = logging.getLogger(__name__)


class InvalidFeed(FrumiousError):
    """The feed is no archive of advisories."""


class _Bounded(io.BufferedReader):
    """A file of which nobody reads much at once: zipfile believes an archive's sizes."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > _MAX_DIRECTORY:
            msg = f"the directory of the archive has {size} bytes"
            raise InvalidFeed(msg)
        return super().read(size)


@dataclass(slots=True)
class _Entries:
    """The entries of an archive that are not withdrawn, and how many it has."""

    found: list[Parsed] = field(default_factory=list)
    valid: int = 0
    malware: int = 0
    skipped: int = 0


@dataclass(slots=True)
class _Spent:
    """What the entries of an archive have cost, those that are invalid as well.

    All methods raise InvalidFeed: it is too much.
    """

    bytes_: int = 0
    steps: int = 0
    memory: int = 0  # bytes

    def add_bytes(self, more: int) -> None:
        self.bytes_ += more
        _limit(self.bytes_, MAX_TOTAL, "bytes")

    def add_steps(self, more: int) -> None:
        self.steps += more
        _limit(self.steps, MAX_STEPS, "steps")

    def add_memory(self, more: int) -> None:
        self.memory += more
        _limit(self.memory, MAX_MEMORY, "bytes of memory")


def _limit(spent: int, limit: int, unit: str) -> None:
    if spent > limit:
        msg = f"the entries of the archive take more than {limit} {unit}"
        raise InvalidFeed(msg)


def read_archive(file: IO[bytes], action_of: Callable[[Severity], Action]) -> Advisories:
    """Return the advisories of an archive that block or report something.

    Raises:
        InvalidFeed: it is damaged, too large, or has no entry that is valid.
    """
    with _Bounded(io.FileIO(file.fileno(), closefd=False)) as bounded:
        try:
            with zipfile.ZipFile(bounded) as archive:
                entries = _read_entries(archive)
        except (zipfile.BadZipFile, NotImplementedError, ValueError, OSError) as error:
            msg = f"the archive is damaged: {error}"
            raise InvalidFeed(msg) from error
    if not entries.valid or entries.skipped > _MAX_INVALID * (entries.valid + entries.skipped):
        msg = f"{entries.skipped} of {entries.valid + entries.skipped} entries are invalid"
        raise InvalidFeed(msg)
    projects: dict[NormalizedName, list[Advisory]] = {}
    for project, advisory in _with_severities(entries.found):
        action = action_of(advisory.severity)
        if action is not Action.IGNORE:
            advisory = replace(advisory, blocks=action is Action.BLOCK)  # noqa: PLW2901
            projects.setdefault(project, []).append(advisory)
    if sum(map(len, projects.values())) > MAX_KEPT:
        msg = f"the policy selects more than {MAX_KEPT} advisories"
        raise InvalidFeed(msg)
    return Advisories(
        entries=entries.valid,
        malware=entries.malware,
        skipped=entries.skipped,
        projects={
            project: tuple(sorted(each, key=lambda advisory: advisory.id))
            for project, each in sorted(projects.items())
        },
    )


def _read_entries(archive: zipfile.ZipFile) -> _Entries:
    members = [each for each in archive.infolist() if each.filename.endswith(".json")]
    if len(members) > MAX_ENTRIES:
        msg = f"the archive has {len(members)} entries, more than {MAX_ENTRIES}"
        raise InvalidFeed(msg)
    entries, spent, seen = _Entries(), _Spent(), set[str]()
    for member in members:
        spent.add_bytes(min(member.file_size, MAX_ENTRY + 1))  # zipfile reads no more
        try:
            entry = parse_entry(_read(member, archive), spent.add_steps)
        except (InvalidEntry, zipfile.BadZipFile, zlib.error, EOFError, RuntimeError) as error:
            entries.skipped += 1
            if entries.skipped <= _MAX_LOGGED:
                extra = {"entry": member.filename[:200], "error": str(error)[:500]}
                logger.warning("an advisory is invalid: it does not count", extra=extra)
            continue
        if entry.id in seen:
            continue
        seen.add(entry.id)
        entries.valid += 1
        entries.malware += entry.severity is Severity.MALWARE
        if not entry.withdrawn and (entry.projects or entry.severity is not Severity.UNKNOWN):
            spent.add_memory(entry.size)
            entries.found.append(entry)
    return entries


def _read(member: zipfile.ZipInfo, archive: zipfile.ZipFile) -> bytes:
    if member.compress_type not in _METHODS:
        msg = f"it is compressed by method {member.compress_type}"
        raise InvalidEntry(msg)
    with archive.open(member) as opened:
        body = opened.read(MAX_ENTRY + 1)
    if len(body) > MAX_ENTRY:
        msg = f"it has more than {MAX_ENTRY} bytes"
        raise InvalidEntry(msg)
    return body


def _with_severities(entries: list[Parsed]) -> Iterator[tuple[NormalizedName, Advisory]]:
    """Yield what entries say of projects; where one has no severity, the highest of its aliases."""
    known: dict[str, Severity] = {}
    for entry in entries:
        for name in (entry.id, *entry.aliases):
            known[name] = most_severe((known.get(name, Severity.UNKNOWN), entry.severity))
    for entry in entries:
        for project, advisories in entry.projects.items():
            for advisory in advisories:
                yield project, _with_severity(advisory, known)


def _with_severity(advisory: Advisory, known: Mapping[str, Severity]) -> Advisory:
    if advisory.severity is not Severity.UNKNOWN:
        return advisory
    names = (advisory.id, *advisory.aliases)
    severity = most_severe(known.get(name, Severity.UNKNOWN) for name in names)
    if severity is Severity.MALWARE:  # that entry blocks what it says itself
        severity = Severity.CRITICAL
    return replace(advisory, severity=severity)
