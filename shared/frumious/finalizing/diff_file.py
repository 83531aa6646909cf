"""The diff-file: which paths were written and deleted."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

from frumious.finalizing.summaries import deleted_keys, written_keys
from frumious.model.types import Key
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from frumious.finalizing.completion import ClosedRun
    from frumious.mirror import Mirror


@dataclass(frozen=True, slots=True)
class Diff:
    """The diff-file, and beside it `.removed`: what runs wrote and deleted, a path a line.

    Without `diff-append-epoch` each pair of files replaces the one before, and only that: a
    finalizer that was overtaken does not write over what the other one told.
    """

    before: Mapping[Key, str]  # tags

    @classmethod
    async def look(cls, mirror: Mirror) -> Self:
        """Look at the files before anything is read that they are to tell of."""
        before: dict[Key, str] = {}
        if mirror.config.diff_file and not mirror.config.diff_append_epoch:
            for key in _diff_keys(mirror.config.diff_file):
                head = await mirror.diffs.head(key)
                before[key] = "" if head is None else head.etag
        return cls(before)

    async def publish(self, closed: Sequence[ClosedRun], mirror: Mirror) -> None:
        """Write what the runs changed.

        Raises:
            Conflict: another finalizer did so meanwhile.
        """
        config = mirror.config
        if not config.diff_file:
            return
        results = [result for one in closed for result in one.results.values()]
        written = {key for result in results for key in written_keys(result, mirror.pages)}
        deleted = {key for result in results for key in deleted_keys(result, mirror.pages)}
        if not written and not deleted:
            return
        bodies = [_paths(sorted(keys), mirror) for keys in (written, deleted)]
        if config.diff_append_epoch:
            await _publish_with_epoch(bodies, mirror)
            return
        for key, body in zip(_diff_keys(config.diff_file), bodies, strict=True):
            if self.before[key]:
                await mirror.diffs.write(key, body, replacing=self.before[key])
            else:
                await mirror.diffs.create(key, body)


async def _publish_with_epoch(bodies: Sequence[bytes], mirror: Mirror) -> None:
    """Write a new pair of files, named by the second; by a later one where there is one already."""
    epoch = int(time.time())
    while True:
        key, removed = _diff_keys(f"{mirror.config.diff_file}-{epoch}")
        try:
            await mirror.diffs.create(key, bodies[0])
        except Conflict:
            epoch += 1
        else:
            await mirror.diffs.write(removed, bodies[1])
            return


def _diff_keys(key: str) -> tuple[Key, Key]:
    return Key(key), Key(f"{key}.removed")


def _paths(keys: Sequence[Key], mirror: Mirror) -> bytes:
    return "".join(f"{mirror.config.directory}/{key}\n" for key in keys).encode()
