"""Where the mirror lies: a folder, or a bucket of moto's.

Shares no code with the mirror's storages, so that what those hide is seen.
"""

from __future__ import annotations

import os
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from localcloud.moto_server import MotoServer
from tests.faults.bucket import Got, OwnBucket

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 (only the folder that temporary ones are made in)
_BUCKET = "mirror"
_KEY = "testing"
_IN_PARTS = 0.3  # the share of runs that send files in parts


class Place(Protocol):
    """One mirror's storage, as somebody sees it who looks at all of it."""

    name: str

    def settings(self, random: Random) -> str:
        """Return the lines of mirror.conf that lead here: [mirror]'s, then other sections."""

    def contents(self) -> dict[str, bytes]:
        """Return everything that is here, hidden or not, by its key."""

    def loose_ends(self) -> Iterator[str]:
        """Tell what is here besides contents, and nobody needs."""

    def close(self) -> None:
        """Remove it all."""


class Folder:
    """A folder, in memory where there is room for it: that spares the disk, not the code."""

    name = "filesystem"

    def __init__(self) -> None:
        self._temporary = TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
        self._top = Path(self._temporary.name) / "mirror"

    def settings(self, random: Random) -> str:
        return f"storage-backend = filesystem\ndirectory = {self._top}\n"

    def contents(self) -> dict[str, bytes]:
        return {
            os.path.relpath(path, self._top): path.read_bytes()
            for path in self._paths()
            if path.is_file() and not path.is_symlink()
        }

    def loose_ends(self) -> Iterator[str]:
        for path in self._paths():
            where = os.path.relpath(path, self._top)
            if path.is_symlink():
                yield f"a link: {where}"
            elif path.is_dir() and not any(path.iterdir()):
                yield f"an empty directory: {where}"

    def close(self) -> None:
        self._temporary.cleanup()

    def _paths(self) -> Iterator[Path]:
        for folder, directories, files in os.walk(self._top):
            for name in (*directories, *files):
                yield Path(folder, name)


class Bucket:
    """A bucket of a moto that is this trial's alone."""

    name = "s3"

    def __init__(self) -> None:
        self._moto = MotoServer()
        self._endpoint = self._moto.endpoint
        self._bucket = OwnBucket(self._endpoint, _BUCKET)
        self._seen: dict[str, Got] = {}

    def settings(self, random: Random) -> str:
        # Files in one PUT each, or in parts: the old signatures know no other way.
        signature = "s3" if random.random() < _IN_PARTS else "s3v4"
        return (
            f"storage-backend = s3\ndirectory = /{_BUCKET}\n"
            f"[s3]\nregion_name = us-east-1\nendpoint_url = {self._endpoint}\n"
            f"aws_access_key_id = {_KEY}\naws_secret_access_key = {_KEY}\n"
            f"signature_version = {signature}\n"
        )

    def contents(self) -> dict[str, bytes]:
        seen: dict[str, Got] = {}
        for key, tag in self._bucket.tags().items():
            got = self._seen.get(key)
            if got is None or got.etag != tag:
                got = self._bucket.get(key)
            if got is not None:
                seen[key] = got
        self._seen = seen
        return {key: got.body for key, got in seen.items()}

    def loose_ends(self) -> Iterator[str]:
        for upload in self._bucket.s3.list_multipart_uploads(Bucket=_BUCKET).get("Uploads", ()):
            yield f"an upload in parts that is open: {upload['Key']}"

    def close(self) -> None:
        self._bucket.close()
        self._moto.stop()
