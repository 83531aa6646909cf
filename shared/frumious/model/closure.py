"""What projects need by their core metadata, and what of that the mirror selects.

A worker reports the dependencies of a project, the finalizer keeps all of them in
`state/closure.json`, and the planner makes `state/needed.json` of that, by which it and the workers
select.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Annotated, Final, Self

import msgspec
from msgspec import Meta, Struct
from msgspec.structs import replace
from packaging.specifiers import SpecifierSet

from frumious.model.types import Count, ProjectName, Serial

if TYPE_CHECKING:
    from collections.abc import Iterable

MAX_DEPENDENCIES: Final = 20_000  # of a project; those of all its releases together
MAX_LINE_LENGTH: Final = 1000  # characters of a requirement
MAX_CLAUSES: Final = 50  # of its version specifier
MAX_PROBLEMS: Final = 20  # of a project
_MAX_TOTAL: Final = 1_000_000  # dependencies of all projects
_MAX_CHANGES: Final = 8  # of a project's dependencies, while its page stays the same

Extra = Annotated[str, Meta(pattern=r"\A[a-z0-9]+(-[a-z0-9]+)*\Z", max_length=200)]
Specifier = Annotated[str, Meta(max_length=MAX_LINE_LENGTH)]
Problem = Annotated[str, Meta(max_length=300)]


@lru_cache(65_536)  # many projects name the same ones
def check_specifier(text: str) -> None:
    """Raise ValueError if a text is not a version specifier of the mirror's."""
    if len(SpecifierSet(text)) > MAX_CLAUSES:
        msg = f"a version specifier has more than {MAX_CLAUSES} clauses"
        raise ValueError(msg)


class Dependency(Struct, frozen=True, array_like=True, order=True):
    """What some releases of a project need of another one."""

    project: ProjectName
    specifier: Specifier = ""
    extras: tuple[Extra, ...] = ()  # of the needed project
    enabled_by: tuple[Extra, ...] = ()  # extras of the project that needs it; empty: none is needed

    def __post_init__(self) -> None:
        """Raise ValueError if the specifier is not valid."""
        check_specifier(self.specifier)

    def __str__(self) -> str:
        """Return it as a requirement."""
        extras = f"[{','.join(self.extras)}]" if self.extras else ""
        return f"{self.project}{extras}{self.specifier}"


class Dependencies(Struct, frozen=True):
    """The dependencies of a project's files, as a job found them."""

    page: Annotated[str, Meta(max_length=64)] = ""  # a fingerprint of upstream's page
    all: Annotated[tuple[Dependency, ...], Meta(max_length=MAX_DEPENDENCIES)] = ()
    problems: Annotated[tuple[Problem, ...], Meta(max_length=MAX_PROBLEMS)] = ()


class Known(Struct, frozen=True):
    """The dependencies of a project, as the finalizer keeps them."""

    serial: Serial  # of the page that they are of; 0: unknown
    found: Dependencies
    changes: Count = 0  # since upstream's page has changed

    def changed(self, serial: int, found: Dependencies) -> Known:
        """Return what is known after a report.

        Which releases are selected may depend on the dependencies themselves, in a circle that
        never comes to rest: after some changes on the same page, dependencies are added only.
        """
        if found == self.found:
            return self if serial == self.serial else replace(self, serial=serial)
        if found.page != self.found.page:
            return Known(serial, found)
        if self.changes >= _MAX_CHANGES:
            together = sorted({*self.found.all, *found.all})[:MAX_DEPENDENCIES]
            found = replace(found, all=tuple(together))
            if found == self.found:
                return self
        return Known(serial, found, self.changes + 1)


class Change(Struct, frozen=True):
    """What a job reports of a project; None: the mirror does not have it any more."""

    project: ProjectName
    serial: Serial
    rewinding: bool  # it counts although its serial is lower
    found: Dependencies | None


class ClosureFile(Struct, frozen=True):
    """The dependencies of all projects: one object for the mirror."""

    revision: Count = 0  # grows with each change
    projects: Mapping[ProjectName, Known] = {}

    def changed(self, changes: Iterable[Change]) -> ClosureFile:
        """Return the state after some reports, the oldest first."""
        projects = dict(self.projects)
        for each in changes:
            before = projects.get(each.project)
            if before is not None and each.serial < before.serial and not each.rewinding:
                continue
            if each.found is None:
                projects.pop(each.project, None)
            elif before is None:
                projects[each.project] = Known(each.serial, each.found)
            else:
                projects[each.project] = before.changed(each.serial, each.found)
        if projects == self.projects:
            return self
        if sum(len(known.found.all) for known in projects.values()) > _MAX_TOTAL:
            projects = _limited(projects)
        return ClosureFile(self.revision + 1, projects)


