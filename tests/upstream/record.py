"""What was asked of the server and what it sent, for tests to count."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .actions import Action


@dataclass(slots=True)
class Request:
    """One request. It is complete once the client has its answer."""

    method: str
    path: str
    host: str  # "index" or "files"
    headers: Mapping[str, str]  # names in lower case
    rpc: str | None  # the XML-RPC method that was called
    action: Action | None  # what went wrong with it on purpose
    started: float  # time.monotonic
    ended: float | None = None
    status: int = 0  # 0: no answer
    sent: int = 0  # bytes of the body; of everything, for Raw and Wire
