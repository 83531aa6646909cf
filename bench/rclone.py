"""A real S3 server in a process of its own: rclone's, with an empty folder.

It checks signatures and sha256, and never has a whole file in memory. It ignores conditions
(If-Match), on which no benchmark depends.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import threading
from collections import deque
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import boto3

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mypy_boto3_s3.client import S3Client

# Where `make bench` and `make test-servers` install it.
_FOLDERS = (sysconfig.get_path("scripts"), str(Path(__file__).parents[1] / ".venv-servers/bin"))
_IN_MEMORY = Path("/dev/shm")  # noqa: S108 (only the parent of temporary folders)
_READY = "Starting s3 server on [http://"
_CREDENTIALS = {"AWS_ACCESS_KEY_ID": "bench-key", "AWS_SECRET_ACCESS_KEY": "bench-secret"}


@dataclass(frozen=True, slots=True)
class S3Server:
    """The server's URL, its credentials, and its bucket's folder."""

    endpoint: str
    credentials: dict[str, str]  # as environment variables
    bucket: Path

    def client(self) -> S3Client:
        """Return a client for the server."""
        key, secret = self.credentials.values()
        return boto3.client(
            "s3",
            "us-east-1",
            endpoint_url=self.endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
        )

    def stored(self) -> list[int]:
        """Return the sizes of the mirrored files in the bucket."""
        files = (self.bucket / "web" / "packages").rglob("*")
        return [path.stat().st_size for path in files if path.is_file()]


def program() -> str:
    """Return the path of rclone."""
    found = shutil.which("rclone", path=os.pathsep.join(_FOLDERS))
    if found is None:
        msg = "rclone is missing; `make bench` installs it (requirements/bench.txt)"
        raise RuntimeError(msg)
    return found


@contextmanager
def serving(bucket: str, space: int) -> Iterator[S3Server]:
    """Serve an empty bucket with room for `space` bytes, in memory if possible."""
    with tempfile.TemporaryDirectory(prefix="frumious-bench-", dir=_parent(space)) as name:
        folder = Path(name, bucket)
        folder.mkdir()
        process = subprocess.Popen(
            [
                *(program(), "serve", "s3", name),
                *("--config", ""),
                *("--addr", "127.0.0.1:0"),
                *("--auth-key", ",".join(_CREDENTIALS.values())),
            ],
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            endpoint = _endpoint(process)
            # It logs each folder that is not empty after a deletion. Unread, these lines would fill
            # the pipe, and rclone would wait for ever.
            log = threading.Thread(target=deque, args=(process.stderr, 0), daemon=True)
            log.start()
            yield S3Server(endpoint, _CREDENTIALS, folder)
        finally:
            process.terminate()
            process.wait()


def _parent(space: int) -> Path | None:
    """Return a folder in memory, so that no disk is measured; None: the default."""
    if sys.platform == "linux" and shutil.disk_usage(_IN_MEMORY).free > space:
        return _IN_MEMORY
    return None


def _endpoint(process: subprocess.Popen[str]) -> str:
    assert process.stderr is not None  # noqa: S101 (a pipe)
    output = ""
    for line in process.stderr:
        output += line
        if _READY in line:
            return "http://" + line.partition(_READY)[2].strip().rstrip("/]")
    msg = f"rclone did not start: {output}"
    raise RuntimeError(msg)
