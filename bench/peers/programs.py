"""The programs that are compared, as their users run them: processes with a mirror.conf."""

from __future__ import annotations

import os
import re
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final, Protocol

from bench import rclone
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

BANDERSNATCH: Final = CHECKOUT / ".venv-bandersnatch" / "bin" / "bandersnatch"
_IN_MEMORY: Final = Path("/dev/shm")  # noqa: S108 (only the parent of temporary folders)
_PREFIX: Final = "mirror"
_POLL: Final = 0.02  # seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """One run of a program."""

    seconds: float
    cpu: float  # seconds, of the user and of the system
    memory: int  # bytes, at the peak


class Failed(Exception):
    """A program ended with another status than 0, or has not mirrored everything."""


class Target(Protocol):
    """Where one program mirrors to."""

    def configuration(self, master: str) -> Path:
        """Write a mirror.conf with the defaults of both programs, and return its path."""

    def files(self) -> int:
        """Return how many files the mirror has stored."""


@dataclass(frozen=True, slots=True)
class Folder:
    """A mirror in a folder."""

    path: Path

    def configuration(self, master: str) -> Path:
        return _write(self.path, master, f"directory = {self.path / _PREFIX}")

    def files(self) -> int:
        return _count(self.path / _PREFIX / "web" / "packages")


@dataclass(frozen=True, slots=True)
class Bucket:
    """A mirror in a bucket, whose server keeps objects as files."""

    path: Path  # for the configuration
    server: rclone.S3Server

    def configuration(self, master: str) -> Path:
        key, secret = self.server.credentials.values()
        return _write(
            self.path,
            master,
            f"storage-backend = s3\ndirectory = /{self.server.bucket.name}/{_PREFIX}",
            f"[s3]\nendpoint_url = {self.server.endpoint}\nregion_name = us-east-1\n"
            f"aws_access_key_id = {key}\naws_secret_access_key = {secret}",
        )

    def files(self) -> int:
        return _count(self.server.bucket / _PREFIX / "web" / "packages")


@contextmanager
def folder() -> Iterator[Folder]:
    """Give an empty folder, in memory if possible: no disk is measured."""
    parent = _IN_MEMORY if _IN_MEMORY.is_dir() else None
    with tempfile.TemporaryDirectory(prefix="frumious-peers-", dir=parent) as name:
        yield Folder(Path(name))


@contextmanager
def bucket(space: int) -> Iterator[Bucket]:
    """Give an empty bucket of a server of its own with room for `space` bytes."""
    with rclone.serving("bucket", space) as server, folder() as empty:
        yield Bucket(empty.path, server)


def frumious(target: Target, master: str) -> Measured:
    """Run `frumious mirror`."""
    command = (sys.executable, "-m", "frumious.cli", "-c", target.configuration(master), "mirror")
    return _run(command, {"PYTHONPATH": str(CHECKOUT / "shared")})


def bandersnatch(target: Target, master: str) -> Measured:
    """Run `bandersnatch mirror`."""
    return _run([BANDERSNATCH, "-c", target.configuration(master), "mirror"])


def bare_loop(target: Folder, master: str) -> Measured:
    """Fetch, hash, write and rename the files."""
    web = target.path / _PREFIX / "web"
    return _run(
        [sys.executable, "-m", "bench.peers.bare_loop", master, web], {"PYTHONPATH": str(CHECKOUT)}
    )


def rclone_copy(source: Folder, target: Bucket) -> Measured:
    """Copy the files of a mirror in a folder into a bucket."""
    key, secret = target.server.credentials.values()
    remote = {
        "RCLONE_CONFIG_TO_TYPE": "s3",
        "RCLONE_CONFIG_TO_PROVIDER": "Rclone",
        "RCLONE_CONFIG_TO_ENDPOINT": target.server.endpoint,
        "RCLONE_CONFIG_TO_ACCESS_KEY_ID": key,
        "RCLONE_CONFIG_TO_SECRET_ACCESS_KEY": secret,
    }
    packages = f"{_PREFIX}/web/packages"
    return _run(
        [
            *(rclone.program(), "copy", "--config", "", "--transfers", "50"),
            *(source.path / packages, f"to:{target.server.bucket.name}/{packages}"),
        ],
        remote,
    )


def _write(folder: Path, master: str, options: str, sections: str = "") -> Path:
    path = folder / "mirror.conf"
    path.write_text(
        f"[mirror]\nmaster = {master}\nallow-non-https = true\n{options}\n{sections}\n",
        encoding="utf-8",
    )
    return path


def _count(packages: Path) -> int:
    return sum(path.is_file() for path in packages.rglob("*"))


def _run(command: Sequence[str | Path], environment: Mapping[str, str] = {}) -> Measured:
    with tempfile.TemporaryFile() as output:
        started = time.monotonic()
        process = os.posix_spawn(
            shutil.which(command[0]) or command[0],
            [str(argument) for argument in command],
            {**os.environ, **environment},
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
