"""A disk that is full: the message says what to do, and the next run begins with what failed."""

from __future__ import annotations

import re
import subprocess
import sys
from typing import TYPE_CHECKING

from tests.frumious.cli.test_cli import ENVIRONMENT, frumious
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

SIZE = 60_000
# The command, on a disk without space for as many bytes as the first argument says.
PROGRAM = """
import errno, os, sys
write, size = os.write, int(sys.argv.pop(1))

def full(descriptor, body):
    if descriptor > 2 and len(body) >= size:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    return write(descriptor, body)

os.write = full
from frumious.cli.main import main
main(sys.argv[1:])
"""


def on_full_disk(size: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", PROGRAM, str(size), *arguments],
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def test_a_full_disk_is_named_and_the_next_run_begins_at_once(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    conf = tmp_path / "mirror.conf"
    conf.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\nworkers = 1\nretry-pause = 3600\n"
    )
    index.add_file("big", "big-1.0.tar.gz", size=SIZE)
    index.add_file("other", "other-1.0.tar.gz", size=SIZE)

    failed = on_full_disk(SIZE, "mirror", "-c", str(conf))

    assert failed.returncode == 1
    message = re.compile(
        rf"(\w+): failed: the mirror's storage is full: cannot write '{tmp_path}/mirror/web/"
        rf"packages/.*': No space left on device; it needs {SIZE} bytes, and \d+ bytes are free"
        " on its disk; make some space and run again"
    )
    assert message.fullmatch(failed.stderr.splitlines()[0]), failed.stderr

    done = frumious("mirror", "-c", str(conf))

    assert done.returncode == 0, done.stderr
    lines = sorted(line.partition(",")[0] for line in done.stderr.splitlines())
    assert lines == ["big: 1 file", "other: 1 file"]


def test_a_disk_without_space_for_state_is_named_and_nothing_is_lost(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    conf = tmp_path / "mirror.conf"
    conf.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\n"
    )
    index.upload(wheel("demo", "1.0"))
    assert frumious("mirror", "-c", str(conf)).returncode == 0
    index.upload(wheel("demo", "2.0"))

    for verb in (("mirror",), ("sync", "demo"), ("delete", "demo"), ("verify",)):
        failed = on_full_disk(1, *verb, "-c", str(conf))
        message = (
            rf"Error: cannot write '{tmp_path}/mirror/state/.*': No space left on device; it needs"
            r" \d+ bytes, and \d+ bytes are free on its disk; make some space and run again\n"
        )
        assert re.fullmatch(message, failed.stderr), failed.stderr
        assert failed.returncode == 1
    assert frumious("verify", "-c", str(conf)).returncode == 0

    done = frumious("mirror", "-c", str(conf))
    assert done.returncode == 0, done.stderr
    assert done.stderr.startswith("demo: 1 file")
