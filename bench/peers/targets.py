"""Where the programs mirror to: empty folders and buckets, in memory if possible."""

from __future__ import annotations

import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bench import rclone
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (only the parent of temporary folders)
PREFIX: Final = "mirror"


class Target(Protocol):
    """Where one program mirrors to."""

    def configuration(self, master: str) -> Path:
        """Write a mirror.conf with the defaults of both programs, and return its path."""

    def files(self) -> int:
        """Return how many files the mirror has stored."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A mirror in a folder; with `json`, it also has the legacy JSON."""

    path: Path
    json: bool = False

    def configuration(self, master: str) -> Path:
        json = "true" if self.json else "false"
        return _write(self.path, master, f"directory = {self.path / PREFIX}\njson = {json}")

    def files(self) -> int:
        return _count(self.path / PREFIX / "web" / "packages")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A mirror in a bucket."""

    path: Path  # for the configuration
    server: S3Server
    name: str

    def configuration(self, master: str) -> Path:
        return _write(
            self.path,
            master,
            f"storage-backend = s3\ndirectory = /{self.name}/{PREFIX}",
            f"[s3]\nendpoint_url = {self.server.endpoint}\nregion_name = {self.server.region}\n"
            f"aws_access_key_id = {self.server.key_id}\n"
            f"aws_secret_access_key = {self.server.secret}",
        )

    def files(self) -> int:
        pages = self.server.client().get_paginator("list_objects_v2")
        prefix = f"{PREFIX}/web/packages/"
        return sum(page["KeyCount"] for page in pages.paginate(Bucket=self.name, Prefix=prefix))


@contextmanager
def folder(*, json: bool = False) -> Iterator[Folder]:
    """Give an empty folder, in memory if possible: no disk is measured."""
    parent = IN_MEMORY if IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="frumious-peers-", dir=parent) as name:
        yield Folder(Path(name), json)


@contextmanager
def rclone_bucket(space: int) -> Iterator[Bucket]:
    """Give an empty bucket of a server of its own, rclone's, with room for `space` bytes."""
    with rclone.serving("bucket", space) as served, folder() as empty:
        key, secret = served.credentials.values()
        yield Bucket(empty.path, S3Server(served.endpoint, key, secret), served.bucket.name)


@contextmanager
def new_bucket(server: S3Server) -> Iterator[Bucket]:
    """Give an empty bucket of a server."""
    with folder() as empty:
        yield Bucket(empty.path, server, server.bucket())


def _write(folder: Path, master: str, options: str, sections: str = "") -> Path:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\nmaster = {master}\nallow-non-https = true\n{options}\n{sections}\n",
        encoding="utf-8",
    )
    return path


def _count(packages: Path) -> int:
    return sum(path.is_file() for path in packages.rglob("*"))
