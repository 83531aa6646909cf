"""Where the mirror is stored: a folder, or a bucket in moto.

Shares no code with the mirror's storages, so that it sees what those hide.
"""

from __future__ import annotations

import os
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Protocol

from localcloud.moto_server import MotoServer
from tests.faults.bucket import OwnBucket, StoredObject

if TYPE_CHECKING:
    from collections.abc import Iterator
    from random import Random

_IN_MEMORY = Path("/dev/shm")  # noqa: S108 (only the parent of temporary folders)
_BUCKET = "mirror"
_VARIANT = re.compile(r"^web/(simple/(?:[^/.][^/]*/)?index\.\w+)\.gz$")  # next to its page
_KEY = "testing"
_MULTIPART = 0.3  # the share of runs that send files as multipart uploads


class Target(Protocol):
    """One mirror's storage, with all its contents."""

    name: str

    def settings(self, random: Random) -> str:
        """Return the lines of mirror.conf for this target: [mirror], then other sections."""

    def contents(self) -> dict[str, bytes]:
        """Return all contents by key, including hidden files; variants as a bucket has them."""

    def leftovers(self) -> Iterator[str]:
        """Yield what should not remain: links, empty directories, open multipart uploads."""

    def close(self) -> None:
        """Remove everything."""


class Folder:
    """A folder, in memory if /dev/shm exists: that spares the disk, not the code."""

    name = "filesystem"

    def __init__(self) -> None:
        self._temporary = TemporaryDirectory(dir=_IN_MEMORY if _IN_MEMORY.is_dir() else None)
        self._top = Path(self._temporary.name) / "mirror"

    def settings(self, random: Random) -> str:
        return f"storage-backend = filesystem\ndirectory = {self._top}\n"

    def contents(self) -> dict[str, bytes]:
        return {
            _VARIANT.sub(r"web/gzip/\1", os.path.relpath(path, self._top)): path.read_bytes()
            for path in self._paths()
            if path.is_file() and not path.is_symlink()
        }

    def leftovers(self) -> Iterator[str]:
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
    """A bucket in a moto server of its own."""

    name = "s3"

    def __init__(self) -> None:
        self._moto = MotoServer()
        self._endpoint = self._moto.endpoint
        self._bucket = OwnBucket(self._endpoint, _BUCKET)
        self._cached: dict[str, StoredObject] = {}

    def settings(self, random: Random) -> str:
        # One PUT for each file, or multipart uploads: the old signatures always use those.
        signature = "s3" if random.random() < _MULTIPART else "s3v4"
        return (
            f"storage-backend = s3\ndirectory = /{_BUCKET}\n"
            f"[s3]\nregion_name = us-east-1\nendpoint_url = {self._endpoint}\n"
            f"aws_access_key_id = {_KEY}\naws_secret_access_key = {_KEY}\n"
            f"signature_version = {signature}\n"
        )

    def contents(self) -> dict[str, bytes]:
        current: dict[str, StoredObject] = {}
        for key, etag in self._bucket.etags().items():
            stored = self._cached.get(key)
            if stored is None or stored.etag != etag:
                stored = self._bucket.get(key)
            if stored is not None:
                current[key] = stored
        self._cached = current
        return {key: stored.body for key, stored in current.items()}

    def leftovers(self) -> Iterator[str]:
        for upload in self._bucket.s3.list_multipart_uploads(Bucket=_BUCKET).get("Uploads", ()):
            yield f"an open multipart upload: {upload['Key']}"

    def close(self) -> None:
        self._bucket.close()
        self._moto.stop()
