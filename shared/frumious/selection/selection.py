"""Selection of projects, releases and files by the filters of `[plugins] enabled`.

A filter is a class that reads its options. To add one, add it to its kind below.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, Self, TypeVar

from frumious.config.filters import FilterOptions, plugins
from frumious.model.advisories import NO_ADVISORIES
from frumious.model.checksums import MAX_FILE_SIZE
from frumious.model.named import NO_NAMED_PROJECTS, NamedProjects
from frumious.selection import advisories
from frumious.selection.cooldown import Cooldown
from frumious.selection.decision import Decision
from frumious.selection.fingerprints import fingerprint
from frumious.selection.locks import ListsUnread, LockedReleases, UnreadLocks
from frumious.selection.metadata import (
    FilePatterns,
    FileVersions,
    ProjectPatterns,
    ProjectVersions,
)
from frumious.selection.names import (
    AllowedProjects,
    BlockedProjects,
    NamePatterns,
    RequiredProjects,
)
from frumious.selection.platforms import ExcludedPlatforms
from frumious.selection.private import PrivateProjects
from frumious.selection.releases import (
    AllowedReleases,
    BlockedReleases,
    LatestReleases,
    NoPrereleases,
    PinnedReleases,
    ProjectSizeLimit,
    Rules,
    VersionPatterns,
)
from frumious.selection.subject import NO_CONTEXT, Context, Subject
from frumious.selection.tags import AllowedPlatforms
from frumious.selection.top import TopProjects
from frumious.selection.totals import FileSizeLimit, SizeLimit, VersionCount

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.config.reader import Reader
    from frumious.model.lists import Lists
    from frumious.model.pages import ProjectPage
    from frumious.selection.kinds import (
        FileFilter,
        Filter,
        NameFilter,
        ProjectFilter,
        ReleaseFilter,
    )
    from frumious.selection.subject import Release


# In the order in which they apply.
NAME_FILTERS: Final[tuple[type[NameFilter], ...]] = (
    AllowedProjects,
    RequiredProjects,
    UnreadLocks,
    TopProjects,
    BlockedProjects,
    NamePatterns,
)
PROJECT_FILTERS: Final[tuple[type[ProjectFilter], ...]] = (
    SizeLimit,
    VersionCount,
    ProjectPatterns,
    ProjectVersions,
)
FILE_FILTERS: Final[tuple[type[FileFilter], ...]] = (
    AllowedPlatforms,
    ExcludedPlatforms,
    FilePatterns,
    FileVersions,
    FileSizeLimit,
)
RELEASE_FILTERS: Final[tuple[type[ReleaseFilter], ...]] = (
    PinnedReleases,
    AllowedReleases,
    BlockedReleases,
    VersionPatterns,
    NoPrereleases,
    LatestReleases,
    ProjectSizeLimit,
)
_NAMES: Final = frozenset(
    kind.name
    for kinds in (NAME_FILTERS, PROJECT_FILTERS, FILE_FILTERS, RELEASE_FILTERS)
    for kind in kinds
)
_Any = TypeVar("_Any", bound="Filter")


@dataclass(frozen=True, slots=True)
class Selection:
    """The enabled filters."""

    names: tuple[NameFilter, ...] = ()
    projects: tuple[ProjectFilter, ...] = ()
    files: tuple[FileFilter, ...] = ()
    releases: tuple[ReleaseFilter, ...] = ()
    cooldown: Cooldown | None = None
    pages_fingerprint: str = ""  # of the filters of all projects' pages; empty without any
    named: NamedProjects = NO_NAMED_PROJECTS  # they count before the filters
    private: PrivateProjects = field(default_factory=PrivateProjects)  # no filter applies to them
    blocked: frozenset[NormalizedName] = frozenset()  # by advisories, which count before all
    lists: str = ""  # Lists.fingerprint

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the options of all filters, so that they are known, and keep the enabled filters."""
        options = FilterOptions(reader)
        enabled = reader.get("plugins", "enabled", plugins(_NAMES), frozenset[str]())

        def read(kinds: Iterable[type[_Any]]) -> tuple[_Any, ...]:
            found = [(kind, kind.read(options)) for kind in kinds]
            return tuple(each for kind, each in found if each and kind.name in enabled)

        projects, files = read(PROJECT_FILTERS), read(FILE_FILTERS)
        releases = read(RELEASE_FILTERS)
        of_pages: list[object] = [*projects, *files]
        of_pages += (each for each in releases if not isinstance(each, Rules))
        cooldown = Cooldown.read(options)
        if cooldown is not None:  # exceptions are of single projects
            of_pages.append(replace(cooldown, exceptions={}))
        return cls(
            read(NAME_FILTERS),
            projects,
            files,
            releases,
            cooldown,
            pages_fingerprint=fingerprint(*of_pages) if of_pages else "",
        )

    @property
    def unread_locks(self) -> UnreadLocks | None:
        """The lists that nobody has read yet; until then nothing can be decided."""
        return next((each for each in self.names if isinstance(each, UnreadLocks)), None)

    def with_lists(self, lists: Lists) -> Self:
        """Return the selection with the lists that `unread_locks` names."""
        unread = self.unread_locks
        if unread is None:
            return self
        locked, pinned = unread.filters(lists)
        names = tuple(locked if each is unread else each for each in self.names)
        releases = (*pinned, *self.releases)
        return replace(self, names=names, releases=releases, lists=lists.fingerprint)

    @property
    def exact_projects(self) -> frozenset[NormalizedName] | None:
        """The projects that lists name, if they name all; None: any project may be selected."""
        if self.unread_locks is not None:
            raise ListsUnread
        lists = [each.projects for each in self.names if isinstance(each, AllowedProjects)]
        return frozenset.intersection(*lists) if lists else None

    @property
    def expected_projects(self) -> frozenset[NormalizedName]:
        """The projects that a person has listed by name, if lists name all: upstream has them."""
        lists = [each for each in self.names if isinstance(each, AllowedProjects)]
        by_person = any(not isinstance(each, TopProjects) for each in lists)
        return (self.exact_projects or frozenset()) if by_person else frozenset()

    @property
    def max_file_size(self) -> int:
        """How many bytes a file may have, also where upstream lists no size."""
        limits = (each.bytes_ for each in self.files if isinstance(each, FileSizeLimit))
        return min(limits, default=MAX_FILE_SIZE)

    @property
    def needs_legacy(self) -> bool:
        """Whether a filter needs the legacy JSON of projects."""
        return any(each.needs_legacy for each in self.projects) or any(
            each.needs_legacy for each in self.files
        )

    @property
    def projects_fingerprint(self) -> str:
        """A hash of the filters of projects; of lists alone, as all versions made it."""
        exact = self.exact_projects
        lists = [each for each in self.names if isinstance(each, BlockedProjects)]
        blocked = frozenset[str]().union(*(each.projects for each in lists))
        of_lists = (AllowedProjects, BlockedProjects)
        patterns = [each for each in self.names if not isinstance(each, of_lists)]
        # Filters of projects decide on what the cooldown leaves.
        of_pages = (*self.projects, self.cooldown) if self.cooldown else self.projects
        of_pages = of_pages if self.projects else ()
        return fingerprint(
            None if exact is None else sorted(exact),
            sorted(blocked),
            *patterns,
            *of_pages,
            *self.private.fingerprint,
        )

    def releases_fingerprint(self, project: NormalizedName) -> str:
        """Return a hash of the filters of a project's releases alone; empty without any."""
        if project not in self.projects_with_rules:
            return ""
        rules = {each.name: each.rules_of(project) for each in self._rules}
        allowed, blocked = (rules.get(kind.name, []) for kind in (AllowedReleases, BlockedReleases))
        # Not part of the fingerprints of earlier versions where there are none.
        more = [rules.get(kind.name, []) for kind in (PinnedReleases, LockedReleases)]
        exceptions = self.cooldown.exceptions.get(project) if self.cooldown else None
        return fingerprint(allowed, blocked, *filter(None, more), *filter(None, [exceptions]))

    @property
    def projects_with_rules(self) -> frozenset[NormalizedName]:
        """The projects with filters of their releases alone."""
        excepted = self.cooldown.exceptions if self.cooldown else ()
        rules = (project for each in self._rules for project in each.specifiers)
        return frozenset((*rules, *excepted))

    @property
    def _rules(self) -> list[Rules]:
        if self.unread_locks is not None:
            raise ListsUnread
        return [each for each in self.releases if isinstance(each, Rules)]

    def has_versions_of(self, project: NormalizedName, *, allowed: bool = False) -> bool:
        """Return whether the project has version specifiers; with `allowed`, in an allowlist."""
        kind = AllowedReleases if allowed else Rules
        return any(isinstance(each, kind) and any(each.rules_of(project)) for each in self.releases)

    def entry(self, project: NormalizedName) -> str:
        """Return how the configuration asks for the project by name; empty if it does not."""
        listed = any(isinstance(each, AllowedProjects) for each in self.names)
        # A lock file whose pins change does not bring back what somebody deleted.
        rules = (each for each in self._rules if not isinstance(each, LockedReleases))
        allowed = (each for each in rules if isinstance(each, AllowedReleases))
        releases = [rule for each in allowed for rule in each.rules_of(project)]
        if self.name_excluded_by(project) or not (listed or releases):
            return ""
        return fingerprint(listed, releases)

    def name_excluded_by(self, project: NormalizedName) -> str:
        """Return the filter that excludes a project by its name; empty if none does."""
        for each in self.names:  # a loop is faster than a generator; a plan asks 740,000 times
            if not each.wants(project):
                return each.name
        return ""

    def blocks(self, project: NormalizedName) -> bool:
        """Return whether advisories block the project as a whole; a private one is another."""
        return project in self.blocked and not self.private.has(project)

    def wants(self, project: NormalizedName) -> bool:
        """Return whether the project is selected, or requested by name, and not deleted."""
        if self.private and self.private.has(project):
            return self.private.has_files(project) and project not in self.named.deleted
        if self.blocks(project):
            return False
        if project in self.named.deleted or project in self.named.requested:
            return project in self.named.requested
        return not self.name_excluded_by(project)

    def select(
        self,
        project: NormalizedName,
        page: ProjectPage,
        context: Context = NO_CONTEXT,
    ) -> ProjectPage | None:
        """Return the page with what is selected of its releases and files; None: nothing."""
        if not (self.filters_pages_of(project) or context.advisories.blocking):
            return page
        return self.decide(project, page, context).page(page)

    def filters_pages_of(self, project: NormalizedName) -> bool:
        """Return whether any filter may exclude a part of the project's page."""
        rules = (each for each in self._rules if project in each.specifiers)
        return bool(self.pages_fingerprint) or any(rules)

    def decide(
        self,
        project: NormalizedName,
        page: ProjectPage,
        context: Context = NO_CONTEXT,
    ) -> Decision:
        """Apply all filters but those of names, as `select` does; return which excluded what."""
        subject = Subject.of(project, page, context)
        if (blocker := context.advisories.blocker) is not None:
            return Decision(advisories.reason(blocker), {}, frozenset())
        blocked = advisories.blocked_files(subject.files, context.advisories)
        held_back: Mapping[str, float] = {}
        if self.cooldown is not None:
            waiting = self.cooldown.held_back(subject).items()
            held_back = {name: until for name, until in waiting if name not in blocked}
            subject = subject.without(held_back)
        for by_project in () if context.named else self.projects:
            if not by_project.wants(subject):
                return Decision(by_project.name, {}, frozenset(), held_back)
        excluded = dict.fromkeys(held_back, Cooldown.name)  # filename -> filter
        excluded |= {name: advisories.reason(advisory) for name, advisory in blocked.items()}
        files = tuple(each for each in subject.files if each.file.filename not in blocked)
        for by_file in self.files:
            unwanted = (each for each in files if not by_file.wants(subject, each))
            excluded |= {each.file.filename: by_file.name for each in unwanted}
            files = tuple(each for each in files if each.file.filename not in excluded)
        releases: Sequence[Release] = [
            release
            for release in subject.releases(files)
            if release.files or context.advisories.blocker_of(release.text) is None
        ]
        releases, excluded_with_release = self._select_releases(project, releases)
        excluded |= excluded_with_release
        decided = {file.filename: excluded.get(file.filename, "") for file in page.files}
        versions = frozenset(release.text for release in releases)
        if blocked and all(decided.values()):  # perhaps they block all that the filters select
            unblocked = self.decide(project, page, replace(context, advisories=NO_ADVISORIES))
            if not unblocked.excluded_by and not all(unblocked.files.values()):
                reason = advisories.reason(next(iter(blocked.values())))
                return Decision(reason, {}, frozenset(), held_back)
        return Decision("", decided, versions, held_back)

    def _select_releases(
        self, project: NormalizedName, releases: Sequence[Release]
    ) -> tuple[Sequence[Release], dict[str, str]]:
        """Return the selected releases, and the filters that exclude files by name."""
        excluded: dict[str, str] = {}
        is_pinned = False  # the project: other filters of releases do not apply
        for by_release in self.releases:
            if is_pinned and not isinstance(by_release, PinnedReleases):
                break
            left = by_release.select(project, releases)
            kept = {file.filename for each in left for file in each.files}
            before = (file.filename for each in releases for file in each.files)
            excluded |= {name: by_release.name for name in before if name not in kept}
            releases = left
            if isinstance(by_release, PinnedReleases):
                is_pinned = is_pinned or project in by_release.specifiers
        return releases, excluded
