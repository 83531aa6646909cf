"""Projects that somebody named: requested past the filters, or deleted."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from msgspec.structs import replace

from frumious.model.types import ProjectName, Seconds

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName


class Deletion(Struct, frozen=True, kw_only=True):
    """A project that somebody deleted from the mirror: it stays away."""

    at: Seconds = 0.0
    entry: str = ""  # `Selection.entry` of the project then: another one brings the project back
    pending: bool = False  # no run has removed it yet


class NamedProjects(Struct, frozen=True, kw_only=True):
    """The projects that somebody requested or deleted by name, whatever the filters select."""

    requested: Mapping[ProjectName, Seconds]  # -> when
    deleted: Mapping[ProjectName, Deletion]

    def __bool__(self) -> bool:
        """Return whether there are any."""
        return bool(self.requested or self.deleted)

    @property
    def pending(self) -> frozenset[NormalizedName]:
        """The deleted projects that no run has removed yet."""
        return frozenset(name for name, deletion in self.deleted.items() if deletion.pending)

    def requesting(self, requested: Mapping[NormalizedName, float]) -> NamedProjects:
        """Return the same with more requested projects, which are no longer deleted."""
        return NamedProjects(
            requested={**requested, **self.requested},
            deleted=_without(self.deleted, requested),
        )

    def deleting(self, deleted: Mapping[NormalizedName, Deletion]) -> NamedProjects:
        """Return the same with more deleted projects, which are no longer requested."""
        return NamedProjects(
            requested=_without(self.requested, deleted), deleted={**self.deleted, **deleted}
        )

    def restoring(self, projects: Iterable[NormalizedName]) -> NamedProjects:
        """Return the same without the deletion of some projects."""
        return replace(self, deleted=_without(self.deleted, projects))

    def forgetting(self, projects: Iterable[NormalizedName]) -> NamedProjects:
        """Return the same without some requested projects: upstream does not have them."""
        return replace(self, requested=_without(self.requested, projects))


NO_NAMED_PROJECTS: Final = NamedProjects(requested={}, deleted={})


def _without(
    named: Mapping[NormalizedName, Any], projects: Iterable[NormalizedName]
) -> dict[NormalizedName, Any]:
    dropped = frozenset(projects)
    return {name: value for name, value in named.items() if name not in dropped}
