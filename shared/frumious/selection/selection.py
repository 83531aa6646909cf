"""Selection of projects, releases and files by the filters of `[plugins] enabled`.

A filter is a class that reads its options; `catalog` has all of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Self, TypeVar

from msgspec import field
from msgspec.structs import replace

from frumious.config.filters import FilterOptions, plugins
from frumious.model.advisories import NO_ADVISORIES
from frumious.model.checksums import MAX_FILE_SIZE
from frumious.model.closure import NOTHING_NEEDED, Needed
from frumious.model.named import NO_NAMED_PROJECTS, NamedProjects
from frumious.selection import advisories, catalog, closure
from frumious.selection.closure import Chosen, Closure, choose
from frumious.selection.cooldown import Cooldown
from frumious.selection.decision import Decision
from frumious.selection.fingerprints import fingerprint
from frumious.selection.locks import LockedReleases
from frumious.selection.names import AllowedProjects, BlockedProjects
from frumious.selection.private import PrivateProjects
from frumious.selection.releases import (
    AllowedReleases,
    BlockedReleases,
    PinnedReleases,
    Rules,
    select_releases,
)
from frumious.selection.required import ListedPins
from frumious.selection.subject import NO_CONTEXT, Context, Subject
from frumious.selection.top import TopProjects
from frumious.selection.totals import FileSizeLimit
from frumious.selection.unread import ListsUnread, Unread, resolved
from frumious.value import Value

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

_Any = TypeVar("_Any", bound="Filter")


class Selection(Value, frozen=True):
    """The enabled filters."""

    names: tuple[NameFilter, ...] = ()
    projects: tuple[ProjectFilter, ...] = ()
    files: tuple[FileFilter, ...] = ()
    releases: tuple[ReleaseFilter, ...] = ()
    cooldown: Cooldown | None = None
    simple_all: bool = False  # a second index shows what the cooldown holds back
    pages_fingerprint: str = ""  # of the filters of all projects' pages; empty without any
    named: NamedProjects = NO_NAMED_PROJECTS  # they count before the filters
    private: PrivateProjects = field(default_factory=PrivateProjects)  # no filter applies to them
    blocked: frozenset[NormalizedName] = frozenset()  # by advisories, which count before all
    lists: str = ""  # Lists.fingerprint
    closure: Closure | None = None
    needed: Needed = NOTHING_NEEDED  # by projects that are selected

    @classmethod
    def read(cls, reader: Reader) -> Self:
        """Read the options of all filters, so that they are known, and keep the enabled filters."""
        options = FilterOptions(reader)
        enabled = reader.get("plugins", "enabled", plugins(catalog.NAMES), frozenset[str]())

        def read(kinds: Iterable[type[_Any]]) -> tuple[_Any, ...]:
            found = [(kind, kind.read(options)) for kind in kinds]
            return tuple(each for kind, each in found if each and kind.name in enabled)

        projects, files = read(catalog.PROJECT_FILTERS), read(catalog.FILE_FILTERS)
        releases = read(catalog.RELEASE_FILTERS)
        of_pages: list[object] = [*projects, *files]
        of_pages += (each for each in releases if not isinstance(each, Rules | Unread))
        cooldown = Cooldown.read(options)
        simple_all = Cooldown.reads_simple_all(options) and cooldown is not None
        if cooldown is not None:  # exceptions are of single projects
            of_pages.append(replace(cooldown, exceptions={}))
        return cls(
            read(catalog.NAME_FILTERS),
            projects,
            files,
            releases,
            cooldown,
            simple_all,
            pages_fingerprint=fingerprint(*of_pages) if of_pages else "",
            closure=Closure.read(options),
        )

    @property
    def unread(self) -> tuple[Unread, ...]:
        """The filters whose lists nobody has read yet; until then nothing can be decided."""
        return tuple(each for each in (*self.names, *self.releases) if isinstance(each, Unread))

    def with_lists(self, lists: Lists) -> Self:
        """Return the selection with the lists that `unread` filters name.

        Raises:
            ListsUnread: `lists` are of a configuration without some of them.
        """
        if not self.unread:
            return self
        return replace(
            self,
            names=resolved(self.names, lists),
            releases=resolved(self.releases, lists),
            closure=None if self.closure is None else self.closure.with_entries(lists.entries),
            lists=lists.fingerprint,
        )

    @property
    def listed_projects(self) -> frozenset[NormalizedName] | None:
        """The projects that lists name; None: there are no lists of allowed projects."""
        if self.unread:
            raise ListsUnread
        lists = [each.projects for each in self.names if isinstance(each, AllowedProjects)]
        return frozenset.intersection(*lists) if lists else None

    @property
    def exact_projects(self) -> frozenset[NormalizedName] | None:
        """The projects that lists name, or that these need; None: any project may be selected."""
        listed = self.listed_projects
        return listed if listed is None else listed | self.needed.projects.keys()

    @property
    def expected_projects(self) -> frozenset[NormalizedName]:
        """The projects that a person has listed by name, if lists name all: upstream has them."""
        lists = [each for each in self.names if isinstance(each, AllowedProjects)]
        by_person = any(not isinstance(each, TopProjects) for each in lists)
        return (self.listed_projects or frozenset()) if by_person else frozenset()

    @property
    def max_file_size(self) -> int:
        """How many bytes a file may have, also where upstream lists no size."""
        limits = (each.bytes_ for each in self.files if isinstance(each, FileSizeLimit))
        return min(limits, default=MAX_FILE_SIZE)

    @property
    def needs_legacy(self) -> bool:
        """Whether a filter needs the legacy JSON of projects."""
        filters: Iterable[ProjectFilter | FileFilter] = (*self.projects, *self.files)
        return any(each.needs_legacy for each in filters)

    @property
    def projects_fingerprint(self) -> str:
        """A hash of the filters of projects; of lists alone, as all versions made it."""
        exact = self.exact_projects
        lists = (AllowedProjects, BlockedProjects)
        blockers = (each.projects for each in self.names if isinstance(each, BlockedProjects))
        blocked = frozenset[str]().union(*blockers)
        # Filters of projects decide on what the cooldown leaves.
        cooldown = (self.cooldown,) if self.projects and self.cooldown else ()
        return fingerprint(
            None if exact is None else sorted(exact),
            sorted(blocked),
            *(each for each in self.names if not isinstance(each, lists)),
            *self.projects,
            *cooldown,
            *self.private.fingerprint,
        )

    @property
    def bars_fingerprint(self) -> str:
        """A hash of the filters that keep projects out though others need them."""
        return fingerprint(*(each for each in self.names if not isinstance(each, AllowedProjects)))

    def releases_fingerprint(self, project: NormalizedName) -> str:
        """Return a hash of the filters of a project's releases alone; empty without any."""
        if project not in self.projects_with_rules:
            return ""
        rules = {each.name: each.rules_of(project) for each in self._rules}
        allowed, blocked = (rules.get(kind.name, []) for kind in (AllowedReleases, BlockedReleases))
        # Not part of the fingerprints of earlier versions where there are none.
        more = [rules.get(kind.name, []) for kind in (PinnedReleases, LockedReleases)]
        exceptions = self.cooldown.exceptions.get(project) if self.cooldown else None
        needs = sorted({need.specifier for need in self.needed.projects.get(project, ())})
        latest = self.closure is not None and self.closure.latest
        more += [[str(latest), *needs]] if needs else []
        return fingerprint(allowed, blocked, *filter(None, more), *filter(None, [exceptions]))

    @property
    def projects_with_rules(self) -> frozenset[NormalizedName]:
        """The projects with filters of their releases alone."""
        excepted = self.cooldown.exceptions if self.cooldown else ()
        rules = (project for each in self._rules for project in each.specifiers)
        return frozenset((*rules, *excepted, *self.needed.projects))

    @property
    def _rules(self) -> list[Rules]:
        if self.unread:
            raise ListsUnread
        return [each for each in self.releases if isinstance(each, Rules)]

    def has_versions_of(self, project: NormalizedName, *, allowed: bool = False) -> bool:
        """Return whether the project has version specifiers; with `allowed`, in an allowlist."""
        kind = AllowedReleases if allowed else Rules
        return any(isinstance(each, kind) and any(each.rules_of(project)) for each in self.releases)

    def entry(self, project: NormalizedName) -> str:
        """Return how the configuration asks for the project by name; empty if it does not."""
        listed = any(isinstance(each, AllowedProjects) for each in self.names)
        if listed and not self.lists_name(project):
            return ""  # others may need it
        # A list of others whose pins change does not bring back what somebody deleted.
        rules = (each for each in self._rules if not isinstance(each, LockedReleases | ListedPins))
        allowed = (each for each in rules if isinstance(each, AllowedReleases))
        releases = [rule for each in allowed for rule in each.rules_of(project)]
        if self.name_excluded_by(project) or not (listed or releases):
            return ""
        return fingerprint(listed, releases)

    def name_excluded_by(self, project: NormalizedName) -> str:
        """Return the filter that excludes a project by its name; empty if none does."""
        for each in self.names:  # a loop is faster than a generator; a plan asks 740,000 times
            if not each.wants(project):
                if project in self.needed.projects and isinstance(each, AllowedProjects):
                    continue
                return each.name
        return ""

    def lists_name(self, project: NormalizedName) -> bool:
        """Return whether all lists of allowed projects name a project."""
        lists = (each for each in self.names if isinstance(each, AllowedProjects))
        return all(each.wants(project) for each in lists)

    def lists_all_of(self, project: NormalizedName) -> bool:
        """Return whether all releases of a project are selected, whatever others need of it."""
        if project in self.named.requested or self.private.has(project):
            return True
        return self.lists_name(project) and not self.has_versions_of(project, allowed=True)

    def barred_by(self, project: NormalizedName) -> str:
        """Return what keeps a project out though others need it; empty if nothing does."""
        if self.private.has(project):
            private = "[private]: upstream is not asked for this name"
            return "" if self.private.has_files(project) else private
        if self.blocks(project):
            return "an advisory"
        if project in self.named.deleted:
            return "frumious delete"
        bars = (each for each in self.names if not isinstance(each, AllowedProjects))
        return next((each.name for each in bars if not each.wants(project)), "")

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
        return bool(self.pages_fingerprint) or any(rules) or project in self.needed.projects

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
        chosen = None if context.named else self._choose_needed(project, releases)
        releases, excluded_with_release = self._select_releases(project, releases, chosen)
        excluded |= excluded_with_release
        decided = {file.filename: excluded.get(file.filename, "") for file in page.files}
        versions = frozenset(release.text for release in releases)
        if blocked and all(decided.values()):  # perhaps they block all that the filters select
            unblocked = self.decide(project, page, replace(context, advisories=NO_ADVISORIES))
            if not unblocked.excluded_by and not all(unblocked.files.values()):
                reason = advisories.reason(next(iter(blocked.values())))
                return Decision(reason, {}, frozenset(), held_back)
        problem = "" if chosen is None else chosen.problem
        return Decision("", decided, versions, held_back, problem)

    def _choose_needed(self, project: NormalizedName, releases: Sequence[Release]) -> Chosen | None:
        """Return which releases others need; None: which they need does not matter."""
        needs = self.needed.projects.get(project)
        if self.closure is None or not needs:
            return None
        return choose(needs, releases, latest=self.closure.latest)

    def _select_releases(
        self, project: NormalizedName, releases: Sequence[Release], chosen: Chosen | None
    ) -> tuple[Sequence[Release], dict[str, str]]:
        """Return the selected releases, and the filters that exclude files by name."""
        if chosen is None:
            return select_releases(self.releases, project, releases)
        excluded: dict[str, str] = {}
        if not self.lists_name(project):
            unneeded = (each for each in releases if each.text not in chosen.versions)
            excluded |= {file.filename: closure.NAME for each in unneeded for file in each.files}
            releases = [each for each in releases if each.text in chosen.versions]
        left, by_filter = select_releases(self.releases, project, releases, chosen.versions)
        return left, excluded | by_filter
