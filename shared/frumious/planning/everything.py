"""A mirror of the many projects that no list names: it may be all of PyPI, and a mistake."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan

_MANY: Final = 1000  # projects that nobody lists
_TERABYTE: Final = 1000  # GB


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
