"""Whether the diff-files tell all that came and went: no result was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

_REMOVED = ".removed"
_TOLD = ("web/simple/", "web/packages/", "web/integrity/")


def untold(
    diffs: Iterable[tuple[str, bytes]],
    bucket: str,
    stored: AbstractSet[str],
    published: AbstractSet[str],
) -> Iterator[str]:
    """Tell what no diff-file named.

    Args:
        diffs: The diff-files and their `.removed`, by key.
        bucket: That their paths begin with.
        stored: The keys that are there in the end.
        published: The keys of what was ever there for readers: pages, and what they named.
    """
    diffs = list(diffs)
    named, removed = _paths(diffs, bucket, removed=False), _paths(diffs, bucket, removed=True)
    for key in sorted(_files(stored) & published - named):
        yield f"no diff-file names {key}, which is there"
    for key in sorted(_files(published) - stored - removed):
        yield f"no diff-file names {key} as removed, which was there"
    for key in sorted(named - published):
        yield f"a diff-file names {key}, which never was there"


def _files(keys: AbstractSet[str]) -> AbstractSet[str]:
    return {key for key in keys if key.startswith(_TOLD) and key.count("/") > 2}


def _paths(diffs: Iterable[tuple[str, bytes]], bucket: str, *, removed: bool) -> AbstractSet[str]:
    return {
        line.removeprefix(f"/{bucket}/")
        for key, body in diffs
        if key.endswith(_REMOVED) == removed
        for line in body.decode().splitlines()
    }
