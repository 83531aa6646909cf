"""All filters, each kind in the order in which they apply. To add one, add it to its kind."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.selection.locks import UnreadLockedReleases, UnreadLocks
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
from frumious.selection.releases import (
    AllowedReleases,
    BlockedReleases,
    LatestReleases,
    NoPrereleases,
    PinnedReleases,
    ProjectSizeLimit,
    VersionPatterns,
)
from frumious.selection.required import UnreadPins, UnreadRequirements
from frumious.selection.tags import AllowedPlatforms
from frumious.selection.top import TopProjects, UnreadTop
from frumious.selection.totals import FileSizeLimit, SizeLimit, VersionCount

if TYPE_CHECKING:
    from frumious.selection.kinds import (
        FileFilter,
        NameFilter,
        ProjectFilter,
        ReleaseFilter,
    )

NAME_FILTERS: Final[tuple[type[NameFilter], ...]] = (
    AllowedProjects,
    RequiredProjects,
    UnreadRequirements,
    UnreadLocks,
    TopProjects,
    UnreadTop,
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
    UnreadLockedReleases,
    PinnedReleases,
    UnreadPins,
    AllowedReleases,
    BlockedReleases,
    VersionPatterns,
    NoPrereleases,
    LatestReleases,
    ProjectSizeLimit,
)
NAMES: Final = frozenset(
    kind.name
    for kinds in (NAME_FILTERS, PROJECT_FILTERS, FILE_FILTERS, RELEASE_FILTERS)
    for kind in kinds
)
