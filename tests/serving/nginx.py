"""The real nginx with `docs/serving/nginx.conf`, on loopback.

Sets what an operator must set, and moves files that only root may write.
"""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import time
from typing import TYPE_CHECKING, Self

import pytest

from localcloud.environment import CHECKOUT
from tests.servers.process import free_port

if TYPE_CHECKING:
    from pathlib import Path
    from types import TracebackType

CONFIGURATION = CHECKOUT / "docs/serving/nginx.conf"
TIMEOUT_SECONDS = 10.0
TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


class Nginx:
    """A context manager that serves `mirror`/web at `url`."""

    def __init__(
        self, mirror: Path, folder: Path, *, hash_index: bool = False, simple_all: bool = False
    ) -> None:
        self._folder = folder
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        folder.mkdir(exist_ok=True)
        (folder / "nginx.conf").write_text(
            _configuration(mirror, folder, self._port, hash_index=hash_index, simple_all=simple_all)
        )

    def __enter__(self) -> Self:
        as_root = os.geteuid() == 0
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                # Only root may be able to read the files that tests write.
                [
                    _program(),
                    *("-p", self._folder, "-c", self._folder / "nginx.conf"),
                    *("-g", "daemon off;" + (" user root;" if as_root else "")),
                ],
                stderr=errors,
            )
        self._await_start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.send_signal(signal.SIGTERM)
        try:
            self._process.wait(TIMEOUT_SECONDS)
        finally:
            self._process.kill()

    @property
    def _errors(self) -> Path:
        return self._folder / "errors"

    def _await_start(self) -> None:
        deadline = time.monotonic() + TIMEOUT_SECONDS
        while time.monotonic() < deadline and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self._port), timeout=1).close()
            except OSError:
                time.sleep(0.02)
            else:
                return
        self._process.kill()
        pytest.fail(f"nginx did not start: {self._errors.read_text()}")


def _program() -> str:
    # On Debian only root has it on PATH.
    found = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
    if found is None:
        pytest.fail("nginx is missing: install it (Debian, Ubuntu: apt-get install nginx-light)")
    return found


def _configuration(
    mirror: Path, folder: Path, port: int, *, hash_index: bool, simple_all: bool
) -> str:
    text = CONFIGURATION.read_text()
    paths = "".join(f"\n    {name}_temp_path {folder}/{name};" for name in TEMPORARY)
    changes = {
        "pid /run/nginx.pid;": f"pid {folder}/pid;",
        "\nhttp {": "\nhttp {" + paths,
        "listen 80;": f"listen 127.0.0.1:{port};",
        "root /srv/pypi/web;": f"root {mirror}/web;",
    }
    if hash_index:
        changes['# "~^(?<frumious_initial>.)"'] = '"~^(?<frumious_initial>.)"'
    if simple_all:
        changes["# 192.0.2.0/24 1;"] = "127.0.0.1 1;"
    for old, new in changes.items():
        assert text.count(old) == 1, f"{CONFIGURATION} must contain {old!r} once"
        text = text.replace(old, new)
    return text
