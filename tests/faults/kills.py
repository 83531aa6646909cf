"""Kill a worker's process at the nth request of one project's job."""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from random import Random

_PROJECT_OF = (
    re.compile(r"web/(?:(?:gzip/)?simple|integrity)/([^/]+)/"),
    re.compile(r"web/packages/.*/([^/]+?)-[^/]*$"),
    re.compile(r"state/(?:tombstones|removed)/([^/]+)\.json$"),
)


def project_of(key: str) -> str | None:
    """Return the project that an object belongs to; None for the ledger."""
    found = next(filter(None, (pattern.search(key) for pattern in _PROJECT_OF)), None)
    return canonicalize_name(found[1]) if found else None


@dataclass(frozen=True, slots=True)
class Moment:
    """A request at which a process is killed."""

    side: str  # "upstream" or "storage"
    project: str | None  # None: the ledger's requests
    number: int
    after: bool  # storage: only after the request has been carried out

    @classmethod
    def choose(cls, random: Random, projects: Sequence[str]) -> Moment:
        """Choose a moment in a batch; it may never come."""
        if random.random() < 0.05:
            return cls("storage", None, 1, after=random.random() < 0.5)
        side = random.choice(["upstream", "storage", "storage"])
        number = random.randint(1, 6 if side == "upstream" else 9)
        return cls(side, random.choice(projects), number, after=random.random() < 0.5)


class Killer:
    """Kill the process at one moment."""

    def __init__(self, moment: Moment, kill: Callable[[], None]) -> None:
        self.struck = False
        self._moment = moment
        self._kill = kill
        self._remaining = moment.number
        self._lock = threading.Lock()

    def due(self, side: str, project: str | None) -> Moment | None:
        """Count a request; return the moment if this request is the one."""
        if (side, project) != (self._moment.side, self._moment.project):
            return None
        with self._lock:
            self._remaining -= 1
            return self._moment if self._remaining == 0 else None

    def strike(self) -> None:
        self.struck = True
        self._kill()
