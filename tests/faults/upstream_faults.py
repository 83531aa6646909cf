"""Faults upstream: the seed decides for each request whether and how it fails.

Only faults that a mirror can notice: no reader can notice a wrong page that is consistent with
itself, its serial and its files' hashes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from tests.upstream import (
    Action,
    Chunked,
    Edit,
    Endless,
    Gzip,
    Headers,
    NoRange,
    Raw,
    Redirect,
    Reset,
    Slow,
    Stale,
    Status,
    Together,
    Truncated,
    UntilClose,
    Wire,
    WrongBytes,
    WrongLength,
)

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

    from tests.faults.chance import Chance
    from tests.upstream import Index, Request

_MAX_STALENESS = 60  # serials


@dataclass(frozen=True)
class _Kind:
    name: str
    make: Callable[[Random], Action]


class UpstreamFaults:
    """Called by the fake upstream for each request; one request in `1 / rate` gets a fault."""

    def __init__(self, chance: Chance, index: Index, rate: float) -> None:
        self.happened: Counter[str] = Counter()
        self._chance = chance
        self._index = index
        self._rate = rate

    def __call__(self, request: Request) -> Action | None:
        random = self._chance.of("upstream", request.path)
        if random.random() >= self._rate:
            return None
        section = request.path.split("/")[1]
        kinds = {"simple": _PAGE, "packages": _FILE}.get(section, _PROVENANCE)
        kind = random.choice([*_ANY, *kinds, *self._stale(section)])
        self.happened[f"upstream: {kind.name}"] += 1
        return kind.make(random)

    def _stale(self, section: str) -> list[_Kind]:
        if section != "simple":
            return []
        serial = self._index.serial
        return [_Kind("stale", lambda random: Stale(serial - random.randrange(_MAX_STALENESS)))] * 8


def _edit(name: str, change: Callable[[dict[str, Any]], object]) -> _Kind:
    def edit(page: dict[str, Any]) -> None:
        if "files" in page:  # not the root index, which confirms serials while the changelog fails
            change(page)

    return _Kind(f"page with {name}", lambda _: Edit(edit))


def _first_file(page: dict[str, Any], **changes: object) -> None:
    for file in page["files"][:1]:
        file.update(changes)


def _add(page: dict[str, Any], filename: str) -> None:
    hashes = {"sha256": "0" * 64}
    page["files"].append({"filename": filename, "url": f"/packages/{filename}", "hashes": hashes})


_ANY = [
    *(_Kind(f"status {status}", lambda _, s=status: Status(s)) for status in (500, 502, 503, 504)),  # type: ignore[misc]
    _Kind("status 403", lambda _: Status(403)),
    _Kind("status 404", lambda _: Status(404)),
    _Kind("429, at once", lambda _: Status(429, retry_after=0)),
    _Kind("429, in a minute", lambda _: Status(429, retry_after=60)),
    _Kind("reset before the response", lambda _: Reset()),
    _Kind("reset within the response", lambda random: Reset(random.randrange(400))),
    _Kind("truncated", lambda random: Truncated(random.randrange(400))),
    _Kind("late", lambda random: Slow(delay=random.uniform(0.05, 0.3))),
    _Kind("too late", lambda _: Slow(delay=2.5)),
    _Kind("slow", lambda random: Slow(rate=random.randrange(4000, 20_000))),
    _Kind("not HTTP", lambda _: Wire(b"220 ready\r\n")),
    _Kind("redirect to itself", lambda _: Redirect()),
    _Kind("redirect elsewhere", lambda _: Redirect("http://192.0.2.1/latest/")),
    _Kind("unannounced length", lambda _: Chunked()),
]
_PAGE = [
    _Kind("wrong bytes", lambda _: WrongBytes()),
    _Kind("more bytes", lambda _: WrongLength(3)),
    _Kind("fewer bytes", lambda _: WrongLength(-3)),
    _Kind("compressed", lambda _: Gzip()),
    _Kind("login page", lambda _: Raw(200, {"Content-Type": "text/html"}, b"<p>Log in</p>")),
    _Kind("JSON, but no page", lambda _: Raw(200, {"Content-Type": "application/json"}, b"{}")),
    _edit("a wrong hash", lambda page: _first_file(page, hashes={"sha256": "0" * 64})),
    _edit(
        "a wrong metadata hash",
        lambda page: _first_file(page, **{"core-metadata": {"sha256": "0" * 64}}),
    ),
    _edit("no hash", lambda page: _first_file(page, hashes={})),
    _edit("a hostile name", lambda page: _add(page, "../../../evil-1.0.tar.gz")),
    _edit("a file that is not there", lambda page: _add(page, "ghost-1.0.tar.gz")),
    _edit("another name", lambda page: page.update(name="another-project")),
    _edit("no files", lambda page: page.update(files=None)),
]
_FILE = [
    *[_Kind("wrong bytes", lambda random: WrongBytes(random.randrange(10_000)))] * 3,
    *[_Kind("more bytes", lambda random: WrongLength(random.randrange(1, 100)))] * 2,
    *[_Kind("fewer bytes", lambda random: WrongLength(-random.randrange(1, 100)))] * 2,
    _Kind("endless", lambda _: Endless()),
    _Kind("compressed", lambda _: Gzip()),
    _Kind("labelled as compressed", lambda _: Headers({"Content-Encoding": "gzip"})),
    _Kind("cut off, without a length", lambda random: UntilClose(random.randrange(400))),
    _Kind("other bytes", lambda _: Raw(200, {}, b"<p>Log in</p>")),
    _Kind(
        "truncated, no ranges",
        lambda random: Together((NoRange(), Truncated(random.randrange(400)))),
    ),
]
_PROVENANCE = [
    _Kind("wrong bytes", lambda _: WrongBytes()),
    _Kind("fewer bytes", lambda _: WrongLength(-3)),
]
