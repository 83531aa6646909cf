"""What can be wrong with a bundle, or with the mirror that it is for."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from frumious.model.losses import Loss


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


class LossesWait(FrumiousError):
    """The bundle takes away more files than `max-losses` permits without a confirmation."""

    def __init__(self, loss: Loss, limit: Loss) -> None:
        super().__init__(
            f"the mirror would lose {loss.files} files ({loss.bytes_} bytes), and max-losses"
            f" permits {limit.files} files or {limit.bytes_} bytes within a day; no page was"
            f" changed: check the source, then confirm with --confirm-losses {loss.files}"
        )
