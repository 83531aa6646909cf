"""Read the lists that others keep anew, and store them for the workers.

These are lock files, requirements files and lists of download counts. Of one that cannot be read,
the last good copy counts: nothing is removed because of it, and nothing else waits for it.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

from msgspec import structs

from frumious import __version__
from frumious.concurrency import run_all
from frumious.config.filters import is_address, requirement_entries
from frumious.config.settings import PYPI
from frumious.errors import FrumiousError
from frumious.model.lists import (
    MAX_REQUIREMENT,
    Lists,
    LockedList,
    ReadList,
    RequirementsList,
    TopList,
)
from frumious.planning.list_sources import ListUnreadable, fetch_list
from frumious.redaction import redact
from frumious.selection.locks import UnreadLocks
from frumious.selection.required import UnreadPins, UnreadRequirements
from frumious.selection.top import UnreadTop, parse_counts, ranked_projects
from frumious.simple.values import valid_etag
from frumious.state.objects import LedgerCorrupt

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from packaging.requirements import Requirement

    from frumious.clock import Clock
    from frumious.config.settings import Config
    from frumious.mirror import Mirror

logger = logging.getLogger(__name__)

L = TypeVar("L", bound=ReadList)

_MAX_LISTS: Final = 1000
_AT_ONCE: Final = 8  # lists
_MAX_TEXT: Final = 1000  # characters of an error
_MAX_SHOWN: Final = 20  # packages from elsewhere
_CONSEQUENCE: Final = "its last good copy counts"


async def follow_lists(mirror: Mirror, *, store: bool = True) -> Mirror:
    """Return the mirror with the selection by the lists as they are now.

    With `store`, the workers of later jobs select by them as well.

    Raises:
        ListUnreadable, InvalidList: one of them was never read, and cannot be read; the text names
            it. Or the lock files pin nothing.
    """
    if not mirror.config.selection.unread:
        return mirror
    stored: Lists | None = None
    with suppress(LedgerCorrupt):  # it is written anew
        stored = await mirror.ledger.lists(mirror.selection.lists)  # perhaps read just now
    current = await read_lists(mirror.config, mirror.clock, stored)
    if store and current != stored:
        await mirror.ledger.write_lists(current)
    return mirror.with_lists(current)


async def read_lists(config: Config, clock: Clock, stored: Lists | None = None) -> Lists:
    """Read the lists of a configuration; those that did not change are taken from `stored`.

    Raises:
        ListUnreadable, InvalidList: as for `follow_lists`.
    """
    wanted = _Wanted.of(config)
    known = stored or Lists()
    reading = _Reading(config, clock, is_current=known.read_by == wanted.read_by)
    locks = await reading.read_all(_found(wanted.locks), known.lists, wanted.parse_locks)
    if wanted.locks and not any(each.pins for each in locks):
        msg = "the lists of [locks] files pin nothing of the index: nothing would be mirrored"
        raise ListUnreadable(msg)
    _report_left_out(locks, known.lists)
    return Lists(
        lists=locks,
        requirements=await reading.read_all(
            wanted.requirements, known.requirements, parse_requirements
        ),
        top=await reading.read_all(wanted.top, known.top, wanted.parse_top),
        read_by=wanted.read_by,
    )


async def failing_lists(mirror: Mirror) -> dict[str, str]:
    """Return why lists cannot be read, by their sources, as of the last run that was planned."""
    if not mirror.selection.lists:
        return {}
    lists = await mirror.ledger.lists(mirror.selection.lists)  # read just now
    return {} if lists is None else {each.source: each.problem for each in lists.failing}


@dataclass(frozen=True, slots=True)
class _Wanted:
    """Which lists a configuration names, and how they are parsed."""

    locks: tuple[str, ...] = ()
    indexes: tuple[str, ...] = ()  # addresses that the index has in lock files
    requirements: tuple[str, ...] = ()
    top: tuple[str, ...] = ()
    count: int = 0  # projects of the list of download counts

    @classmethod
    def of(cls, config: Config) -> Self:
        wanted: dict[str, Any] = {}
        for each in config.selection.unread:
            match each:
                case UnreadLocks():
                    # Lock files name PyPI also where `master` is a mirror of it.
                    wanted |= {
                        "locks": each.sources,
                        "indexes": (PYPI, config.master, *each.indexes),
                    }
                case UnreadRequirements() | UnreadPins():
                    wanted["requirements"] = each.required.addresses
                case UnreadTop():
                    wanted |= {"top": (each.address,), "count": each.count}
        return cls(**wanted)

    @property
    def read_by(self) -> str:
        """Identify what parsed lists depend on, apart from their content."""
        count = [str(self.count)] if self.top else []
        return " ".join((__version__, *map(redact, self.indexes), *count))

    def parse_locks(self, shown: str, body: bytes) -> LockedList:
        from frumious.locks.parse import parse_list  # noqa: PLC0415 (few mirrors have lists)

        found = parse_list(shown, body, self.indexes)
        return LockedList(source=shown, pins=found.pins, left_out=tuple(found.left_out))

    def parse_top(self, shown: str, body: bytes) -> TopList:
        try:
            return TopList(source=shown, projects=ranked_projects(parse_counts(body), self.count))
        except ValueError as error:
            msg = f"{shown} is invalid: {error}"
            raise ListUnreadable(msg) from error


@dataclass(frozen=True, slots=True)
class _Reading:
    """Reads lists, with what is known of them."""

    config: Config
    clock: Clock
    is_current: bool  # what is known was parsed as it would be now

    async def read_all(
        self,
        sources: Iterable[str],
        known: Iterable[L],
        parse: Callable[[str, bytes], L],
    ) -> tuple[L, ...]:
        """Read lists of one kind, some at once."""
        last = {each.source: each for each in known}
        slots = asyncio.Semaphore(_AT_ONCE)

        async def read(name: str, source: str) -> L:
            async with slots:
                return await self._read(name, source, last.get(name), parse)

        return tuple(await run_all(read(*each) for each in _named(sources)))

    async def _read(
        self, name: str, source: str, last: L | None, parse: Callable[[str, bytes], L]
    ) -> L:
        """Read a list; return the last one if it has not changed, or if it cannot be read."""
        etag = valid_etag(last.etag) if last is not None and self.is_current else ""
        try:
            body, new_etag = await fetch_list(source, etag, self.config, self.clock)
            if body is None and last is not None:
                return structs.replace(last, failing=0.0, problem="")
            return structs.replace(parse(redact(source), body or b""), source=name, etag=new_etag)
        except FrumiousError as error:
            if last is None:
                raise
            logger.error("%s; %s", error, _CONSEQUENCE)  # noqa: TRY400 (says it all)
            since = last.failing or self.clock.now()
            return structs.replace(last, etag=etag, failing=since, problem=str(error)[:_MAX_TEXT])


def _named(sources: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Yield sources with names that differ, although what may be secret is not in them."""
    seen: Counter[str] = Counter()
    for source in sources:
        shown = redact(source)
        seen[shown] += 1
        yield (shown if seen[shown] == 1 else f"{shown} ({seen[shown]})"), source


