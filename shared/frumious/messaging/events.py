"""What happened, as EventBridge carries it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from frumious.model.types import JsonObject


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened; `kind` is EventBridge's detail-type."""

    kind: str
    detail: JsonObject
