"""Faults: which requests an action applies to, and how often."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from .actions import Action
    from .messages import Request


@dataclass
class Fault:
    """An action and the requests that it applies to; by default all of them, forever."""

    action: Action
    match: str | re.Pattern[str] = ""  # prefix of the path, or a pattern in it
    project: str | None = None  # its pages, files and metadata; need not be normalised
    host: str | None = None  # "index" or "files"
    times: int | None = None  # number of requests; None: all
    skip: int = 0  # number of matching requests that are not affected first

    def matches(self, request: Request) -> bool:
        return (
            (self.project is None or canonicalize_name(self.project) == request.project)
            and (self.host is None or self.host == request.host)
            and (
                request.path.startswith(self.match)
                if isinstance(self.match, str)
                else self.match.search(request.path) is not None
            )
        )


@dataclass
class Faults:
    """The active faults; the first one that matches a request applies to it.

    If none matches, `inject` chooses an action; with a seeded generator the choice is
    reproducible.
    """

    inject: Callable[[Request], Action | None] | None = None
    _faults: list[Fault] = field(default_factory=list)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, fault: Fault) -> Fault:
        with self._lock:
            self._faults.append(fault)
        return fault

    def remove(self, fault: Fault) -> None:
        with self._lock:
            self._faults = [each for each in self._faults if each is not fault]

    def clear(self) -> None:
        with self._lock:
            self._faults.clear()
            self.inject = None

    def take(self, request: Request) -> Action | None:
        """Return the action for a request, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not fault.matches(request):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault.action
            return None if self.inject is None else self.inject(request)
