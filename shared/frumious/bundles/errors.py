"""What can be wrong with a bundle, or with the mirror that it is for."""

from __future__ import annotations

from frumious.errors import FrumiousError


class InvalidBundle(FrumiousError):
    """A bundle that is damaged, forged or incomplete: nothing of it becomes visible."""


class WrongOrder(FrumiousError):
    """A bundle that does not follow what the mirror has: another one has to come first."""


class NotExported(FrumiousError):
    """A bundle cannot be made as requested."""


class RemovalsWait(FrumiousError):
    """The bundle removes more projects than `max-removals` permits without a confirmation."""

    def __init__(self, removals: int, projects: int) -> None:
        super().__init__(
            f"{removals} of {projects} projects would be removed, more than max-removals permits;"
            f" nothing was changed: check the source, then confirm with"
            f" --confirm-removals {removals}"
        )
