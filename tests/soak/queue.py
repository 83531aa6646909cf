"""The queue of jobs and that of dead letters, with all that can become of a message on its way.

Answers what functions ask of SQS. A message can be lost, come twice, come again long after it was
done, or come in another order than those of other projects were sent in.
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

_REMEMBERED = 300  # messages that were done, and may come again


class Queue(Jobs):
    """Both queues; `rate` is the share of messages that do not simply arrive once."""

    def __init__(self, most_receives: int, chance: Chance, rate: float) -> None:
        super().__init__(most_receives)
        self.rate = rate
        self.happened: Counter[str] = Counter()
        self._chance = chance
        self._done: deque[Message] = deque(maxlen=_REMEMBERED)
        self._dead: dict[str, Message] = {}  # by receipt
        self._held: set[str] = set()  # receipts of dead letters that somebody looks at
        self._numbers = itertools.count(1)

    def answer(self, action: str, said: Json) -> Json | None:
        """Do what a call asks for; None: the call is not expected."""
        match action:
            case "SendMessageBatch":
                return self._take(said["Entries"])
            case "ChangeMessageVisibility":
                return {}  # jobs that are put off come again at once: the soak's time is short
            case "ReceiveMessage":
                return {"Messages": self._peek(int(said["MaxNumberOfMessages"]))}
            case "DeleteMessageBatch":
                for entry in said["Entries"]:
                    if self._dead.pop(entry["ReceiptHandle"], None):
                        self.happened["dead letters forgotten"] += 1
                return _all_taken(said["Entries"])
            case "ChangeMessageVisibilityBatch":
                self._held -= {entry["ReceiptHandle"] for entry in said["Entries"]}
                return _all_taken(said["Entries"])
        return None

    def delete(self, message: Message) -> None:
        super().delete(message)
        self._done.append(message)

    def give_back(self, message: Message) -> bool:
        buried = super().give_back(message)
        if buried:
            self._done.pop()
            self._dead[f"dead-{message.id}"] = message
        return buried

    def let_go(self) -> None:
        """Show dead letters again that somebody has looked at: time has passed."""
        self._held.clear()

    def redrive(self) -> None:
        """Send dead letters back, as somebody does at the console."""
        self.happened["dead letters sent back"] += len(self._dead)
        for message in self._dead.values():
            self._append(message.project, message.body)
        self._dead.clear()

    def repeat(self, random: Random) -> None:
        """Let a message come again that was done before, maybe long ago."""
        if self._done:
            message = random.choice(self._done)
            self.happened["old messages came again"] += 1
            self._append(message.project, message.body)

    def _take(self, entries: list[Json]) -> Json:
        answer = _all_taken([])
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
                answer["Failed"].append({**error, "Message": "not now"})
            else:
                answer["Successful"].append(_taken(entry))
        return answer

    def _append(self, project: str, body: Json) -> None:
        self.sent += 1
        message = Message(f"{next(self._numbers):06}", project, body)
        self._waiting.setdefault(project, deque()).append(message)

    def _peek(self, most: int) -> list[Json]:
        seen = [receipt for receipt in sorted(self._dead) if receipt not in self._held][:most]
        self._held.update(seen)
        return [
            {"MessageId": receipt, "ReceiptHandle": receipt, "Body": json.dumps(message.body)}
            for receipt in seen
            for message in [self._dead[receipt]]
        ]


def _all_taken(entries: list[Json]) -> Json:
    return {"Successful": [_taken(entry) for entry in entries], "Failed": []}


def _taken(entry: Json) -> Json:
    return {"Id": entry["Id"], "MessageId": entry["Id"], "MD5OfMessageBody": ""}
