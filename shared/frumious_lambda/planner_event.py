"""The events that people send to the planner, checked before anything is planned."""

from __future__ import annotations

from typing import Annotated, Any

import msgspec
from msgspec import Meta, Struct

from frumious.errors import FrumiousError


class InvalidEvent(FrumiousError):
    """An event that has an invalid value."""


class _Event(Struct):
    """The types of the values; `functions/planner/app.py` describes the keys."""

    projects: list[str] | None = None
    may_lose: bool = False
    dry_run: bool = False
    confirm_removals: Annotated[int, Meta(ge=0)] = 0
    force_check: bool = False
    reset_serials: bool = False
    retry: bool | list[str] = False


def check_event(event: dict[str, Any]) -> None:
    """Check the values of an event.

    Raises:
        InvalidEvent: one is invalid.
    """
    try:
        msgspec.convert(event, _Event)
    except (msgspec.ValidationError, UnicodeEncodeError) as error:  # half a surrogate pair
        msg = f"the event is invalid: {error}"
        raise InvalidEvent(msg) from error