class Need(Struct, frozen=True, array_like=True):
    """A version specifier that is needed of a project, and the first one that needs it."""

    specifier: Specifier
    by: ProjectName  # whose metadata has the requirement
    requirement: Annotated[str, Meta(max_length=2 * MAX_LINE_LENGTH)]
    others: Count = 0  # how many more projects need the same

    def __post_init__(self) -> None:
        """Raise ValueError if the specifier is not valid."""
        check_specifier(self.specifier)


class Needed(Struct, frozen=True):
    """What the mirror selects because selected projects need it."""

    basis: str = ""  # a fingerprint of what it was made of, apart from the dependencies
    revision: Count = 0  # of the dependencies
    projects: Mapping[ProjectName, tuple[Need, ...]] = {}
    # What is needed and stays out, and why: blocked, private, or beyond closure-max-projects.
    left_out: Mapping[ProjectName, str] = {}
    problems: Mapping[ProjectName, tuple[Problem, ...]] = {}  # of projects that need others
    rebuilding: bool = False  # dependencies were lost: what was needed before counts as well

    def keeping(self, previous: Needed) -> Needed:
        """Return the same with what was needed before."""
        projects = dict(self.projects)
        for name, needs in previous.projects.items():
            known = {need.specifier for need in projects.get(name, ())}
            kept = (need for need in needs if need.specifier not in known)
            projects[name] = (*projects.get(name, ()), *kept)
        return replace(self, projects=projects, rebuilding=True)

    @property
    def fingerprint(self) -> str:
        """A hash of what is selected."""
        payload = msgspec.json.encode(
            {
                name: sorted({need.specifier for need in needs})
                for name, needs in self.projects.items()
            },
            order="deterministic",
        )
        return hashlib.sha256(payload).hexdigest()[:16]


class ClosureMark(Struct, frozen=True, array_like=True):
    """What the cursor knows of the closure, so that an idle planner reads nothing else.

    The finalizer changes the revision alone, the planner all the others.
    """

    revision: Count = 0  # of the dependencies that the finalizer keeps
    needed: str = ""  # Needed.fingerprint of the last one by which runs were opened
    planned: Count = 0  # the revision that this was made of
    basis: str = ""  # and what else
    projects: Count = 0  # that are needed and no list names
    left_out: Count = 0  # projects that are needed and stay out
    problems: Count = 0  # projects whose dependencies are not all known

    @classmethod
    def of(cls, needed: Needed) -> Self:
        """Return what the cursor keeps of a plan."""
        return cls(
            needed.revision,
            needed.fingerprint,
            needed.revision,
            needed.basis,
            len(needed.projects),
            len(needed.left_out),
            len(needed.problems),
        )

    @property
    def is_outdated(self) -> bool:
        """Whether dependencies have changed since a planner read them."""
        return self.revision != self.planned

    def noting(self, revision: int) -> ClosureMark:
        """Return the same after a change of the dependencies; finalizers may come in any order."""
        return replace(self, revision=max(self.revision, revision))

    def merging(self, base: ClosureMark, planned: ClosureMark) -> ClosureMark:
        """Return the current value after a plan that made `planned` of `base`."""
        is_lost = planned.revision < base.revision  # the dependencies: they are counted anew
        return planned if is_lost else planned.noting(self.revision)


NOTHING_NEEDED: Final = Needed()


def _limited(projects: Mapping[ProjectName, Known]) -> dict[ProjectName, Known]:
    """Return the projects, those with the most dependencies without theirs, so that all fit."""
    limited, total = dict(projects), sum(len(known.found.all) for known in projects.values())
    for name in sorted(projects, key=lambda name: len(projects[name].found.all), reverse=True):
        if total <= _MAX_TOTAL:
            break
        known = projects[name]
        total -= len(known.found.all)
        problem = f"its {len(known.found.all)} dependencies do not fit into the mirror's state"
        limited[name] = replace(known, found=replace(known.found, all=(), problems=(problem,)))
    return limited
