"""Puts events on an EventBridge bus, at least once each.

Events that EventBridge does not take are counted and dropped: they are news, the mirror's pages
are the truth.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from concurrent.futures import Future

    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from frumious.messaging.events import Event

logger = logging.getLogger(__name__)

SOURCE: Final = "frumious"

_BATCH_SIZE = 10  # events that one PutEvents call takes
_MAX_CALL_BYTES = 256 * 1024  # of all events of a call together
_SENDERS = 8  # threads; they may share a client
_ATTEMPTS = 4  # for an event that was not taken, as when there are too many in a second
_FIRST_PAUSE = 0.2  # seconds; doubled each time


class EventPublisher:
    """Puts events on an EventBridge bus."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._client: EventBridgeClient = boto3.client(
            "events",
            config=Config(
                connect_timeout=5,
                read_timeout=10,
                retries={"total_max_attempts": 1},  # retried here
            ),
        )
        self._lost = 0

    async def __call__(self, events: Iterable[Event]) -> None:
        """Put events on the bus; never fails, see `pop_lost_count`."""
        await asyncio.to_thread(self._publish, events)

    def pop_lost_count(self) -> int:
        """Return how many events were not taken since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def _publish(self, events: Iterable[Event]) -> None:
        lost = 0
        unreachable = False  # then nothing more is tried, for each attempt would take its time
        pending: deque[tuple[int, Future[int]]] = deque()

        def await_oldest() -> None:
            nonlocal lost, unreachable
            size, call = pending.popleft()
            lost += call.result()
            unreachable = unreachable or call.result() == size

        with ThreadPoolExecutor(_SENDERS) as senders:
            for entries in _calls(self._entry(event) for event in events):
                if unreachable:
                    lost += len(entries)
                    continue
                pending.append((len(entries), senders.submit(self._put, entries)))
                if len(pending) == 2 * _SENDERS:
                    await_oldest()
            while pending:
                await_oldest()
        if lost:
            logger.error("events were lost", extra={"events": lost, "bus": self._bus})
        self._lost += lost

    def _put(self, entries: list[PutEventsRequestEntryTypeDef]) -> int:
        """Put up to ten events; return how many were not taken."""
        attempt = 1
        while (entries := self._put_once(entries)) and attempt < _ATTEMPTS:
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
        if len(batch) == _BATCH_SIZE or (batch and batch_size + size > _MAX_CALL_BYTES):
            yield batch
            batch, batch_size = [], 0
        batch.append(entry)
        batch_size += size
    if batch:
        yield batch
