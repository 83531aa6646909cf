"""Who goes next, where several planners and finalizers are at work at the same time.

Each request waits until its sender's turn comes, and turns are given only when everybody waits.
What overlaps with what thus follows from whoever gives the turns, and not from the machine.
"""

from __future__ import annotations

import threading
from collections import defaultdict, deque
from concurrent.futures import Future
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

_PATIENCE = 5.0  # seconds; who is silent for so long waits for something else than a turn


class Turns:
    """Asked from the threads of those who take part; turns are given from one other."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._inside: set[str] = set()
        self._waiting: defaultdict[str, deque[Future[bool]]] = defaultdict(deque)
        self._under_way = 0

    def enter(self, name: str) -> None:
        with self._changed:
            self._inside.add(name)

    def leave(self, name: str) -> None:
        """Take no part any more; requests that still wait are never carried out."""
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
        """Return who waits for a turn, as soon as nobody does anything else."""
        with self._changed:
            self._changed.wait_for(self._settled, _PATIENCE)
            self._changed.wait_for(lambda: self._under_way == 0)
            return sorted(name for name in self._inside if self._waiting[name])

    def give(self, name: str) -> None:
        """Let one request of somebody who waits go ahead."""
        with self._changed:
            if self._waiting[name]:
                self._under_way += 1
                self._waiting[name].popleft().set_result(True)

    def _settled(self) -> bool:
        return self._under_way == 0 and all(self._waiting[name] for name in self._inside)
