"""The jobs' messages, delivered as an SQS FIFO queue does.

One project's messages are delivered in order and to one worker at a time. A message that was not
deleted is redelivered at once, so that the trial does not wait.
"""

from __future__ import annotations

import json
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Collection
    from random import Random


@dataclass(slots=True)
class Message:
    id: str
    project: str
    body: dict[str, Any]
    receives: int = 0

    def record(self) -> dict[str, Any]:
        """Return the message's record in a Lambda event."""
        return {
            "messageId": self.id,
            "receiptHandle": f"receipt-{self.id}",
            "body": json.dumps(self.body),
            "attributes": {
                "ApproximateReceiveCount": str(self.receives),
                "MessageGroupId": self.project,
            },
            "messageAttributes": {},
            "eventSource": "aws:sqs",
            "eventSourceARN": "arn:aws:sqs:us-east-1:123456789012:jobs.fifo",
            "awsRegion": "us-east-1",
        }


class Jobs:
    """The queue."""

    def __init__(self, max_receives: int) -> None:
        self.sent = 0
        self.dead = 0
        self._max_receives = max_receives
        self._waiting: dict[str, deque[Message]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def send(
        self, run: str, project: str, serial: int, *, allowed_removal: str, recovering: bool = False
    ) -> None:
        self.sent += 1
        body = {
            "run": run,
            "project": project,
            "serial": serial,
            "may-lose": allowed_removal,
            "again": recovering,
        }
        message = Message(f"{self.sent:06}", project, body)
        self._waiting.setdefault(project, deque()).append(message)

    def receive(self, random: Random, max_count: int, taken: Collection[str]) -> list[Message]:
        """Return a batch of messages, of projects that are not in `taken`."""
        ready = sorted(name for name, queue in self._waiting.items() if queue)
        ready = [name for name in ready if name not in taken]
        random.shuffle(ready)
        batch: list[Message] = []
        for name in ready:
            batch += list(self._waiting[name])[: random.choice([1, 1, 2])]
            if len(batch) >= max_count:
                break
        for message in batch[:max_count]:
            message.receives += 1
        return batch[:max_count]

    def delete(self, message: Message) -> None:
        self._waiting[message.project].remove(message)

    def return_message(self, message: Message) -> bool:
        """Return the message to the queue; return True if it became a dead letter instead."""
        if message.receives < self._max_receives:
            return False
        self.dead += 1
        self.delete(message)
        return True
