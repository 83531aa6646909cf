"""Check that the diff-files report every change: no result was lost."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from collections.abc import Set as AbstractSet

_REMOVED = ".removed"
_REPORTED = ("web/simple/", "web/packages/", "web/integrity/")


def unreported(
    diffs: Iterable[tuple[str, bytes]],
    bucket: str,
    stored: AbstractSet[str],
    published: AbstractSet[str],
) -> Iterator[str]:
    """Yield what the diff-files fail to report, or report wrongly.

    Args:
        diffs: The diff-files and their `.removed`, by key.
        bucket: The first component of their paths.
        stored: The keys that exist in the end.
        published: The keys that readers could ever see: pages, and the files that they named.
    """
    diffs = list(diffs)
    named, removed = _paths(diffs, bucket, removed=False), _paths(diffs, bucket, removed=True)
    for key in sorted(_files(stored) & published - named):
        yield f"no diff-file names {key}, which exists"
    for key in sorted(_files(published) - stored - removed):
        yield f"no diff-file names {key} as removed, which existed"
    for key in sorted(named - published):
        yield f"a diff-file names {key}, which never existed"


def _files(keys: AbstractSet[str]) -> AbstractSet[str]:
    return {key for key in keys if key.startswith(_REPORTED) and key.count("/") > 2}


def _paths(diffs: Iterable[tuple[str, bytes]], bucket: str, *, removed: bool) -> AbstractSet[str]:
    return {
        line.removeprefix(f"/{bucket}/")
        for key, body in diffs
        if key.endswith(_REMOVED) == removed
        for line in body.decode().splitlines()
    }
