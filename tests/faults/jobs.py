"""The jobs' messages, handed out as an SQS FIFO queue does.

One project's messages come in order and to one worker at a time; one that was not deleted comes
again, at once: pauses are for those who have time. Knows nothing of what the jobs do.
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
        """Return the message as Lambda's event has it."""
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

    def __init__(self, most_receives: int) -> None:
        self.sent = 0
        self.dead = 0
        self._most_receives = most_receives
        self._waiting: dict[str, deque[Message]] = {}

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))

    def send(
        self, run: str, project: str, serial: int, *, allowed_removal: str, again: bool = False
    ) -> None:
        self.sent += 1
        body = {
            "run": run,
            "project": project,
            "serial": serial,
            "may-lose": allowed_removal,
            "again": again,
        }
        message = Message(f"{self.sent:06}", project, body)
        self._waiting.setdefault(project, deque()).append(message)

    def receive(self, random: Random, most: int, taken: Collection[str]) -> list[Message]:
        """Hand out a batch, of projects that nobody works on."""
        ready = sorted(name for name, queue in self._waiting.items() if queue)
        ready = [name for name in ready if name not in taken]
        random.shuffle(ready)
        batch: list[Message] = []
        for name in ready:
            batch += list(self._waiting[name])[: random.choice([1, 1, 2])]
            if len(batch) >= most:
                break
        for message in batch[:most]:
            message.receives += 1
        return batch[:most]

    def delete(self, message: Message) -> None:
        self._waiting[message.project].remove(message)

    def give_back(self, message: Message) -> bool:
        """Let the message come again; return whether it is buried, for it came too often."""
        if message.receives < self._most_receives:
            return False
        self.dead += 1
        self.delete(message)
        return True
