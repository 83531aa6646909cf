"""Changes and faults upstream, in addition to those of `tests.faults`.

Projects are also renamed and archived, and a planner's requests fail as well: changelog and root
index.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.changes import Changes
from tests.faults.upstream_faults import UpstreamFaults
from tests.upstream import (
    Action,
    Chunked,
    RateLimited,
    Raw,
    Reset,
    Slow,
    Stale,
    Status,
    Truncated,
    Wire,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.upstream import ProjectView, Request

_MAX_STALENESS = 30  # serials


class SoakChanges(Changes):
    """Changes, archiving, and renaming: a release is uploaded under another spelling."""

    def _choose(
        self, random: Random, name: str, view: ProjectView | None
    ) -> tuple[str, Callable[[], object]]:
        if view is None or view.status == "quarantined" or random.random() >= 0.12:
            return super()._choose(random, name, view)
        if random.random() < 0.5:  # without an event
            if view.status == "archived":
                return "end of an archiving", lambda: self._index.unarchive(name)
            return "archiving", lambda: self._index.archive(name)
        spelling = random.choice([name.title(), name.upper(), name.replace("-", "_")])

        def rename() -> None:
            self._index.rename(spelling)
            self._release(random, name)

        return "renaming", rename


class SoakUpstreamFaults(UpstreamFaults):
    """Faults of every request upstream."""

    def __call__(self, request: Request) -> Action | None:
        if request.path not in {"/pypi", "/simple/"}:
            return super().__call__(request)
        random = self._chance.of("upstream", request.path)
        if random.random() >= self._rate:
            return None
        kinds = self._planner_faults(random, request.path)
        kind = random.choice(sorted(kinds))
        self.happened[f"upstream, planner: {kind}"] += 1
        return kinds[kind]

    def _planner_faults(self, random: Random, path: str) -> dict[str, Action]:
        kinds: dict[str, Action] = {
            "status 500": Status(500),
            "status 503": Status(503),
            "429, at once": Status(429, retry_after=0),
            "429, in a minute": Status(429, retry_after=60),
            "status 403": Status(403),
            "reset before the response": Reset(),
            "truncated": Truncated(random.randrange(400)),
            "late": Slow(delay=random.uniform(0.05, 0.3)),
            "not HTTP": Wire(b"220 ready\r\n"),
            "unannounced length": Chunked(),
            "login page": Raw(200, {"Content-Type": "text/html"}, b"<p>Log in</p>"),
            "stale": Stale(self._index.serial - random.randrange(_MAX_STALENESS)),
        }
        if path == "/pypi":
            kinds["rate limited, for long"] = RateLimited(reset=900)
            kinds["rate limited, for short"] = RateLimited(reset=0)
        return kinds
