"""Both programs, each as its users run it: in a process, with a configuration file."""

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

    from tests.bandersnatch.places import Place
    from tests.bandersnatch.upstream import Upstream

ENVIRONMENT: Final = CHECKOUT / ".venv-bandersnatch"

_PATIENCE: Final = 900  # seconds
_TOLD: Final = 6000  # characters of what a program said


class Failed(AssertionError):
    """A program did not end with 0, or complained."""


@dataclass(frozen=True, slots=True)
class Run:
    """One run of a program, and what it cost."""

    said: str
    seconds: float
    requests: int  # to S3
    downloads: Mapping[str, int]  # of files: how often, by the mirror's key


class Mirrors:
    """Runs the programs over the same upstream, with the same mirror.conf for a place."""

    def __init__(self, upstream: Upstream, folder: Path, options: str = "") -> None:
        self.upstream = upstream
        self._folder = folder
        self.options = options

    def bandersnatch(self, place: Place, serial: int) -> Run:
        """Mirror what upstream has at a serial."""
        program = ENVIRONMENT / "bin" / "bandersnatch"
        if not program.exists():
            msg = f"{str(program)!r} is missing: `make bandersnatch` makes it"
            raise FileNotFoundError(msg)
        run = self._run([program], place, serial)
        if complaints := [line for line in run.said.splitlines() if " ERROR: " in line]:
            raise Failed("\n".join(complaints)[:_TOLD])  # it ends with 0 all the same
        return run

    def frumious(self, place: Place, serial: int, *command: str) -> Run:
        """Mirror what upstream has at a serial, or do another command."""
        return self._run([sys.executable, "-m", "frumious.cli"], place, serial, *command)

    def _run(self, program: Sequence[str | Path], place: Place, serial: int, *command: str) -> Run:
        self.upstream.show(serial)
        self.upstream.take_downloads()
        before = place.requests()
        started = time.monotonic()
        done = subprocess.run(
            [*program, "-c", self._configuration(place), *(command or ("mirror",))],
            env={**os.environ, "PYTHONPATH": str(CHECKOUT / "shared")},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=_PATIENCE,
            check=False,
        )
        seconds = time.monotonic() - started
        if done.returncode:
            msg = f"{program[-1]!s} ended with {done.returncode}:\n{done.stdout[-_TOLD:]}"
            raise Failed(msg)
        requests = place.requests() - before
        return Run(done.stdout, seconds, requests, self.upstream.take_downloads())

    def _configuration(self, place: Place) -> Path:
        path = self._folder / "mirror.conf"
        path.write_text(
            f"[mirror]\n{place.options}master = {self.upstream.url}\nallow-non-https = true\n"
            f"workers = 10\n{self.options}\n{place.sections}",
            encoding="utf-8",
        )
        return path
