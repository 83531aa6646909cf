"""A mirror of the many projects that no list names: it may be all of PyPI, and a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.model.plans import Reason

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan

_MANY: Final = 1000  # projects that nobody lists
_TERABYTE: Final = 1000  # GB
_ALL_FILES: Final = frozenset({Reason.NEW, Reason.RESELECTED})  # of these projects may be fetched


async def unconfirmed_projects(plan: Plan, mirror: Mirror) -> int:
    """Return how many projects a mirror would begin with that no list names.

    0: somebody lists them, they are few, or the mirror has a root index already.
    """
    is_new = plan.base is not None and plan.base.serial is None and not plan.base.reconciled
    if not is_new or plan.migrating or mirror.selection.exact_projects is not None:
        return 0
    if len(plan.jobs) <= _MANY:
        return 0
    _, index = await mirror.pages.read_root_index()
    return len(plan.jobs) if index is None else 0


def release_json_text(plan: Plan, mirror: Mirror) -> str | None:
    """Warn of the JSON of the releases of many projects that no list names; None: it is not due."""
    if not mirror.config.release_json or mirror.selection.exact_projects is not None:
        return None
    projects = sum(reason in _ALL_FILES for reason in plan.reasons.values())
    if projects <= _MANY:
        return None
    from frumious.cost.estimate import RELEASES_PER_PROJECT  # noqa: PLC0415 (few ticks need it)

    requests = round(projects * (RELEASES_PER_PROJECT - 1))
    return (
        f"release-json = true: upstream is asked for the JSON of each release of {projects:,}"
        f" projects, some {requests:,} requests; list projects as [allowlist] packages, or set"
        " release-json = false"
    )


def everything_text(projects: int) -> str:
    """Explain what the projects are, and how much of files to expect by PyPI's averages."""
    from frumious.cost.estimate import (  # noqa: PLC0415 (few ticks need it)
        BYTES_PER_FILE,
        FILES_PER_PROJECT,
    )

    gigabytes = projects * FILES_PER_PROJECT * BYTES_PER_FILE / 1e9
    expected = f"{gigabytes / 1000:,.1f} TB" if gigabytes >= _TERABYTE else f"{gigabytes:,.0f} GB"
    return (
        f"no list in the configuration names the projects: all {projects:,} that upstream has would"
        f" be mirrored, with about {expected} of files"
    )
