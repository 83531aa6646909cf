"""The programs that are compared, as their users run them: processes with a mirror.conf."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import rclone
from bench.peers.targets import PREFIX
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from bench.peers.targets import Bucket, Folder, Target

BANDERSNATCH: Final = CHECKOUT / ".venv-bandersnatch" / "bin" / "bandersnatch"
_POLL: Final = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a program."""

    seconds: float
    cpu: float  # seconds, of the user and of the system
    memory: int  # bytes, at the peak


class Failed(Exception):
    """A program ended with another status than 0, or has not mirrored everything."""


def frumious(target: Target, master: str, *verb: str) -> Measured:
    """Run `frumious mirror`, or another verb."""
    command = (sys.executable, "-m", "frumious.cli", "-c", target.configuration(master))
    return _run((*command, *(verb or ("mirror",))), {"PYTHONPATH": str(CHECKOUT / "shared")})


def bandersnatch(target: Target, master: str, *verb: str) -> Measured:
    """Run `bandersnatch mirror`, or another verb."""
    command = (BANDERSNATCH, "-c", target.configuration(master))
    return _run((*command, *(verb or ("mirror",))))


def bare_loop(target: Folder, master: str) -> Measured:
    """Fetch, hash, write and rename the files."""
    web = target.path / PREFIX / "web"
    return _run(
        [sys.executable, "-m", "bench.peers.bare_loop", master, web], {"PYTHONPATH": str(CHECKOUT)}
    )


def rclone_copy(source: Folder, target: Bucket) -> Measured:
    """Copy the files of a mirror in a folder into a bucket."""
    remote = {
        "RCLONE_CONFIG_TO_TYPE": "s3",
        "RCLONE_CONFIG_TO_PROVIDER": "Rclone",
        "RCLONE_CONFIG_TO_ENDPOINT": target.server.endpoint,
        "RCLONE_CONFIG_TO_ACCESS_KEY_ID": target.server.key_id,
        "RCLONE_CONFIG_TO_SECRET_ACCESS_KEY": target.server.secret,
    }
    packages = f"{PREFIX}/web/packages"
    return _run(
        [
            *(rclone.program(), "copy", "--config", "", "--transfers", "50"),
            *(source.path / packages, f"to:{target.name}/{packages}"),
        ],
        remote,
    )


def _run(command: Sequence[str | Path], environment: Mapping[str, str] = {}) -> Measured:
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = os.posix_spawn(
            shutil.which(command[0]) or command[0],
            [str(argument) for argument in command],
            {**_inherited(), **environment},
            file_actions=[
                (os.POSIX_SPAWN_DUP2, output.fileno(), 1),
                (os.POSIX_SPAWN_DUP2, output.fileno(), 2),
            ],
        )
        with ThreadPoolExecutor(1) as pool:
            peak = pool.submit(_peak_memory, process)
            _, status, usage = os.wait4(process, 0)
            seconds = time.monotonic() - started
        if status:
            output.seek(0)
            text = output.read().decode(errors="replace")[-3000:]
            msg = f"{command[0]} ended with the status {os.waitstatus_to_exitcode(status)}: {text}"
            raise Failed(msg)
    return Measured(seconds, usage.ru_utime + usage.ru_stime, peak.result())


def _inherited() -> dict[str, str]:
    """Return this process's variables; all programs run with compiled modules."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def _peak_memory(process: int) -> int:
    """Return the bytes of resident memory that a process had at most, when it has ended.

    The kernel's own figure (ru_maxrss) begins with what this process has.
    """
    peak = 0
    while True:
        try:
            status = Path(f"/proc/{process}/status").read_text(encoding="ascii")
        except OSError:
            return peak
        found = re.search(r"VmHWM:\s+(\d+) kB", status)
        if found is None:
            return peak
        peak = int(found[1]) * 1024
        time.sleep(_POLL)
