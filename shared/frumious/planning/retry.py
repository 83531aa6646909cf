"""Retry lagging projects now, instead of when their pause is over, and confirm losses."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.errors import Reason

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.runs import Lagging


async def retry(mirror: Mirror, names: Iterable[str] | None = None) -> list[NormalizedName]:
    """Make lagging projects due, all or the named ones, and return them.

    The next tick of the planner plans them. A job that still waits for such a project, perhaps on
    the dead-letter queue, does no harm.
    """
    wanted = None if names is None else {canonicalize_name(name) for name in names}
    due: list[NormalizedName] = []

    def change(lagging: Mapping[NormalizedName, Lagging]) -> Mapping[NormalizedName, Lagging]:
        due[:] = sorted(name for name in lagging if wanted is None or name in wanted)
        return {**lagging, **{name: replace(lagging[name], due=0.0) for name in due}}

    await mirror.ledger.change_lagging(change)
    return due


def refused_losses(lagging: Mapping[NormalizedName, Lagging]) -> list[NormalizedName]:
    """Return the projects that lag because `max-losses` is reached."""
    return [
        project
        for project, entry in lagging.items()
        if Reason.public(entry.reason) is Reason.LOSSES_STOPPED
    ]


async def confirm_losses(mirror: Mirror, files: int) -> list[NormalizedName]:
    """Let all projects lose so many files within a day, although `max-losses` is reached.

    The projects that lag because of that become due; returns them.
    """
    now = mirror.clock.now()
    await mirror.ledger.change_losses(lambda losses: losses.allowing(files, now))
    return await retry(mirror, refused_losses(await mirror.ledger.lagging()))
