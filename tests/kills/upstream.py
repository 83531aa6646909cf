"""A trial's upstream, which changes between runs and sends files slowly."""

from __future__ import annotations

import threading
from typing import TYPE_CHECKING

from tests.faults.changes import Changes
from tests.upstream import Index, Server, Slow, wheel

if TYPE_CHECKING:
    from random import Random
    from types import TracebackType
    from typing import Self

    from tests.upstream import Action, Request

_DELAY = 0.02  # seconds before each response
_SMALL = 50_000  # bytes
_MIDDLE = 350_000
_LARGE = 2_500_000  # files smaller than 1 MiB are written in one piece


class Upstream:
    """A context manager that serves the index.

    `sending` is the number of seconds that a file takes that is not small.
    """

    def __init__(self, projects: int, sending: float) -> None:
        self.projects = [f"project-{number:02}" for number in range(projects)]
        self.index = Index()
        self._sending = sending
        self.server = Server(self.index)
        self.server.faults.inject = self._slow_down
        self.contacted = threading.Event()  # by any request since it was cleared
        self.changes = Changes(self.index, self.projects)
        self.large = 0  # files, so far

    def __enter__(self) -> Self:
        self.server.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.server.__exit__(kind, error, trace)

    def fill(self, random: Random) -> None:
        """Give each project a large file and a few small ones."""
        for name in self.projects:
            self._upload_large(random, name)
        for _ in range(2 * len(self.projects)):
            self.changes.make(random)

    def change(self, random: Random, times: int) -> None:
        """Make `times` random changes, and upload a large file to a third as many projects."""
        for _ in range(times):
            self.changes.make(random)
        for name in random.sample(self.projects, -(-times // 3)):
            view = self.index.project(name)
            if view is not None and view.status == "active":
                self._upload_large(random, name)

    def _upload_large(self, random: Random, name: str) -> None:
        self.large += 1
        max_count = _LARGE if self.large % 4 == 0 else _MIDDLE
        filling = random.randbytes(random.randrange(max_count // 2, max_count))
        self.index.upload(wheel(name, f"0.{self.large}", filling=filling))

    def _slow_down(self, request: Request) -> Action:
        self.contacted.set()
        filename = request.path.rpartition("/")[2]
        size = max((file.content.size for file in self.index.files_named(filename)), default=0)
        return Slow(_DELAY, size / self._sending if size > _SMALL else None)
