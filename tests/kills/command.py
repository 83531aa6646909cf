"""`frumious mirror` as people start it: a process, in a group of its own."""

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
_OURS = ("AWS_", "FRUMIOUS_")  # what the machine has set is none of the trial's business


class Command:
    """One process, from its start on; what it prints goes to `log`.

    A context manager, after which it runs no longer.
    """

    def __init__(self, config: Path, log: IO[bytes]) -> None:
        kept = {name: text for name, text in os.environ.items() if not name.startswith(_OURS)}
        self._log = log
        self._process = subprocess.Popen(
            [sys.executable, "-m", "frumious.cli", "-c", str(config), "mirror"],
            env={**kept, "PYTHONPATH": str(_SHARED)},
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
        """Wait so long, or until it has ended by itself."""
        try:
            self._process.wait(seconds)
        except subprocess.TimeoutExpired:
            return False
        return True

    def kill(self) -> bool:
        """Kill it and all that it started; say whether it had not ended by itself."""
        if self._process.returncode is None:
            os.killpg(self._process.pid, signal.SIGKILL)
        return self._process.wait() == -signal.SIGKILL

    @property
    def status(self) -> int:
        """Its exit status, once it has ended."""
        return self._process.returncode

    def said(self) -> str:
        """Return the last of what it printed."""
        self._log.seek(0)
        return self._log.read().decode(errors="replace").strip()[-2000:]
