"""`frumious serve`: what it says, and how it ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.clients import get
from tests.frumious.cli.test_cli import ENVIRONMENT, frumious

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@pytest.fixture
def configuration(tmp_path: Path) -> Path:
    (tmp_path / "mirror/web/simple").mkdir(parents=True)
    (tmp_path / "mirror/web/status.json").write_text("{}")
    path = tmp_path / "mirror.conf"
    path.write_text(f"[mirror]\ndirectory = {tmp_path}/mirror\n")
    return path


@pytest.fixture
def serving(configuration: Path) -> Iterator[subprocess.Popen[str]]:
    # Background jobs of shells, and their children, ignore SIGINT.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "frumious.cli", "-c", configuration, "serve", "--port", "0"],
        env={**os.environ, **ENVIRONMENT, "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, before)
    with process:
        yield process
        process.kill()


def test_it_prints_its_url_and_what_to_give_to_pip_and_ends_with_ctrl_c(
    serving: subprocess.Popen[str],
) -> None:
    assert serving.stdout is not None
    first, second = serving.stdout.readline(), serving.stdout.readline()
    url = first.split(" at ")[1].split()[0]
    assert second.strip() == f"pip install --index-url {url}simple/ PROJECT"
    assert get(f"{url}status.json").body == b"{}"
    serving.send_signal(signal.SIGINT)
    assert serving.wait(10) == 0


def test_a_port_in_use_is_named(configuration: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        done = frumious("-c", str(configuration), "serve", "--port", str(port))
    assert done.returncode == 1
    assert f"cannot listen on '127.0.0.1', port {port}" in done.stderr
    assert "try another --port" in done.stderr


def test_only_a_folder_with_a_mirror_is_served(tmp_path: Path) -> None:
    conf = tmp_path / "mirror.conf"
    conf.write_text(f"[mirror]\ndirectory = {tmp_path}/nothing\n")
    done = frumious("-c", str(conf), "serve")
    assert done.returncode == 1
    assert "run 'frumious mirror' first" in done.stderr

    conf.write_text("[mirror]\nstorage-backend = s3\ndirectory = /bucket\n")
    done = frumious("-c", str(conf), "serve")
    assert done.returncode == 1
    assert "only a mirror in a folder can be served; storage-backend is s3" in done.stderr
