"""Servers as processes: start one, wait until it is ready, and stop it in any case."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final
from urllib.error import HTTPError, URLError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

ENVIRONMENT: Final = Path(__file__).parents[2] / ".venv-servers"

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (only the parent of temporary folders)
_GRACE: Final = 2.0  # seconds between asking a server to stop and stopping it
_MAX_LOG: Final = 4000  # characters in an error


class NotStarted(Exception):
    """A server is not installed, or did not start."""


def program(name: str) -> Path:
    """Return the path of a program that `make test-servers` installs."""
    path = ENVIRONMENT / "bin" / name
    if not path.exists():
        msg = f"{str(path)!r} is missing; `make test-servers` installs it"
        raise NotStarted(msg)
    return path


def free_ports(count: int) -> list[int]:
    """Return different ports on loopback that nothing listens on."""
    with contextlib.ExitStack() as opened:
        sockets = [
            opened.enter_context(socket.create_server(("127.0.0.1", 0))) for _ in range(count)
        ]
        return [each.getsockname()[1] for each in sockets]


def free_port() -> int:
    """Return a port on loopback that nothing listens on."""
    return free_ports(1)[0]


@contextmanager
def temporary_folder(name: str) -> Iterator[Path]:
    """Create an empty folder, in memory if possible, and remove it afterwards."""
    parent = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(
        prefix=f"frumious-{name}-", dir=parent, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    is_ready: Callable[[], bool],
    *,
    environment: Mapping[str, str] | None = None,
    timeout: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the `with` block, or this process, ends; its output goes to `log`.

    Raises:
        NotStarted: it exited, or was not ready within `timeout` seconds.
    """
    setpriv = shutil.which("setpriv")  # every Linux has it; the server ends when we are killed
    ends_with_us = [setpriv, "--pdeathsig", "KILL"] if setpriv is not None else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*ends_with_us, *(str(argument) for argument in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C is for us only
        )
    try:
        _wait(process, log, is_ready, timeout)
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError):  # its children, if any are left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def responds(url: str) -> bool:
    """Say whether a server responds at a URL, with any status."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return True
    except HTTPError as error:
        error.close()
        return True
    except (URLError, OSError):
        return False


def _wait(
    process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool], timeout: float
) -> None:
    deadline = time.monotonic() + timeout
    while process.poll() is None and time.monotonic() < deadline:
        if is_ready():
            return
        time.sleep(0.05)
    status = process.returncode
    problem = "is not ready" if status is None else f"exited with status {status}"
    msg = f"{process.args!r} {problem}; its log:\n{log.read_text(errors='replace')[-_MAX_LOG:]}"
    raise NotStarted(msg)
