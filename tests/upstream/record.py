"""Record of requests and responses, for tests."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .actions import Action


@dataclass(slots=True)
class RecordedRequest:
    """A request and its response; complete once the response was sent."""

    method: str
    path: str
    target: str  # as the request line has it
    host: str  # "index" or "files"
    headers: Mapping[str, str]  # names in lower case
    rpc: str | None  # the XML-RPC method that was called
    action: Action | None  # of the fault that applied to it
    started: float  # time.monotonic
    ended: float | None = None
    status: int = 0  # 0: no response
    sent: int = 0  # bytes of the body; of the whole response for Raw and Wire
