"""The events that people send to the planner, checked before anything is planned."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from frumious.errors import FrumiousError


class InvalidEvent(FrumiousError):
    """An event with a key that the planner does not know, or with an invalid value."""


class _Event(Struct, forbid_unknown_fields=True):
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


def check_event(event: dict[str, Any]) -> None:
    """Check the keys and values of an event.

    Raises:
        InvalidEvent: it is invalid.
    """
    try:
        msgspec.convert(event, _Event)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        keys = ", ".join(sorted(_Event.__struct_fields__))
        msg = f"the event is invalid: {error}; the planner knows {keys}"
        raise InvalidEvent(msg) from error
