"""Schedule the requests of planners and finalizers that run at the same time.

Each request waits for its sender's turn, and a turn is given only when every participant waits. The
scheduler, not the machine, thus determines which requests overlap.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_TIMEOUT = 5.0  # seconds; a participant that is silent for so long does not wait for a turn


class Turns:
    """Participants ask from their own threads; one other thread gives the turns."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: set[str] = set()
        self._waiting: defaultdict[str, deque[Future[bool]]] = defaultdict(deque)
        self._under_way = 0

    def enter(self, name: str) -> None:
        with self._changed:
            self._inside.add(name)

    def leave(self, name: str) -> None:
        """Stop participating; requests that still wait are never carried out."""
        with self._changed:
            self._inside.discard(name)
            for waiting in self._waiting.pop(name, ()):
                waiting.set_result(False)
            self._changed.notify_all()

    def ask(self, name: str) -> Future[bool]:
        """Wait for a turn; False when there will be none. Follow it with `done`."""
        turn: Future[bool] = Future()
        with self._changed:
            if name in self._inside:
                self._waiting[name].append(turn)
            else:
                turn.set_result(False)
            self._changed.notify_all()
        return turn

    def done(self) -> None:
        with self._changed:
            self._under_way -= 1
            self._changed.notify_all()

    def waiting(self) -> Sequence[str]:
        """Return the participants that wait for a turn, once all of them do."""
        with self._changed:
            self._changed.wait_for(self._settled, _TIMEOUT)
            self._changed.wait_for(lambda: self._under_way == 0)
            return sorted(name for name in self._inside if self._waiting[name])

    def give(self, name: str) -> None:
        """Let one waiting request of a participant proceed."""
        with self._changed:
            if self._waiting[name]:
                self._under_way += 1
                self._waiting[name].popleft().set_result(True)

    def _settled(self) -> bool:
        return self._under_way == 0 and all(self._waiting[name] for name in self._inside)
