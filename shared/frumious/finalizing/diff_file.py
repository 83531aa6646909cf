"""The diff-file: which paths were written, and next to it which were deleted."""

from __future__ import annotations

import heapq
import logging
from dataclasses import dataclass
from io import BytesIO
from itertools import groupby
from typing import TYPE_CHECKING, Final, Self

from frumious.model.jobs import Outcome
from frumious.model.types import Key
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from frumious.mirror import Mirror
    from frumious.model.jobs import Report, Result
    from frumious.model.page_layout import PageLayout
    from frumious.storage.protocol import Head

logger = logging.getLogger(__name__)

_PUBLISHED: Final = (Outcome.UPDATED, Outcome.QUARANTINED)
_MAX_EXTENDED: Final = 64 * 1024 * 1024  # bytes; a larger file is not read again, but replaced


@dataclass(frozen=True, slots=True)
class DiffFile:
    """The diff-file and its `.removed`: the absolute path of an object on each line.

    Without `diff-append-epoch` each pair replaces the one before, and nothing else: a finalizer
    that was overtaken does not overwrite what the other one wrote.
    """

    stored: Mapping[Key, Head | None]  # the pair that is there

    @classmethod
    async def open(cls, mirror: Mirror) -> Self:
        """Look at the pair before the reports are read that it is to name."""
        stored: dict[Key, Head | None] = {}
        if mirror.config.diff_file and not mirror.config.diff_append_epoch:
            for key in _pair(mirror.config.diff_file):
                stored[key] = await mirror.diffs.head(key)
        return cls(stored)

    async def publish(self, reports: Sequence[Report], mirror: Mirror, *, extend: bool) -> None:
        """Write what the jobs changed.

        With `extend` the pair keeps what it names already: earlier ticks published a part of the
        same runs. A file of more than 64 MiB is replaced nevertheless: runs that overlap would let
        it grow for ever.

        Raises:
            Conflict: another finalizer has written the pair since.
        """
        config = mirror.config
        if not config.diff_file:
            return
        bodies = [_lines(reports, keys_of, mirror) for keys_of in (written_keys, deleted_keys)]
        if not any(bodies):
            return
        if config.diff_append_epoch:
            await _publish_with_epoch(bodies, mirror)
            return
        for key, body in zip(_pair(config.diff_file), bodies, strict=True):
            head = self.stored[key]
            if head is None:
                await mirror.diffs.create(key, body)
                continue
            before = await _kept(key, head, mirror) if extend else b""
            await mirror.diffs.write(key, _merged(before, body), replacing=head.etag)

    async def clear(self, mirror: Mirror) -> None:
        """Empty the pair: nothing has changed since the run that it names.

        Raises:
            Conflict: another finalizer has written the pair since.
        """
        for key, head in self.stored.items():
            if head is not None and head.size:
                await mirror.diffs.write(key, b"", replacing=head.etag)


async def _kept(key: Key, head: Head, mirror: Mirror) -> bytes:
    """Return what the file names already, as long as it is not too large."""
    if head.size > _MAX_EXTENDED:
        logger.warning(
            "%r has %d bytes: it is replaced although its run is open; with diff-append-epoch"
            " nothing is replaced",
            key,
            head.size,
        )
        return b""
    stored = await mirror.diffs.read(key)
    return b"" if stored is None else stored.body


def _lines(
    reports: Iterable[Report],
    keys_of: Callable[[Result, PageLayout], Iterable[Key]],
    mirror: Mirror,
) -> bytes:
    """Return the paths of what the jobs wrote or deleted, each once, in order."""
    keys = {key for report in reports for key in keys_of(report.result, mirror.pages.layout)}
    lines = BytesIO()
    lines.writelines(f"{mirror.config.directory}/{key}\n".encode() for key in sorted(keys))
    return lines.getvalue()


def _merged(before: bytes, body: bytes) -> bytes:
    """Merge two sorted files; what is in both is in the result once.

    A last line without its end was cut off and names nothing.
    """
    before = before[: before.rfind(b"\n") + 1]
    merged = BytesIO()
    merged.writelines(line for line, _ in groupby(heapq.merge(BytesIO(before), BytesIO(body))))
    return merged.getvalue()


async def _publish_with_epoch(bodies: Sequence[bytes], mirror: Mirror) -> None:
    """Write a pair of its own, named by the second, or by the next that is free."""
    epoch = int(mirror.clock.now())
    while True:
        key, removed = _pair(f"{mirror.config.diff_file}-{epoch}")
        try:
            await mirror.diffs.create(key, bodies[0])
        except Conflict:
            epoch += 1
        else:
            await mirror.diffs.write(removed, bodies[1])
            return


def written_keys(result: Result, pages: PageLayout) -> list[Key]:
    """Return the keys that a job wrote."""
    published = result.outcome in _PUBLISHED
    return [*result.added, *pages.keys(result.project)] if published else []


def deleted_keys(result: Result, pages: PageLayout) -> list[Key]:
    """Return the keys that a job deleted."""
    gone = pages.keys(result.project) if result.outcome is Outcome.REMOVED else ()
    return [*result.removed, *gone]


def _pair(key: str) -> tuple[Key, Key]:
    return Key(key), Key(f"{key}.removed")
