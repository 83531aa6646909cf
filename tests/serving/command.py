"""`frumious serve` in a process of its own."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

from localcloud.environment import CHECKOUT
from tests.servers.process import free_port, responds, running

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@dataclass(frozen=True)
class Served:
    """A mirror that is served at a URL."""

    url: str


@contextmanager
def serve(
    mirror: Path, folder: Path, *, hash_index: bool, simple_all: bool = False
) -> Iterator[Served]:
    """Serve `mirror`; the configuration and the log are files of `folder`."""
    configuration = folder / "mirror.conf"
    configuration.write_text(f"[mirror]\ndirectory = {mirror}\nhash-index = {hash_index}\n")
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "frumious.cli", "-c", configuration, "serve", "--port", port]
    command += ["--simple-all"] if simple_all else []
    environment = {"PYTHONPATH": str(CHECKOUT / "shared")}
    with running(
        [str(argument) for argument in command],
        folder / "log",
        lambda: responds(url),
        environment=environment,
    ):
        yield Served(url)
