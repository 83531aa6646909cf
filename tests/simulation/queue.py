"""Both queues in memory, as SQS has them: first in, first out for each project.

A message that was received is invisible for a while, and so are all later ones of its project. It
is delivered at least once, and once too often it is on the dead-letter queue.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from itertools import chain
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from frumious.messaging.dead_letter_queue import DeadLetterQueue
from frumious.messaging.job_queue import JobQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Collection

    from tests.simulation.loop import SimulatedLoop
    from tests.simulation.process import Process

MAX_RECEIVES = 5
LEASE = 180.0  # seconds; as long as a worker lives it prolongs them
_BATCH = 10
_DEDUPLICATED = 300.0  # seconds


@dataclass(slots=True)
class Message:
    group: str
    body: str
    identity: str
    sent: float
    receives: int = 0
    visible: float = 0.0  # from when on
    receipt: str = ""


@dataclass(slots=True)
class Queues:
    """The job queue and the dead-letter queue."""

    loop: SimulatedLoop
    groups: dict[str, deque[Message]] = field(default_factory=dict)
    dead: list[Message] = field(default_factory=list)
    done: deque[Message] = field(default_factory=lambda: deque(maxlen=20))
    _identities: dict[str, float] = field(default_factory=dict)
    _receipts: int = 0

    def send(self, group: str, body: str, identity: str) -> None:
        now = self.loop.elapsed
        if self._identities.get(identity, -_DEDUPLICATED) + _DEDUPLICATED > now:
            return
        self._identities[identity] = now
        self.groups.setdefault(group, deque()).append(Message(group, body, identity, now))

    def receive(self, count: int) -> list[Message]:
        """Return a batch of visible messages; bury those that were delivered too often."""
        now, batch = self.loop.elapsed, list[Message]()
        for messages in self.groups.values():
            while messages and messages[0].visible <= now and len(batch) < count:
                if messages[0].receives >= MAX_RECEIVES:
                    self._bury(messages.popleft())
                    continue
                for message in list(messages)[: count - len(batch)]:
                    if message.visible > now:
                        break
                    message.receives += 1
                    message.visible = now + LEASE
                    batch.append(self._with_receipt(message))
        return batch

    def prolong(self, receipts: Collection[str]) -> None:
        """Keep messages invisible whose worker lives."""
        for message in chain.from_iterable(self.groups.values()) if receipts else ():
            if message.receipt in receipts:
                message.visible = max(message.visible, self.loop.elapsed + LEASE)

    def delete(self, message: Message) -> None:
        messages = self.groups[message.group]
        if message in messages:
            messages.remove(message)
            self.done.append(message)

    def receive_dead(self) -> list[Message]:
        now = self.loop.elapsed
        found = [each for each in self.dead if each.visible <= now][:_BATCH]
        for message in found:
            message.visible = now + 120.0
            self._with_receipt(message)
        return found

    def redrive(self) -> None:
        """Put the dead letters back on the job queue, as an operator does."""
        for message in self.dead:
            self._repeat(message)
        self.dead.clear()

    def repeat(self, which: int) -> None:
        """Deliver a message again that was done."""
        if self.done:
            self._repeat(self.done[which % len(self.done)])

    def lose(self, which: int) -> None:
        """Lose a message, as if its time on the queue were over."""
        groups = [each for each in self.groups.values() if each]
        if groups:
            groups[which % len(groups)].pop()

    def next_visible(self) -> float | None:
        """Return when the next message can be received; None: there is none."""
        waiting = [messages[0].visible for messages in self.groups.values() if messages]
        return min(waiting, default=None)

    def _repeat(self, message: Message) -> None:
        again = Message(message.group, message.body, message.identity, self.loop.elapsed)
        self.groups.setdefault(message.group, deque()).append(again)

    def _bury(self, message: Message) -> None:
        message.visible = 0.0
        self.dead.append(message)

    def _with_receipt(self, message: Message) -> Message:
        self._receipts += 1
        message.receipt = f"receipt-{self._receipts}"
        return message


class Sqs:
    """SQS's client of one process: the calls that the mirror makes."""

    def __init__(self, queues: Queues, process: Process) -> None:
        self._queues = queues
        self._process = process

    def send_message_batch(self, *, Entries: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        def send(entries: Any) -> dict[str, Any]:
            for entry in entries:
                self._queues.send(
                    entry["MessageGroupId"], entry["MessageBody"], entry["MessageDeduplicationId"]
                )
            return {}

        return self._call("SendMessageBatch", lambda: send(Entries))

    def receive_message(self, **_: Any) -> dict[str, Any]:
        def receive() -> dict[str, Any]:
            found = self._queues.receive_dead()
            return {"Messages": [{"Body": m.body, "ReceiptHandle": m.receipt} for m in found]}

        return self._call("ReceiveMessage", receive)

    def delete_message_batch(self, *, Entries: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        receipts = {entry["ReceiptHandle"] for entry in Entries}

        def delete() -> dict[str, Any]:
            dead = self._queues.dead
            dead[:] = [message for message in dead if message.receipt not in receipts]
            return {}

        return self._call("DeleteMessageBatch", delete)

    def change_message_visibility_batch(self, *, Entries: Any, **_: Any) -> dict[str, Any]:  # noqa: N803
        timeouts = {entry["ReceiptHandle"]: entry["VisibilityTimeout"] for entry in Entries}

        def change() -> dict[str, Any]:
            queues = self._queues
            for message in (*queues.dead, *(m for group in queues.groups.values() for m in group)):
                if message.receipt in timeouts:
                    message.visible = queues.loop.elapsed + timeouts[message.receipt]
            return {}

        return self._call("ChangeMessageVisibilityBatch", change)

    def _call(self, action: str, effect: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        def faulty() -> dict[str, Any]:
            fault = self._process.fate.faults.get(self._process.requests)
            if not fault:
                return effect()
            self._process.log(f"the queue fails at {action}")
            if fault > 1:
                effect()
            raise ClientError({"Error": {"Code": "ServiceUnavailable"}}, action)

        return self._process.request_at_once("calls", action, faulty)


class SimulatedJobQueue(JobQueue):
    """The real job queue over simulated SQS."""

    def __init__(self, queues: Queues, process: Process) -> None:
        self._url = "jobs"
        self._client = Sqs(queues, process)  # type: ignore[assignment]


class SimulatedDeadLetterQueue(DeadLetterQueue):
    """The real dead-letter queue over simulated SQS."""

    def __init__(self, queues: Queues, process: Process) -> None:
        self._url = "dead-letters"
        self._client = Sqs(queues, process)  # type: ignore[assignment]
