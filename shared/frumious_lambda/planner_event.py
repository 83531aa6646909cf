"""The events that people send to the planner, checked before anything is planned."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from frumious.errors import FrumiousError


class InvalidEvent(FrumiousError):
    """An event with a key that the planner does not know, or with an invalid value."""


class PlannerEvent(Struct, frozen=True, forbid_unknown_fields=True):
    """The keys and the types of their values; `functions/planner/app.py` describes them."""

    projects: list[str] | None = None
    delete: list[str] = []
    all: bool = False
    may_lose: bool = False
    dry_run: bool = False
    confirm_losses: Annotated[int, Meta(ge=0)] = 0
    confirm_removals: Annotated[int, Meta(ge=0)] = 0
    force_check: bool = False
    reset_serials: bool = False
    retry: bool | list[str] = False

    @property
    def is_tick(self) -> bool:
        """Whether the whole mirror is planned, not named projects."""
        return not self.delete and self.projects is None


def parse_event(event: dict[str, Any]) -> PlannerEvent:
    """Return an event whose keys and values are valid.

    Raises:
        InvalidEvent: one of them is not.
    """
    try:
        return msgspec.convert(event, PlannerEvent)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        keys = ", ".join(sorted(PlannerEvent.__struct_fields__))
        msg = f"the event is invalid: {error}; the planner knows {keys}"
        raise InvalidEvent(msg) from error
