"""The logs that paths and addresses name: files, folders, patterns, standard input, `s3://`."""

from __future__ import annotations

import glob
import sys
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias, cast

from frumious.errors import FrumiousError
from frumious.storage.protocol import StorageUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from io import BufferedRandom, BufferedReader

    from frumious.config.settings import Config
    from frumious.downloads.days import Days

Buffered: TypeAlias = "BufferedReader | BufferedRandom"

_AT_ONCE: Final = 8  # objects that are read at a time
_ATTEMPTS: Final = 3
_MAX_OBJECT: Final = 64 * 1024**3  # bytes
_MAX_TIME: Final = 24 * 3600.0  # seconds for one object
_STDIN: Final = "-"


class NoLogs(FrumiousError):
    """There is nothing where logs should be."""


class Log(NamedTuple):
    """A log that can be opened."""

    name: str
    open: Callable[[], Buffered]


def find_logs(locations: Iterable[str], days: Days, load: Callable[[], Config]) -> Iterator[Log]:
    """Yield the logs of the given days; `load` returns the configuration, for `s3://`.

    Raises:
        NoLogs: while iterating; there is none at one of the locations, whatever its days.
        StorageUnavailable, StorageRefused: while iterating; the bucket cannot be listed.
    """
    for location in locations:
        if location == _STDIN:
            yield Log("standard input", lambda: cast("BufferedReader", sys.stdin.buffer))
        elif location.startswith("s3://"):
            yield from _objects(location, days, load())
        else:
            found = sorted(_files(location))
            if not found:
                msg = f"there are no logs at {location!r}"
                raise NoLogs(msg)
            yield from (_file(path) for path in found if days.may_have(str(path)))


def _file(path: Path) -> Log:
    return Log(str(path), lambda: path.open("rb"))


def _files(location: str) -> Iterator[Path]:
    """Yield the files that a path or a pattern names. In folders, error logs are no access logs."""
    path = Path(location)
    for each in [path] if path.exists() else map(Path, glob.iglob(location, recursive=True)):  # noqa: PTH207 (any pattern)
        if not each.is_dir():
            yield each
            continue
        for file in each.rglob("*"):
            hidden = any(part.startswith(".") for part in file.relative_to(each).parts)
            if not hidden and not file.name.startswith("error") and file.is_file():
                yield file


def _objects(address: str, days: Days, config: Config) -> Iterator[Log]:
    """Yield the logs of a bucket; others are read in the background, each into a temporary file."""
    from frumious.storage.s3.fetching import list_objects  # noqa: PLC0415 (botocore is large)

    bucket, _, prefix = address.removeprefix("s3://").partition("/")
    prefix = prefix.removesuffix("*")
    if not list_objects(bucket, prefix, "", config):
        msg = f"there are no logs at {address!r}"
        raise NoLogs(msg)
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        pending: deque[Log] = deque()
        try:
            for key in keys_of(days, lambda after: list_objects(bucket, prefix, after, config)):
                name = f"s3://{bucket}/{key}"
                pending.append(Log(name, pool.submit(_fetch, name, config).result))
                if len(pending) > _AT_ONCE:
                    yield pending.popleft()
            yield from pending
        finally:
            pool.shutdown(cancel_futures=True)


def keys_of(days: Days, list_after: Callable[[str], Sequence[str]]) -> Iterator[str]:
    """Yield the keys of the logs of these days. Where others are named by days, they are skipped.

    `list_after` returns the next keys behind a key; none behind the last.
    """
    after = ""
    while keys := list_after(after):
        for key in keys:
            if key <= after:
                continue
            after = key
            if days.may_have(key):
                yield key
            else:
                after = days.next_key(key)


def _fetch(address: str, config: Config) -> Buffered:
    from frumious.storage.s3.fetching import fetch_object  # noqa: PLC0415 (botocore is large)

    file = TemporaryFile()  # noqa: SIM115 (the reader closes it)
    for _ in range(_ATTEMPTS - 1):
        with suppress(StorageUnavailable):
            fetch_object(address, "", _MAX_OBJECT, _MAX_TIME, file, config)
            break
        file.seek(0)
        file.truncate()
    else:
        fetch_object(address, "", _MAX_OBJECT, _MAX_TIME, file, config)
    file.seek(0)
    return file
