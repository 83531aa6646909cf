"""Which requests something goes wrong with, and how often.

What goes wrong with them is the actions' to know.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

if TYPE_CHECKING:
    import re
    from collections.abc import Callable

    from .actions import Action
    from .answer import Ask


@dataclass
class Fault:
    """An action, and the requests that it happens to: by default all of them, for ever."""

    action: Action
    match: str | re.Pattern[str] = ""  # how the path begins, or a pattern found in it
    project: str | None = None  # its pages, its files and their metadata; any spelling
    host: str | None = None  # "index" or "files"
    times: int | None = None  # how many requests; None: all
    skip: int = 0  # how many matching requests are let through first

    def matches(self, ask: Ask) -> bool:
        return (
            (self.project is None or canonicalize_name(self.project) == ask.project)
            and (self.host is None or self.host == ask.host)
            and (
                ask.path.startswith(self.match)
                if isinstance(self.match, str)
                else self.match.search(ask.path) is not None
            )
        )


@dataclass
class Faults:
    """The faults that are switched on. One happens to each request: the first that matches.

    `inject` is asked when none matches; given a seeded generator it makes random trouble that
    can be repeated.
    """

    inject: Callable[[Ask], Action | None] | None = None
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

    def take(self, ask: Ask) -> Action | None:
        """Return what happens to this request, and count it."""
        with self._lock:
            for fault in self._faults:
                if fault.times == 0 or not fault.matches(ask):
                    continue
                if fault.skip:
                    fault.skip -= 1
                    continue
                if fault.times is not None:
                    fault.times -= 1
                return fault.action
            return None if self.inject is None else self.inject(ask)
