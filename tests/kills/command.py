"""`frumious mirror` as users start it: a process in its own process group."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from types import TracebackType
    from typing import IO, Self

_SHARED = Path(__file__).parents[2] / "shared"
_PREFIXES = ("AWS_", "FRUMIOUS_")  # the trial ignores the machine's own settings


class Command:
    """One process, started at once; its output goes to `log`.

    A context manager that kills the process at its end.
    """

    def __init__(self, config: Path, log: IO[bytes]) -> None:
        inherited = {
            name: text for name, text in os.environ.items() if not name.startswith(_PREFIXES)
        }
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "frumious.cli", "-c", str(config), "mirror"],
            env={**inherited, "PYTHONPATH": str(_SHARED)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()

    def ends_within(self, seconds: float) -> bool:
        """Wait for the process, and say whether it ended within `seconds`."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> bool:
        """Kill the process group; say whether the process was still running."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait() == -signal.SIGKILL

    @property
    def status(self) -> int:
        """The exit status, once the process has ended."""
        return self._process.returncode

    def output(self) -> str:
        """Return the end of the process's output."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-2000:]
