"""What others may react to, on EventBridge: runs that finished, projects that changed.

Told at least once: a finalizer that died is followed by one that tells the same again. Events
that EventBridge does not take are counted and let go: they are news, the mirror's pages are the
truth.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from frumious.model import Outcome

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from concurrent.futures import Future

    from mypy_boto3_events.client import EventBridgeClient
    from mypy_boto3_events.type_defs import PutEventsRequestEntryTypeDef

    from frumious.model import Json, JsonObject, Key, Result, RunId

logger = logging.getLogger(__name__)

SOURCE: Final = "frumious"
RUN_FINISHED: Final = "Run finished"
PROJECT_UPDATED: Final = "Project updated"
PROJECT_REMOVED: Final = "Project removed"

_KINDS: Final = {
    Outcome.UPDATED: PROJECT_UPDATED,
    Outcome.QUARANTINED: PROJECT_REMOVED,
    Outcome.REMOVED: PROJECT_REMOVED,
}
_PUT_AT_ONCE = 10  # events that one PutEvents call takes
_LARGEST_CALL = 256 * 1024  # bytes, of all events of a call together
_LARGEST_KEYS = 200 * 1024  # bytes of keys in one event; the rest of it is small
_SENDERS = 8  # threads; a client may be shared by them
_TRIES = 4  # of an event that was not taken, as when there are too many in a second
_FIRST_PAUSE = 0.2  # seconds; doubled each time


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened: `kind` is EventBridge's detail-type."""

    kind: str
    detail: JsonObject


def run_finished(summary: JsonObject) -> Event:
    """Tell of a run that was closed."""
    return Event(RUN_FINISHED, summary)


def project_changed(
    run: RunId, result: Result, written: Sequence[Key], deleted: Sequence[Key]
) -> Event | None:
    """Tell what a job changed; None if it changed nothing.

    The keys that were written and deleted are named as far as an event can hold them;
    `truncated` says that there are more.
    """
    kind = _KINDS.get(result.outcome)
    if kind is None:
        return None
    told, truncated = _as_fits({"written": written, "deleted": deleted})
    return Event(
        kind,
        {
            "project": result.project,
            "run": run,
            "outcome": result.outcome.value,
            "serial": result.serial,
            "files_added": len(result.added),
            "bytes_added": result.added_bytes,
            "files_removed": len(result.removed),
            **told,
            "truncated": truncated,
        },
    )


class Announcer:
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
        """Put events on the bus; never fails, see `take_lost`."""
        await asyncio.to_thread(self._announce, events)

    def take_lost(self) -> int:
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


def _as_fits(keys: Mapping[str, Sequence[Key]]) -> tuple[JsonObject, bool]:
    """Return as many of the keys as an event can hold, and whether that is not all of them."""
    left = _LARGEST_KEYS
    told: JsonObject = {}
    truncated = False
    for name, some in keys.items():
        fitting: list[Json] = []
        for key in some:
            left -= len(json.dumps(key)) + 1
            if left < 0:
                truncated = True
                break
            fitting.append(key)
        told[name] = fitting
    return told, truncated
