"""The command in a network namespace of its own: no route, not even a loopback that is up."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from functools import cache
from typing import TYPE_CHECKING, Final

from tests.frumious.cli.test_cli import SHARED

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

_TIMEOUT: Final = 300  # seconds
_NAMESPACES: Final = (("unshare", "-n"), ("unshare", "-rn"))  # as root, and as anybody else
_CONNECT: Final = "import socket; socket.create_connection(('127.0.0.1', 9), 2)"


@cache
def namespace() -> tuple[str, ...] | str:
    """Return what a command begins with to have no network, or what this machine lacks for it."""
    if shutil.which("unshare") is None:
        return "unshare is missing: install util-linux"
    for prefix in _NAMESPACES:
        program = [*prefix, sys.executable, "-c", _CONNECT]
        done = subprocess.run(program, capture_output=True, text=True, check=False)
        if "Network is unreachable" in done.stderr:
            return prefix
    return "this user may not make network namespaces: run as root, or permit user namespaces"


class Isolated:
    """One process of the command."""

    def __init__(self, conf: Path, *arguments: str, isolated: bool = True) -> None:
        prefix = namespace() if isolated else ()
        assert not isinstance(prefix, str), prefix
        kept = {name: text for name, text in os.environ.items() if not name.startswith("FRUMIOUS_")}
        self._process = subprocess.Popen(
            [*prefix, sys.executable, "-m", "frumious.cli", "-c", str(conf), *arguments],
            env={**kept, "PYTHONPATH": str(SHARED)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def wait(self) -> tuple[int, str]:
        """Return the exit status and the output."""
        try:
            output, _ = self._process.communicate(timeout=_TIMEOUT)
        finally:
            self._kill()
        return self._process.returncode, output

    def kill_after(self, has_begun: Callable[[], bool], delay: float) -> bool:
        """Kill the process some time after it has begun its work; say whether it still ran."""
        while self._process.poll() is None and not has_begun():
            time.sleep(0.001)
        time.sleep(delay)
        is_running = self._process.poll() is None
        self._kill()
        self._process.communicate()
        return is_running

    def _kill(self) -> None:
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
