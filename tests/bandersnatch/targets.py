"""Where a mirror is stored: a folder, or a prefix of a bucket; the same for both programs."""

from __future__ import annotations

import re
import shutil
import uuid
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Final, Protocol, Self

import pytest

from localcloud.moto_server import MotoServer
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from pathlib import Path

    from mypy_boto3_s3.client import S3Client

_PREFIX: Final = "some/prefix"
_THREADS: Final = 8
_URL: Final = re.compile(rb'"url": "http://[^/"]*/([^/?"]+)')


class Target(Protocol):
    """One mirror's storage."""

    @property
    def options(self) -> str:
        """The target's lines of [mirror]."""

    @property
    def sections(self) -> str:
        """The target's other sections."""

    def copy(self) -> Self:
        """Return a new target with the same contents."""

    def contents(self) -> dict[str, bytes]:
        """Return all contents by key."""

    def write(self, key: str, body: bytes) -> None:
        """Store an object."""

    def delete(self, key: str) -> None:
        """Delete an object."""

    def requests(self) -> int:
        """Return the number of requests to the storage; 0 for a folder."""


class Folder:
    def __init__(self, parent: Path) -> None:
        self._parent = parent
        self.path = parent / f"mirror-{uuid.uuid4()}"

    @property
    def options(self) -> str:
        return f"storage-backend = filesystem\ndirectory = {self.path}\n"

    sections = ""

    def copy(self) -> Self:
        target = type(self)(self._parent)
        shutil.copytree(self.path, target.path, symlinks=True)
        return target

    def contents(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.path)): path.read_bytes()
            for path in self.path.rglob("*")
            if path.is_file()
        }

    def write(self, key: str, body: bytes) -> None:
        (self.path / key).write_bytes(body)

    def delete(self, key: str) -> None:
        (self.path / key).unlink()

    def requests(self) -> int:
        return 0


class Bucket:
    def __init__(self, moto: RecordingMoto) -> None:
        self._moto = moto
        self._s3 = moto.s3
        self.bucket = moto.server.bucket()

    @property
    def options(self) -> str:
        return f"storage-backend = s3\ndirectory = /{self.bucket}/{_PREFIX}\n"

    @property
    def sections(self) -> str:
        server = self._moto.server
        return (
            f"[s3]\nendpoint_url = {server.endpoint}\nregion_name = {server.region}\n"
            f"aws_access_key_id = {server.key_id}\naws_secret_access_key = {server.secret}\n"
        )

    def copy(self) -> Self:
        target = type(self)(self._moto)

        def copy(key: str) -> None:
            self._s3.copy_object(
                Bucket=target.bucket, Key=key, CopySource={"Bucket": self.bucket, "Key": key}
            )

        with ThreadPoolExecutor(_THREADS) as pool:
            list(pool.map(copy, self._keys()))
        return target

    def contents(self) -> dict[str, bytes]:
        def read(key: str) -> bytes:
            return self._s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

        keys = self._keys()
        with ThreadPoolExecutor(_THREADS) as pool:
            bodies = pool.map(read, keys)
            return {
                key.removeprefix(f"{_PREFIX}/"): body
                for key, body in zip(keys, bodies, strict=True)
            }

    def write(self, key: str, body: bytes) -> None:
        self._s3.put_object(Bucket=self.bucket, Key=f"{_PREFIX}/{key}", Body=body)

    def delete(self, key: str) -> None:
        self._s3.delete_object(Bucket=self.bucket, Key=f"{_PREFIX}/{key}")

    def content_type(self, key: str) -> str:
        return self._s3.head_object(Bucket=self.bucket, Key=f"{_PREFIX}/{key}")["ContentType"]

    def requests(self) -> int:
        return self._moto.requests(self.bucket)

    def _keys(self) -> list[str]:
        pages = self._s3.get_paginator("list_objects_v2").paginate(Bucket=self.bucket)
        return [entry["Key"] for page in pages for entry in page.get("Contents", ())]


class RecordingMoto:
    """Moto's server, which records each request that it receives."""

    def __init__(self, folder: Path) -> None:
        self._recording = folder / "requests.jsonl"
        self._recording.touch()
        with pytest.MonkeyPatch.context() as environment:
            environment.setenv("MOTO_ENABLE_RECORDING", "yes")
            environment.setenv("MOTO_RECORDER_FILEPATH", str(self._recording))
            self._moto = MotoServer()
        self.server = S3Server(self._moto.endpoint, "testing-key", "testing-secret")
        self.s3: S3Client = self.server.client()
        self._read = 0
        self._unread = b""
        self._requests: Counter[str] = Counter()

    def stop(self) -> None:
        self._moto.stop()

    def requests(self, bucket: str) -> int:
        """Return the number of requests for a bucket and for its objects.

        Moto's threads write concurrently: a line may be written into another.
        """
        with self._recording.open("rb") as recording:
            recording.seek(self._read)
            self._unread += recording.read()
            self._read = recording.tell()
        whole, newline, self._unread = self._unread.rpartition(b"\n")
        self._requests.update(name.decode() for name in _URL.findall(whole + newline))
        return self._requests[bucket]
