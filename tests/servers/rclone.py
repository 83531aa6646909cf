"""rclone's S3: it stores files in a folder, checks signatures, ignores conditions and sha256."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.process import free_port, program, responds, running, temporary_folder
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def rclone() -> Iterator[S3Server]:
    """Serve an S3 without buckets."""
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", "testing-key", "testing-secret")
    with temporary_folder("rclone") as folder:
        files = folder / "buckets"
        files.mkdir()
        command: list[str | Path] = [
            *(program("rclone"), "serve", "s3", files, "--config", ""),
            *("--addr", f"127.0.0.1:{port}"),
            *("--auth-key", f"{server.key_id},{server.secret}"),
        ]
        with running(command, folder / "log", lambda: responds(server.endpoint)):
            yield server
