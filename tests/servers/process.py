"""One server as a process of its own: started, waited for, and stopped whatever happens."""

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

_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (a folder of its own is made there)
_GRACE: Final = 2.0  # seconds between asking a server to stop and stopping it
_TOLD: Final = 4000  # characters of a log


class NotStarted(Exception):
    """A server is not there, or did not come up."""


def program(name: str) -> Path:
    """Find a program that `make test-servers` installs."""
    path = ENVIRONMENT / "bin" / name
    if not path.exists():
        msg = f"{str(path)!r} is missing: `make test-servers` makes it (requirements/servers.txt)"
        raise NotStarted(msg)
    return path


def free_port() -> int:
    """Return a port on loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port: int = listening.getsockname()[1]
        return port


@contextmanager
def folder(name: str) -> Iterator[Path]:
    """Give an empty folder, in memory where there is some, and remove it."""
    place = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(
        prefix=f"frumious-{name}-", dir=place, ignore_cleanup_errors=True
    ) as path:
        yield Path(path)


@contextmanager
def running(
    command: Sequence[str | Path],
    log: Path,
    is_ready: Callable[[], bool],
    *,
    environment: Mapping[str, str] | None = None,
    patience: float = 60,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block, or of this process; its output goes to `log`.

    Raises:
        NotStarted: it ended, or was not ready within `patience` seconds.
    """
    setpriv = shutil.which("setpriv")  # in every Linux; the server ends when we are killed
    dying = [setpriv, "--pdeathsig", "KILL"] if setpriv is not None else []
    with log.open("wb") as output:
        process = subprocess.Popen(
            [*dying, *(str(part) for part in command)],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={**os.environ, **(environment or {})},
            start_new_session=True,  # Ctrl-C is for us; the server ends when we say so
        )
    try:
        _wait(process, log, is_ready, patience)
        yield process
    finally:
        process.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(_GRACE)
        with contextlib.suppress(ProcessLookupError):  # its children, if there are any left
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def answers(url: str) -> bool:
    """Say whether anything answers at an address, whatever it says."""
    try:
        with urllib.request.urlopen(url, timeout=2):  # noqa: S310
            return True
    except HTTPError as error:
        error.close()
        return True
    except (URLError, OSError):
        return False


def _wait(
    process: subprocess.Popen[bytes], log: Path, is_ready: Callable[[], bool], patience: float
) -> None:
    deadline = time.monotonic() + patience
    while process.poll() is None and time.monotonic() < deadline:
        if is_ready():
            return
        time.sleep(0.05)
    ended = f"ended with {process.returncode}" if process.returncode is not None else "is not ready"
    said = log.read_text(errors="replace")[-_TOLD:]
    msg = f"{process.args!r} {ended}; it said:\n{said}"
    raise NotStarted(msg)
