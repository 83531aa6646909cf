"""The closure: which projects are needed, and which of their releases. Pure.

`closure = true` selects each release that one of the requirements allows, `closure = latest` the
newest one that satisfies all of them. Nothing is resolved: no version rules out another.
"""

from __future__ import annotations

from collections import defaultdict, deque
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from msgspec import field
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from frumious.config import values
from frumious.model.closure import Need, Needed
from frumious.selection.environments import environments
from frumious.selection.fingerprints import fingerprint
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName
    from packaging.version import Version

    from frumious.config.filters import FilterOptions
    from frumious.model.closure import ClosureFile, Dependency
    from frumious.selection.selection import Selection
    from frumious.selection.subject import Release

NAME: Final = "closure"  # of the section, and where filters are named
_KEYS: Final = ("closure", "closure-max-projects", "environments", "extras")
_MAX_PROJECTS: Final = 2000
_MAX_SPECIFIERS: Final = 1000  # of a project; with more, all of its releases are needed
_MAX_PROBLEMS: Final = 3  # of a project that are kept
_SHOWN: Final = 3  # requirements in a problem
LIMIT: Final = "closure-max-projects"


class Closure(Value, frozen=True):
    """The options of `[closure]`."""

    latest: bool = False  # of the releases that are needed, the newest alone
    max_projects: int = _MAX_PROJECTS  # that are needed and no list names
    environments: tuple[Mapping[str, str], ...] = ()  # none: all markers count
    extras: Mapping[NormalizedName, tuple[str, ...]] = field(default_factory=dict)  # of listed ones

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read `[closure]`, and the extras that allowlists name; None without a closure."""
        reader = options.reader
        choice = reader.get(NAME, "closure", values.one_of("true", "latest", "false"), "false")
        limit = reader.get(NAME, LIMIT, values.whole_number(1), _MAX_PROJECTS)
        nowhere: tuple[Mapping[str, str], ...] = ()
        found = reader.get(NAME, "environments", environments, nowhere)
        no_entries: tuple[Requirement, ...] = ()
        entries = reader.get(NAME, "extras", values.requirements, no_entries)
        reader.refuse_unknown(NAME, _KEYS)
        if choice == "false":
            return None
        extras = _extras((*entries, *options.allowed, *options.required.entries))
        return cls(choice == "latest", limit, found, extras)

    def with_entries(self, entries: Iterable[Requirement]) -> Self:
        """Return the same with the extras that more requirements name."""
        more = _extras(entries)
        together = {
            project: tuple(sorted({*self.extras.get(project, ()), *more.get(project, ())}))
            for project in sorted({*self.extras, *more})
        }
        return replace(self, extras=together)

    @property
    def fingerprint(self) -> str:
        """A hash of what the dependencies of a page depend on, apart from the page."""
        return fingerprint(self.latest, [sorted(each.items()) for each in self.environments])


class Chosen(NamedTuple):
    """The needed releases of a project."""

    versions: frozenset[str | None]  # as upstream lists them
    problem: str = ""  # what is needed and no release satisfies


def choose(needs: Sequence[Need], releases: Iterable[Release], *, latest: bool) -> Chosen:
    """Return which releases are needed, by PEP 440's rules for pre-releases."""
    found: defaultdict[Version, list[Release]] = defaultdict(list)
    every = list(releases)
    for release in every:
        if release.version is not None and (release.files or not latest):
            found[release.version].append(release)
    specifiers = {need.specifier: SpecifierSet(need.specifier) for need in needs}
    chosen: set[Version] = set()
    unsatisfied: list[str] = []
    if latest:
        together = SpecifierSet(",".join(filter(None, specifiers)))
        newest = _newest(together, found)
        if newest is not None:
            chosen.add(newest)
            specifiers = {}
        elif len(specifiers) > 1:
            unsatisfied.append("all of " + _requirements(needs))
    for text, specifier in specifiers.items():
        if latest:
            newest = _newest(specifier, found)
            matching: Collection[Version] = () if newest is None else (newest,)
        else:
            matching = list(specifier.filter(found))
        chosen.update(matching)
        if not matching and text:
            unsatisfied.append(_requirements([need for need in needs if need.specifier == text]))
    versions = {release.text for version in chosen for release in found[version]}
    if "" in specifiers and not latest:  # versions that are not valid by PEP 440 as well
        versions |= {release.text for release in every if release.version is None}
    problem = f"no release satisfies {'; nor '.join(unsatisfied)}" if unsatisfied else ""
    return Chosen(frozenset(versions), problem[:300])


def _newest(specifier: SpecifierSet, found: Mapping[Version, Sequence[Release]]) -> Version | None:
    """Return the newest version that matches: a yanked one only if no other does (PEP 592)."""
    kept = [version for version, releases in found.items() if not all(map(_is_yanked, releases))]
    newest = max(specifier.filter(kept), default=None)
    return max(specifier.filter(found), default=None) if newest is None else newest


def _is_yanked(release: Release) -> bool:
    return all(file.yanked is not False for file in release.files)


def _requirements(needs: Sequence[Need]) -> str:
    shown = (f"{need.requirement} (of {need.by})" for need in needs[:_SHOWN])
    more = f" and {len(needs) - _SHOWN} others" if len(needs) > _SHOWN else ""
    return f"{', '.join(shown)}{more}"


