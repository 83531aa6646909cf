"""Filters of projects and files by PyPI's legacy JSON, which is requested only for them.

A key of their sections is the path of a value, `info.classifiers` or `release_file.packagetype`,
with tags before it: `not-null:info.license`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Final, Protocol, Self, TypeVar

from frumious.config import filters, values
from frumious.selection.names import matches_any
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.version import Version

    from frumious.config.filters import FilterOptions
    from frumious.model.types import Json, JsonObject
    from frumious.selection.subject import ReleaseFile, Subject

    V = TypeVar("V")

_SEARCH: Final = "search"  # the only key of the sections that is no path
_MODES: Final = ("any", "all", "none")
_NULLS: Final = {"match-null": True, "not-null": False}


class _Path(Value, frozen=True):
    """Where a value is, and what matches."""

    names: tuple[str, ...]
    mode: str  # how many of the patterns have to match
    null_matches: bool  # whether a missing value does

    @classmethod
    def parse(cls, key: str) -> Self:
        """Parse a key such as `all:not-null:info.classifiers`.

        Raises:
            ValueError: it has an unknown tag.
        """
        *tags, path = key.split(":")
        if not path or not {*tags} <= {*_MODES, *_NULLS}:
            msg = f"the tags before the path must be some of {', '.join((*_MODES, *_NULLS))}"
            raise ValueError(msg)
        mode = next((tag for tag in tags if tag in _MODES), "any")
        nulls = next((_NULLS[tag] for tag in tags if tag in _NULLS), True)
        return cls(tuple(path.split(".")), mode, nulls)

    def value(self, data: JsonObject) -> Json:
        """Return the value; None if there is none."""
        value: Json = data
        for name in self.names:
            value = value.get(name) if isinstance(value, dict) else None
        return value


class _Rule(Protocol):
    """A condition on a value."""

    def matches(self, data: JsonObject) -> bool:
        """Return whether the value meets it."""


class _ReadRules(Protocol):
    """Reads the rules of a section."""

    def __call__(self, section: str, options: FilterOptions, /) -> tuple[_Rule, ...]: ...


class _PatternRule(Value, frozen=True):
    """Regular expressions of which a value, or an element of a list, matches some."""

    path: _Path
    patterns: tuple[str, ...]
    search: bool  # anywhere in the value; else from its beginning

    def matches(self, data: JsonObject) -> bool:
        value = self.path.value(data)
        if value is None or value == []:
            return self.path.null_matches
        texts = [str(each) for each in (value if isinstance(value, list) else [value])]
        found = (
            any(matches_any((pattern,), text, search=self.search) for text in texts)
            for pattern in self.patterns
        )
        if self.path.mode == "all":
            return all(found)
        return any(found) is (self.path.mode == "any")


class _VersionRule(Value, frozen=True):
    """Versions of which a version specifier contains some."""

    path: _Path
    versions: tuple[Version, ...]

    def matches(self, data: JsonObject) -> bool:
        specifier = filters.specifier(self.path.value(data))
        if specifier is None:
            return self.path.null_matches
        return any(specifier.contains(version, prereleases=True) for version in self.versions)


def _pattern_rules(section: str, options: FilterOptions) -> tuple[_Rule, ...]:
    search = options.reader.get(section, _SEARCH, values.boolean, False)
    rules = _entries(section, options, filters.patterns)
    return tuple(_PatternRule(path, patterns, search) for path, patterns in rules)


def _version_rules(section: str, options: FilterOptions) -> tuple[_Rule, ...]:
    rules = _entries(section, options, filters.versions)
    return tuple(_VersionRule(path, versions) for path, versions in rules)


def _entries(
    section: str, options: FilterOptions, parse: Callable[[str], tuple[V, ...]]
) -> Iterator[tuple[_Path, tuple[V, ...]]]:
    """Yield the paths of a section with their values, but for those that have none."""
    empty: tuple[V, ...] = ()
    for key in options.reader.keys(section):
        if key == _SEARCH:
            continue
        found = options.reader.get(section, key, parse, empty)
        try:
            path = _Path.parse(key)
        except ValueError as error:
            options.reader.add_mistake(section, key, str(error))
        else:
            if found:
                yield path, found


class _Filter(Value, frozen=True):
    """A filter whose section has rules: all of them have to be met."""

    name: ClassVar[str]  # of its section, too
    read_rules: ClassVar[_ReadRules]
    needs_legacy: ClassVar = True
    rules: tuple[_Rule, ...]

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read the section; None if it has no rules."""
        rules = cls.read_rules(cls.name, options)
        return cls(rules) if rules else None

    def _meets(self, data: JsonObject) -> bool:
        return all(rule.matches(data) for rule in self.rules)


class _ProjectFilter(_Filter, frozen=True):
    def wants(self, subject: Subject) -> bool:
        """Return whether the project's legacy JSON meets all rules."""
        return self._meets(subject.legacy)


class _FileFilter(_Filter, frozen=True):
    def wants(self, subject: Subject, each: ReleaseFile) -> bool:
        """Return whether the file's part of the legacy JSON meets all rules."""
        return self._meets(subject.legacy_of(each))


class ProjectPatterns(_ProjectFilter, frozen=True):
    """Projects whose values match regular expressions."""

    name: ClassVar = "regex_project_metadata"
    read_rules = staticmethod(_pattern_rules)


class ProjectVersions(_ProjectFilter, frozen=True):
    """Projects whose version specifiers contain one of some versions."""

    name: ClassVar = "version_range_project_metadata"
    read_rules = staticmethod(_version_rules)


class FilePatterns(_FileFilter, frozen=True):
    """Files whose values match regular expressions."""

    name: ClassVar = "regex_release_file_metadata"
    read_rules = staticmethod(_pattern_rules)


class FileVersions(_FileFilter, frozen=True):
    """Files whose version specifiers, such as `requires_python`, contain one of some versions."""

    name: ClassVar = "version_range_release_file_metadata"
    read_rules = staticmethod(_version_rules)
