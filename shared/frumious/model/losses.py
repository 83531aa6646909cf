"""How much of the mirror upstream has taken away lately. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from msgspec import Meta, Struct
from msgspec.structs import replace

from frumious.model import layout
from frumious.model.types import Count, Hour, Seconds

WINDOW: Final = 24 * 3600  # seconds


class Loss(Struct, frozen=True, array_like=True):
    """Files that pages stop naming, or that the mirror has."""

    files: Count = 0
    bytes_: Count = 0

    def __add__(self, other: Loss) -> Loss:
        return Loss(self.files + other.files, self.bytes_ + other.bytes_)

    def exceeds(self, limit: Loss) -> bool:
        """Return whether it is more than the limit in any respect."""
        return self.files > limit.files or self.bytes_ > limit.bytes_


NOTHING: Final = Loss()


class Losses(Struct, frozen=True, kw_only=True, rename="kebab"):
    """What all projects have lost, as `state/losses.json` keeps it."""

    hours: Mapping[Hour, Loss] = {}  # what was lost in each
    # The last hour in which a loss was refused; empty: there is none.
    refused: Annotated[str, Meta(pattern=r"\A([0-9]{8}T[0-9]{2})?\Z")] = ""
    allowance: Count = 0  # files that may be lost although the limit is reached
    allowed_until: Seconds = 0.0

    def booking(self, loss: Loss, limit: Loss, now: float) -> tuple[Losses, bool]:
        """Return the losses after another one, and whether the limit permits that one.

        Losses count for a day. They count for longer while others are refused: a faulty upstream
        must not take away a share of the mirror each day.
        """
        hour, first = layout.hour(now), layout.hour(now - WINDOW)
        earliest = "" if first <= self.refused <= hour else first
        hours = {each: lost for each, lost in self.hours.items() if earliest <= each <= hour}
        if not sum(hours.values(), loss).exceeds(limit):
            return replace(self, hours={**hours, hour: hours.get(hour, NOTHING) + loss}), True
        allowed = self.allowance if now < self.allowed_until <= now + WINDOW else 0
        if loss.files <= allowed:
            return replace(self, hours=hours, allowance=allowed - loss.files), True
        return replace(self, hours=hours, refused=hour), False

    def allowing(self, files: int, now: float) -> Losses:
        """Return the same, with so many files that may be lost within a day beyond the limit."""
        return replace(self, allowance=files, allowed_until=now + WINDOW)
