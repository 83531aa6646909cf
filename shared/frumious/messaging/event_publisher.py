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


_PUT_AT_ONCE = 10  # events that one PutEvents call takes


_LARGEST_CALL = 256 * 1024  # bytes, of all events of a call together


_SENDERS = 8  # threads; a client may be shared by them


_TRIES = 4  # of an event that was not taken, as when there are too many in a second


_FIRST_PAUSE = 0.2  # seconds; doubled each time


class EventPublisher:
    """Puts events on a bus of EventBridge."""

    def __init__(self, bus: str) -> None:
        self._bus = bus
        self._client: EventBridgeClient = boto3.client(
            "events",
            config=Config(
                connect_timeout=5,
                read_timeout=10,
                retries={"total_max_attempts": 1},  # it is tried again here
            ),
        )
        self._lost = 0

    async def __call__(self, events: Iterable[Event]) -> None:
        """Put events on the bus; never fails, see `pop_lost_count`."""
        await asyncio.to_thread(self._announce, events)

    def pop_lost_count(self) -> int:
        """Return how many events were not taken since the last call."""
        lost, self._lost = self._lost, 0
        return lost

    def _announce(self, events: Iterable[Event]) -> None:
        lost = 0
        out_of_reach = False  # then nothing more is tried, for each try would take its time
        under_way: deque[tuple[int, Future[int]]] = deque()

        def await_one() -> None:
            nonlocal lost, out_of_reach
            size, call = under_way.popleft()
            lost += call.result()
            out_of_reach = out_of_reach or call.result() == size

        with ThreadPoolExecutor(_SENDERS) as senders:
            for entries in _calls(self._entry(event) for event in events):
                if out_of_reach:
                    lost += len(entries)
                    continue
                under_way.append((len(entries), senders.submit(self._put, entries)))
                if len(under_way) == 2 * _SENDERS:
                    await_one()
            while under_way:
                await_one()
        if lost:
            logger.error("events were lost", extra={"events": lost, "bus": self._bus})
        self._lost += lost

    def _put(self, entries: list[PutEventsRequestEntryTypeDef]) -> int:
        """Put up to ten events; return how many were not taken."""
        waiting = entries
        tries = 1
        while refused := self._try(waiting):
            if tries == _TRIES:
                break
            time.sleep(_FIRST_PAUSE * 2 ** (tries - 1))
            tries += 1
            waiting = refused
        return len(refused)

    def _try(
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
    """Put together what one call takes."""
    together: list[PutEventsRequestEntryTypeDef] = []
    size = 0
    for entry in entries:
        its = len(entry["Source"]) + len(entry["DetailType"]) + len(entry["Detail"])  # ASCII
        if len(together) == _PUT_AT_ONCE or (together and size + its > _LARGEST_CALL):
            yield together
            together, size = [], 0
        together.append(entry)
        size += its
    if together:
        yield together
