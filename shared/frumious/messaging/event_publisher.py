"""Puts events on an EventBridge bus, at least once each.

Events that EventBridge does not take are counted and dropped: they are news, the mirror's pages
are the truth.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from typing import TYPE_CHECKING, Final

from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from frumious.aws import open_client
from frumious.messaging.batches import BATCH_SIZE, sum_of_calls

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from frumious.messaging.events import Event

logger = logging.getLogger(__name__)

SOURCE: Final = "frumious"

_MAX_CALL_BYTES = 256 * 1024  # of all events of a call together
_ATTEMPTS = 4  # for an event that was not taken, as when there are too many in a second
_FIRST_PAUSE = 0.2  # seconds; doubled each time


class EventPublisher:
    """Puts events on an EventBridge bus."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._client: EventBridgeClient = open_client(
            "events",
            Config(
                connect_timeout=5,
                read_timeout=10,
                retries={"total_max_attempts": 1},  # retried here
            ),
        )
        self._lost = 0
        self._unreachable = False

    async def __call__(self, events: Iterable[Event]) -> None:
        """Put events on the bus; never fails, see `pop_lost_count`."""
        await asyncio.to_thread(self._publish, events)

    def pop_lost_count(self) -> int:
        """Return how many events were not taken since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def _publish(self, events: Iterable[Event]) -> None:
        self._unreachable = False
        lost = sum_of_calls(self._put, _calls(self._entry(event) for event in events))
        if lost:
            logger.error("events were lost", extra={"events": lost, "bus": self._bus})
        self._lost += lost

    def _put(self, entries: list[PutEventsRequestEntryTypeDef]) -> int:
        """Put up to ten events; return how many were not taken."""
        size, attempt = len(entries), 1
        while not self._unreachable and (entries := self._put_once(entries)):
            if attempt == _ATTEMPTS:
                # If it took none, nothing more is tried: each attempt would take its time.
                self._unreachable |= len(entries) == size
                break
            time.sleep(_FIRST_PAUSE * 2 ** (attempt - 1))
            attempt += 1
        return len(entries)

    def _put_once(
        self, entries: list[PutEventsRequestEntryTypeDef]
    ) -> list[PutEventsRequestEntryTypeDef]:
        """Return the events that were not taken."""
        try:
            answers = self._client.put_events(Entries=entries)["Entries"]
        except (ClientError, BotoCoreError) as error:
            logger.warning("events were not taken", extra={"error": str(error)})
            return entries
        refused = []
        for entry, answer in zip(entries, answers, strict=True):
            if "ErrorCode" in answer:
                extra = {"error": answer.get("ErrorMessage", answer["ErrorCode"])}
                logger.warning("an event was not taken", extra=extra)
                refused.append(entry)
        return refused

    def _entry(self, event: Event) -> PutEventsRequestEntryTypeDef:
        return {
            "EventBusName": self._bus,
            "Source": SOURCE,
            "DetailType": event.kind,
            "Detail": json.dumps(event.detail, separators=(",", ":")),
        }


def _calls(
    entries: Iterable[PutEventsRequestEntryTypeDef],
) -> Iterator[list[PutEventsRequestEntryTypeDef]]:
    """Group what one call takes."""
    batch: list[PutEventsRequestEntryTypeDef] = []
    batch_size = 0
    for entry in entries:
        size = len(entry["Source"]) + len(entry["DetailType"]) + len(entry["Detail"])  # ASCII
        if len(batch) == BATCH_SIZE or (batch and batch_size + size > _MAX_CALL_BYTES):
            yield batch
            batch, batch_size = [], 0
        batch.append(entry)
        batch_size += size
    if batch:
        yield batch