def _found(sources: Sequence[str]) -> list[str]:
    """Return the lists of `[locks] files`, with the files that match patterns."""
    found: list[str] = []
    for source in sources:
        if is_address(source) or not any(character in source for character in "*?["):
            found.append(source)
            continue
        path = Path(source)
        matches = sorted(Path(path.anchor).glob(str(path.relative_to(path.anchor))))
        if not matches:
            msg = f"[locks] files: no file matches {source!r}"
            raise ListUnreadable(msg)
        found += map(str, matches)
    if len(found) > _MAX_LISTS:
        msg = f"[locks] files names {len(found)} lists; at most {_MAX_LISTS} are read"
        raise ListUnreadable(msg)
    return [*dict.fromkeys(found)]


def parse_requirements(shown: str, body: bytes) -> RequirementsList:
    """Parse a requirements file of `[allowlist] requirements`.

    Raises:
        ListUnreadable: it is invalid, or requires no project.
    """
    try:
        requirements = tuple(map(_text, requirement_entries(body)))
    except RecursionError as error:
        msg = f"{shown} is invalid: it is nested too deeply"
        raise ListUnreadable(msg) from error
    except ValueError as error:
        msg = f"{shown} is invalid: {error!s:.1000}"
        raise ListUnreadable(msg) from error
    if not requirements:  # a filter without any would allow everything
        msg = f"{shown} is invalid: it requires no project"
        raise ListUnreadable(msg)
    return RequirementsList(source=shown, requirements=requirements)


def _text(entry: Requirement) -> str:
    """Return what of a requirement counts: no marker, and no address, which may have a secret.

    Raises:
        ValueError: it cannot be stored.
    """
    extras = f"[{','.join(sorted(entry.extras))}]" if entry.extras else ""
    text = f"{entry.name}{extras}{entry.specifier}"
    if len(text) > MAX_REQUIREMENT:
        msg = f"{text!r:.120} is longer than {MAX_REQUIREMENT} characters"
        raise ValueError(msg)
    return text


def _report_left_out(lists: Sequence[LockedList], known: Iterable[LockedList]) -> None:
    """Log what lists have from elsewhere, if it has changed."""
    previous = {each.source: each.left_out for each in known}
    for each in lists:
        if each.left_out and previous.get(each.source) != each.left_out:
            logger.warning(
                "%s: left out, as they do not come from the index: %s%s",
                each.source,
                ", ".join(each.left_out[:_MAX_SHOWN]),
                ", ..." if len(each.left_out) > _MAX_SHOWN else "",
            )
