"""What the doctor finds: what is wrong, and what repairs it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from frumious.mirror import Mirror


class Remedy(Enum):
    """A repair that another room makes."""

    ROOT_INDEX = "the root index is made again from the project pages"
    RESET_SERIALS = "the mirror counts upstream's serials anew"


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """Something that is wrong with a mirror or its surroundings."""

    subject: str  # the object, path or host
    problem: str
    advice: str  # what to do
    # What `--repair` does; None: only a person can.
    repair: Callable[[Mirror], Awaitable[None]] | Remedy | None = None
