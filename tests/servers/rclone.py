"""rclone's S3: files in a folder, signatures and sha256 checked, conditions ignored."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from tests.servers.process import answers, folder, free_port, program, running
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def rclone() -> Iterator[S3Server]:
    """Serve an S3 without buckets."""
    port = free_port()
    server = S3Server(f"http://127.0.0.1:{port}", "testing-key", "testing-secret")
    with folder("rclone") as place:
        files = place / "buckets"
        files.mkdir()
        command: list[str | Path] = [
            *(program("rclone"), "serve", "s3", files, "--config", ""),
            *("--addr", f"127.0.0.1:{port}"),
            *("--auth-key", f"{server.key_id},{server.secret}"),
        ]
        with running(command, place / "log", lambda: answers(server.endpoint)):
            yield server
