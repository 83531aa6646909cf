"""The cooldown: a file is selected only some days after its upload. It applies before all filters.

Without an upload time a file is not selected. Nothing after `not-after` is, exceptions or not.
"""

from __future__ import annotations

import math
from collections import defaultdict
from datetime import UTC, date, datetime, time, timedelta
from typing import TYPE_CHECKING, ClassVar, Final, Self

from msgspec import field
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet
from packaging.utils import NormalizedName, canonicalize_name

from frumious.config import filters, values
from frumious.model.blobs import same_bytes
from frumious.model.types import END_OF_TIME
from frumious.selection.filenames import is_filename, owners_of, parse_version
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.config.filters import FilterOptions
    from frumious.config.reader import Reader
    from frumious.model.pages import File, ProjectPage
    from frumious.selection.subject import ReleaseFile, Subject

_KEYS: Final = ("days", "not-after", "exceptions", "simple-all")
_DAY: Final = timedelta(days=1)


class Exceptions(Value, frozen=True):
    """Releases and files of a project to which a rule does not apply."""

    specifiers: tuple[SpecifierSet, ...] = ()  # of versions; an empty one contains all
    filenames: tuple[str, ...] = ()

    def has(self, each: ReleaseFile) -> bool:
        """Return whether a file is one of them; a version that is not valid is in no range."""
        version = parse_version(each.release or "")
        return each.file.filename in self.filenames or any(
            not specifier or (version is not None and specifier.contains(version, prereleases=True))
            for specifier in self.specifiers
        )


NO_EXCEPTIONS: Final = Exceptions()
_NOTHING: Final[Mapping[NormalizedName, Exceptions]] = {}


class Cooldown(Value, frozen=True):
    """Files whose upload is long enough ago."""

    name: ClassVar = "cooldown"
    seconds: float
    not_after: float = math.inf  # seconds since the epoch
    exceptions: Mapping[NormalizedName, Exceptions] = field(default_factory=dict)

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[cooldown] days`, `not-after` and `exceptions`."""
        reader = options.reader
        seconds = reader.get(cls.name, "days", filters.cooldown, 0.0)
        not_after = reader.get(cls.name, "not-after", last_moment, math.inf)
        exceptions = reader.get(cls.name, "exceptions", read_exceptions, _NOTHING)
        _check_keys(reader)
        return cls(seconds, not_after, exceptions) if seconds or not_after < math.inf else None

    @classmethod
    def reads_simple_all(cls, options: FilterOptions) -> bool:
        """Read `[cooldown] simple-all`: whether a second index shows what is held back."""
        return options.reader.get(cls.name, "simple-all", values.boolean, False)

    def held_back(self, subject: Subject) -> Mapping[str, float]:
        """Return the files that are not selected yet, and until when.

        Infinity is for those that no passing of time selects.
        """
        exceptions = self.exceptions.get(subject.project, NO_EXCEPTIONS)
        untils = {each.file.filename: self._until(each, exceptions) for each in subject.files}
        now = subject.context.now
        return {filename: until for filename, until in untils.items() if until > now}

    def _until(self, each: ReleaseFile, exceptions: Exceptions) -> float:
        uploaded = _seconds(each.file.upload_time)
        if self.not_after < math.inf and (uploaded is None or uploaded > self.not_after):
            return math.inf
        if exceptions.has(each):
            return 0.0
        until = math.inf if uploaded is None else uploaded + self.seconds
        return until if until < END_OF_TIME else math.inf


def with_known_times(page: ProjectPage, known: ProjectPage | None) -> ProjectPage:
    """Return upstream's page with the upload times that the mirror's has, where those are earlier.

    The same bytes are uploaded once: a time that upstream loses, or changes, must not take away
    what readers have.
    """
    before = {} if known is None else {file.filename: file for file in known.files}
    files = (_with_known_time(file, before.get(file.filename)) for file in page.files)
    return replace(page, files=tuple(files))


def _with_known_time(file: File, known: File | None) -> File:
    if known is None or known.upload_time == file.upload_time:
        return file
    earlier, now = _seconds(known.upload_time), _seconds(file.upload_time)
    is_earlier = earlier is not None and (now is None or earlier < now)
    if not is_earlier or not same_bytes(file.hashes, known.hashes):
        return file
    return replace(file, upload_time=known.upload_time)


def _seconds(text: str | None) -> float | None:
    """Return an upload time in seconds since the epoch; None if it is not valid (PEP 700)."""
    try:
        uploaded = datetime.fromisoformat(text) if text and "T" in text else None
        return None if uploaded is None else _in_utc(uploaded).timestamp()
    except (ValueError, OverflowError):
        return None


def _in_utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def last_moment(text: str) -> float:
    """Parse a date, whose last moment counts, or a time; both in UTC.

    Raises:
        ValueError: it is neither.
    """
    try:
        if "T" in text:
            return _in_utc(datetime.fromisoformat(text)).timestamp()
        next_day = datetime.combine(date.fromisoformat(text) + _DAY, time(), UTC)
        return math.nextafter(next_day.timestamp(), 0)
    except (ValueError, OverflowError):
        msg = "must be a date or a time in UTC, such as 2026-11-30 or 2026-11-30T12:00:00Z"
        raise ValueError(msg) from None


def read_exceptions(text: str) -> Mapping[NormalizedName, Exceptions]:
    """Parse projects, with optional version specifiers, and filenames, one on each line."""
    lines = filters.lines(text)
    files = [line for line in lines if is_filename(line)]
    specifiers: defaultdict[NormalizedName, set[str]] = defaultdict(set)
    for entry in values.requirements("\n".join(line for line in lines if not is_filename(line))):
        specifiers[canonicalize_name(entry.name)].add(str(entry.specifier))
    filenames: defaultdict[NormalizedName, set[str]] = defaultdict(set)
    for filename in files:
        owners = owners_of(filename)
        if not owners:
            msg = f"{filename!r:.100} is the name of no project's file"
            raise ValueError(msg)
        for owner in owners:
            filenames[owner].add(filename)
    return {
        project: Exceptions(
            tuple(map(SpecifierSet, sorted(specifiers.get(project, ())))),
            tuple(sorted(filenames.get(project, ()))),
        )
        for project in sorted(specifiers.keys() | filenames.keys())
    }


def _check_keys(reader: Reader) -> None:
    """Refuse what would be no cooldown, or a weaker one, by a slip."""
    keys = [*reader.keys(Cooldown.name)]
    reader.refuse_unknown(Cooldown.name, _KEYS)
    if not {"days", "not-after"} & {*keys}:
        for key in {"exceptions", "simple-all"}.intersection(keys):
            reader.add_mistake(Cooldown.name, key, "has no effect without days or not-after")
