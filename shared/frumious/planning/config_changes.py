"""Compare the configuration with the one that the mirror was last planned with. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import replace

from frumious.model.runs import Selected
from frumious.value import Value

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

_NOTHING: Final = Selected(projects="", pages="", releases={})


class ConfigChanges(Value, frozen=True, kw_only=True):
    """What the configuration changes for projects that upstream did not change."""

    selected: Selected | None = None  # to store; None: it is stored already
    projects: bool = False  # other projects may be selected
    pages: bool = False  # all pages show something else
    releases: frozenset[NormalizedName] = frozenset()  # projects with other rules for releases
    forced: bool = False  # everything counts as changed
    previous_projects: str = ""  # the stored fingerprint of which projects are selected
    fingerprint: str = ""  # of what is stored, if nothing remains to store


def config_changes(
    stored: Selected | None, current: Selected, *, force: bool, opened: str = ""
) -> ConfigChanges:
    """Compare fingerprints. A mirror that has none stored counts as made by the current ones.

    `opened` identifies the configuration by which runs were last opened. If its planner was killed
    before it stored that, and there is another configuration by now, everything counts as changed.
    """
    merged = current
    if stored is not None:
        merged = replace(current, layouts=tuple(sorted({*stored.layouts, *current.layouts})))
    known = {"", current.fingerprint, merged.fingerprint, (stored or current).fingerprint}
    previous = _NOTHING if force or opened not in known else stored or current
    releases = previous.releases.items() ^ current.releases.items()
    return ConfigChanges(
        selected=None if merged == stored else merged,
        projects=previous.projects != current.projects,
        pages=previous.pages != current.pages,
        releases=frozenset(project for project, _ in releases),
        forced=force,
        previous_projects="" if stored is None else stored.projects,
        fingerprint=current.fingerprint if merged == stored else "",
    )
