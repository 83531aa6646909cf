"""Both programs as their users run them: in a process, with a configuration file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from tests.bandersnatch.targets import Target
    from tests.bandersnatch.upstream import Upstream

ENVIRONMENT: Final = CHECKOUT / ".venv-bandersnatch"

_TIMEOUT: Final = 900  # seconds
_MAX_OUTPUT: Final = 6000  # characters in an error


class Failed(AssertionError):
    """A program exited with another status than 0, or logged errors."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program: its output and its cost."""

    output: str
    seconds: float
    requests: int  # to S3
    downloads: Mapping[str, int]  # how often each file was downloaded, by the mirror's key


class Mirrors:
    """Runs the programs with the same upstream and the same mirror.conf."""

    def __init__(self, upstream: Upstream, folder: Path, options: str = "") -> None:
        self.upstream = upstream
        self._folder = folder
        self.options = options

    def bandersnatch(self, target: Target, serial: int) -> Run:
        """Run bandersnatch with upstream as of a serial."""
        program = ENVIRONMENT / "bin" / "bandersnatch"
        if not program.exists():
            msg = f"{str(program)!r} is missing: `make bandersnatch` installs it"
            raise FileNotFoundError(msg)
        run = self._run([program], target, serial)
        if errors := [line for line in run.output.splitlines() if " ERROR: " in line]:
            raise Failed("\n".join(errors)[:_MAX_OUTPUT])  # it exits with 0 nevertheless
        return run

    def frumious(self, target: Target, serial: int, *command: str) -> Run:
        """Run Frumious with upstream as of a serial; `command` replaces `mirror`."""
        return self._run([sys.executable, "-m", "frumious.cli"], target, serial, *command)

    def _run(
        self, program: Sequence[str | Path], target: Target, serial: int, *command: str
    ) -> Run:
        self.upstream.show(serial)
        self.upstream.take_downloads()
        requests_before = target.requests()
        started = time.monotonic()
        done = subprocess.run(
            [*program, "-c", self._configuration(target), *(command or ("mirror",))],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / "shared")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_TIMEOUT,
            check=False,
        )
        seconds = time.monotonic() - started
        if done.returncode:
            msg = f"{program[-1]!s} exited with {done.returncode}:\n{done.stdout[-_MAX_OUTPUT:]}"
            raise Failed(msg)
        requests = target.requests() - requests_before
        return Run(done.stdout, seconds, requests, self.upstream.take_downloads())

    def _configuration(self, target: Target) -> Path:
        path = self._folder / "mirror.conf"
        path.write_text(
            f"[mirror]\n{target.options}master = {self.upstream.url}\nallow-non-https = true\n"
            f"workers = 10\ndelete-after = 0\n{self.options}\n{target.sections}",
            encoding="utf-8",
        )
        return path
