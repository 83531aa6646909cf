"""The kinds of filters, by what they decide on."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, Protocol, Self

if TYPE_CHECKING:
    from collections.abc import Sequence

    from packaging.utils import NormalizedName

    from frumious.config.filters import FilterOptions
    from frumious.selection.subject import Release, ReleaseFile, Subject


class Filter(Protocol):
    """A filter."""

    name: ClassVar[str]

    @classmethod
    def read(cls, options: FilterOptions) -> Self | None:
        """Read the options; return None if the filter has nothing to do."""


class NameFilter(Filter, Protocol):
    """Decides on a project by its name: for the planner and the worker."""

    def wants(self, project: NormalizedName, /) -> bool:
        """Return whether the project is wanted."""


class ProjectFilter(Filter, Protocol):
    """Decides on a project by its page, or by its legacy JSON."""

    needs_legacy: ClassVar[bool]

    def wants(self, subject: Subject, /) -> bool:
        """Return whether the project is wanted."""


class FileFilter(Filter, Protocol):
    """Decides on each file of a project."""

    needs_legacy: ClassVar[bool]

    def wants(self, subject: Subject, each: ReleaseFile, /) -> bool:
        """Return whether the file is wanted."""


class ReleaseFilter(Filter, Protocol):
    """Decides on the releases of a project, of which earlier filters have left some."""

    def select(self, project: NormalizedName, releases: Sequence[Release], /) -> Sequence[Release]:
        """Return the releases that are wanted."""
