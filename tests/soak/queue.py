"""The job queue and the dead-letter queue, with every fault that a message can meet.

Answers the functions' SQS calls. A message can be lost, delivered twice, redelivered long after it
was done, or delivered in another order than the messages of other projects.
"""

from __future__ import annotations

import itertools
import json
from collections import Counter, deque
from typing import TYPE_CHECKING, Any

from tests.faults.jobs import Jobs, Message

if TYPE_CHECKING:
    from random import Random

    from tests.faults.chance import Chance

Json = dict[str, Any]

_MAX_DONE = 300  # messages that were done, and may be redelivered


class Queue(Jobs):
    """Both queues; `rate` is the share of messages that are lost, doubled or refused."""

    def __init__(self, max_receives: int, chance: Chance, rate: float) -> None:
        super().__init__(max_receives)
        self.rate = rate
        self.happened: Counter[str] = Counter()
        self._chance = chance
        self._done: deque[Message] = deque(maxlen=_MAX_DONE)
        self._dead: dict[str, Message] = {}  # by receipt
        self._leased: set[str] = set()  # receipts of dead letters that are invisible
        self._numbers = itertools.count(1)

    def respond(self, action: str, payload: Json) -> Json | None:
        """Carry out an SQS call; return None for an unexpected one."""
        match action:
            case "SendMessageBatch":
                return self._take(payload["Entries"])
            case "ChangeMessageVisibility":
                return {}  # jobs to retry later return at once: the soak is short
            case "ReceiveMessage":
                return {"Messages": self._receive_dead(int(payload["MaxNumberOfMessages"]))}
            case "DeleteMessageBatch":
                for entry in payload["Entries"]:
                    if self._dead.pop(entry["ReceiptHandle"], None):
                        self.happened["dead letters deleted"] += 1
                return _all_accepted(payload["Entries"])
            case "ChangeMessageVisibilityBatch":
                self._leased -= {entry["ReceiptHandle"] for entry in payload["Entries"]}
                return _all_accepted(payload["Entries"])
        return None

    def delete(self, message: Message) -> None:
        super().delete(message)
        self._done.append(message)

    def return_message(self, message: Message) -> bool:
        is_dead = super().return_message(message)
        if is_dead:
            self._done.pop()
            self._dead[f"dead-{message.id}"] = message
        return is_dead

    def release_dead_letters(self) -> None:
        """Make all dead letters visible: their visibility timeout has passed."""
        self._leased.clear()

    def redrive(self) -> None:
        """Send dead letters back to the job queue, as an operator does at the console."""
        self.happened["dead letters sent back"] += len(self._dead)
        for message in self._dead.values():
            self._append(message.project, message.body)
        self._dead.clear()

    def repeat(self, random: Random) -> None:
        """Redeliver a message that was done, maybe long ago."""
        if self._done:
            message = random.choice(self._done)
            self.happened["old messages redelivered"] += 1
            self._append(message.project, message.body)

    def _take(self, entries: list[Json]) -> Json:
        response = _all_accepted([])
        for entry in entries:
            project, body = entry["MessageGroupId"], json.loads(entry["MessageBody"])
            random = self._chance.of("message", project)
            kind = random.choice(["lost", "doubled", "refused"])
            if random.random() >= self.rate:
                kind = "sent"
            self.happened[f"messages {kind}"] += 1
            for _ in range({"sent": 1, "doubled": 2}.get(kind, 0)):
                self._append(project, body)
            if kind == "refused":
                error = {"Id": entry["Id"], "SenderFault": False, "Code": "InternalError"}
                response["Failed"].append({**error, "Message": "not now"})
            else:
                response["Successful"].append(_accepted(entry))
        return response

    def _append(self, project: str, body: Json) -> None:
        self.sent += 1
        message = Message(f"{next(self._numbers):06}", project, body)
        self._waiting.setdefault(project, deque()).append(message)

    def _receive_dead(self, max_count: int) -> list[Json]:
        visible = [each for each in sorted(self._dead) if each not in self._leased][:max_count]
        self._leased.update(visible)
        return [
            {"MessageId": receipt, "ReceiptHandle": receipt, "Body": json.dumps(message.body)}
            for receipt in visible
            for message in [self._dead[receipt]]
        ]


def _all_accepted(entries: list[Json]) -> Json:
    return {"Successful": [_accepted(entry) for entry in entries], "Failed": []}


def _accepted(entry: Json) -> Json:
    return {"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": ""}