def _extras(entries: Iterable[Requirement]) -> Mapping[NormalizedName, tuple[str, ...]]:
    found: defaultdict[NormalizedName, set[str]] = defaultdict(set)
    for entry in entries:
        if entry.extras:
            found[canonicalize_name(entry.name)] |= {canonicalize_name(e) for e in entry.extras}
    return {project: tuple(sorted(extras)) for project, extras in sorted(found.items())}


def basis(selection: Selection, closure: Closure) -> str:
    """Return a fingerprint of what decides on needed projects, apart from the dependencies."""
    private, named = selection.private, selection.named
    return fingerprint(
        selection.listed_projects,
        selection.bars_fingerprint,
        selection.projects_with_rules,
        private.fingerprint,
        frozenset(name for name in private.listing.projects if private.has_files(name)),
        frozenset(named.requested),
        frozenset(named.deleted),
        selection.blocked,
        closure.latest,
        closure.max_projects,
        [[project, *extras] for project, extras in closure.extras.items()],
    )


def resolve(file: ClosureFile, selection: Selection, closure: Closure, previous: Needed) -> Needed:
    """Return what is needed, from the listed, private and requested projects on.

    Where that is more than the limit, the projects that were needed before come first, then those
    that the fewest steps lead to.
    """
    walk = _Walk(file, selection, closure)
    walk.run()
    needed = [name for name in walk.needs if name not in walk.roots]
    if len(needed) > closure.max_projects:
        ordered = sorted(needed, key=lambda name: name not in previous.projects)
        walk = _Walk(file, selection, closure, frozenset(ordered[: closure.max_projects]))
        walk.run()
    problems = {
        name: file.projects[name].found.problems[:_MAX_PROBLEMS]
        for name in walk.extras
        if name in file.projects and file.projects[name].found.problems
    }
    return Needed(
        basis=basis(selection, closure),
        revision=file.revision,
        projects={name: tuple(_merged(by_specifier)) for name, by_specifier in walk.needs.items()},
        left_out=walk.left_out,
        problems=problems,
    )


class _Walk:
    """A walk from project to project, breadth first."""

    def __init__(
        self,
        file: ClosureFile,
        selection: Selection,
        closure: Closure,
        within: frozenset[NormalizedName] | None = None,
    ) -> None:
        self._known = file.projects
        self._selection = selection
        self._closure = closure
        self._within = within  # projects that may be needed; None: all
        self.roots = _roots(selection)
        # Visited projects, with the extras that are needed of them.
        self.extras: dict[NormalizedName, set[str]] = {}
        # project -> specifier -> who needs it, with the requirement
        self.needs: dict[NormalizedName, dict[str, dict[NormalizedName, str]]] = {}
        self.left_out: dict[NormalizedName, str] = {}
        self._waiting: deque[NormalizedName] = deque()

    def run(self) -> None:
        """Walk until nothing new is found: each project with each of its extras once."""
        for root in sorted(self.roots):
            self._visit(root, self._closure.extras.get(root, ()))
        while self._waiting:
            requirer = self._waiting.popleft()
            known = self._known.get(requirer)
            extras = self.extras[requirer]
            for each in known.found.all if known is not None else ():
                if each.enabled_by and extras.isdisjoint(each.enabled_by):
                    continue
                if self._is_selected(each.project):
                    self._note(requirer, each)
                    self._visit(each.project, each.extras)

    def _visit(self, project: NormalizedName, extras: Iterable[str]) -> None:
        known = self.extras.get(project)
        if known is None or not known.issuperset(extras):
            self.extras.setdefault(project, set()).update(extras)
            self._waiting.append(project)

    def _is_selected(self, project: NormalizedName) -> bool:
        if project in self.roots or project in self.needs:
            return True
        if project not in self.left_out:
            reason = self._selection.barred_by(project)
            if not reason and self._within is not None and project not in self._within:
                reason = LIMIT
            if not reason:
                return True
            self.left_out[project] = reason
        return False

    def _note(self, requirer: NormalizedName, each: Dependency) -> None:
        # Of a project that is listed as a whole all releases are selected anyway.
        if each.project != requirer and not self._selection.lists_all_of(each.project):
            by_specifier = self.needs.setdefault(each.project, {})
            by_specifier.setdefault(each.specifier, {}).setdefault(requirer, str(each))


def _roots(selection: Selection) -> frozenset[NormalizedName]:
    """Return the projects that are selected whatever others need."""
    private, named = selection.private, selection.named
    listed = (selection.listed_projects or frozenset()) - named.deleted.keys()
    roots = {name for name in listed | named.requested.keys() if not selection.barred_by(name)}
    roots |= {*named.requested} - selection.blocked
    return frozenset((*roots, *filter(private.has_files, private.listing.projects)))


def _merged(by_specifier: Mapping[str, dict[NormalizedName, str]]) -> Iterator[Need]:
    """Yield what is needed of a project; beyond the limit, all of its releases."""
    if len(by_specifier) > _MAX_SPECIFIERS:
        together: dict[NormalizedName, str] = {}
        for requirers in by_specifier.values():
            together |= requirers
        by_specifier = {"": together}
    for specifier, requirers in sorted(by_specifier.items()):
        first_by, requirement = next(iter(requirers.items()))
        yield Need(specifier, first_by, requirement, len(requirers) - 1)
