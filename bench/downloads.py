"""Measure `frumious downloads` of large logs: seconds and memory.

    python -m bench.downloads [--gigabytes 2]

A generator writes lines into the command's standard input. Half of the downloads are of one
project, the others of up to 740,000; for each twenty there is a new client. Exits with status 1 if
a large log takes more memory than a small one does. Needs Linux.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import threading
from pathlib import Path
from typing import IO, TYPE_CHECKING, Final, cast
from urllib.parse import quote

from frumious.downloads.fields import CLOUDFRONT
from frumious.model.pages import ListedProject
from frumious.simple import root_index

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.utils import NormalizedName

_PROJECTS: Final = 740_000
_BLOCK: Final = 20_000  # lines
_REPEATS: Final = 10
_SMALL: Final = 0.1  # gigabytes
_GROWTH: Final = 64 * 1024**2  # bytes by which memory may differ
_GIGABYTE: Final = 10**9
_AGENT: Final = (
    'pip/24.3.1 {"ci":null,"cpu":"x86_64","distro":{"name":"Debian GNU/Linux","version":"12"},'
    '"implementation":{"name":"CPython","version":"3.12.1"},"installer":{"name":"pip","version":'
    '"24.3.1"},"python":"3.12.1","system":{"name":"Linux","release":"6.1.0"}}'
)
_PROGRAM: Final = """
import sys, time
from bench.memory import peak_memory
from frumious.cli.main import main
try:
    main(sys.argv[1:], standalone_mode=False)
finally:
    print(peak_memory(), time.process_time(), file=sys.stderr)
"""


def _path(number: int) -> str:
    project = number * 7919 % _PROJECTS if number % 2 else 0
    version = number % 3
    digest = f"{project:02x}{version:062x}"[:64]
    name = f"project_{project:06}-{version}.0-py3-none-any.whl"
    return f"/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{name}"


def cloudfront(number: int) -> str:
    """Return a line of standard logging (v2) in JSON, with the 34 fields of the stack's logs."""
    client = f"10.{number >> 17 & 255}.{number >> 9 & 255}.{number >> 1 & 255}"
    fields = {
        **dict.fromkeys(CLOUDFRONT, "-"),
        "date": "2026-11-20",
        "time": f"{number % 24:02}:30:00",
        "x-edge-location": "FRA56-P5",
        "sc-bytes": "11053",
        "c-ip": client,
        "cs-method": "GET",
        "cs-uri-stem": _path(number),
        "sc-status": "200",
        "cs(User-Agent)": quote(_AGENT),
        "x-edge-request-id": f"{number:056x}",
        "ssl-cipher": "TLS_AES_128_GCM_SHA256",
        "sc-content-type": "application/octet-stream",
        "viewer-request-log-data": "-",
    }
    return json.dumps(fields, separators=(",", ":")) + "\n"


def nginx(number: int) -> str:
    """Return a line in nginx's format `combined`."""
    client = f"10.{number >> 17 & 255}.{number >> 9 & 255}.{number >> 1 & 255}"
    path = _path(number)
    agent = _AGENT.replace('"', "\\x22")
    return (
        f"{client} - - [20/Nov/2026:{number % 24:02}:30:00 +0000]"
        f' "GET {path} HTTP/1.1" 200 11053 "-" "{agent}"\n'
    )


def _blocks(line: Callable[[int], str], size: float) -> Iterator[bytes]:
    """Yield lines. Each block comes ten times, because making one takes longer than reading it."""
    written, first = 0, 0
    while written < size:
        block = "".join(map(line, range(first, first + _BLOCK))).encode()
        for _ in range(_REPEATS):
            yield block
            written += len(block)
        first += _BLOCK


def _measure(line: Callable[[int], str], gigabytes: float, *arguments: str) -> dict[str, float]:
    command = [sys.executable, "-c", _PROGRAM, "downloads", *arguments, "--json", "--logs", "-"]
    with (
        tempfile.TemporaryFile() as answer,
        subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=answer, stderr=subprocess.PIPE
        ) as process,
    ):
        assert process.stdin is not None  # noqa: S101 (for mypy)
        assert process.stderr is not None  # noqa: S101
        writer = threading.Thread(target=_write, args=(process.stdin, line, gigabytes))
        writer.start()
        *_, peak, seconds = process.stderr.read().split()
        writer.join()
        size = answer.seek(0, 2)
    return {"peak": int(peak), "seconds": float(seconds), "answer": size}


def _write(file: IO[bytes], line: Callable[[int], str], gigabytes: float) -> None:
    with file:
        for block in _blocks(line, gigabytes * _GIGABYTE):
            file.write(block)


def _mirror(folder: Path) -> Path:
    """Write a root index, and the configuration of its mirror."""
    names = (f"project-{number:06}" for number in range(_PROJECTS))
    items = ((cast("NormalizedName", name), ListedProject(name, 1)) for name in names)
    page = root_index.json_page(root_index.json_projects(root_index.batched(items)), 1, {})
    (folder / "web/simple").mkdir(parents=True)
    (folder / "web/simple/index.v1_json").write_bytes(page)
    conf = folder / "mirror.conf"
    conf.write_text(f"[mirror]\ndirectory = {folder}\n")
    return conf


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.downloads", description=__doc__)
    parser.add_argument("--gigabytes", type=float, default=2)
    options = parser.parse_args()
    grew = False
    with tempfile.TemporaryDirectory() as folder:
        conf = str(_mirror(Path(folder)))
        for line, *arguments in (
            (cloudfront, "project-000000"),
            (nginx, "project-000000==1.0"),
            (cloudfront, "--top", "100"),
            (nginx, "-c", conf, "--never"),
        ):
            small = _measure(line, min(_SMALL, options.gigabytes), *arguments)
            large = _measure(line, options.gigabytes, *arguments)
            grew |= large["peak"] - small["peak"] > _GROWTH
            figures = (
                f"{large['seconds']:6.1f} CPU s",
                f"{small['peak'] / 1024**2:5.0f} MiB at {_SMALL} GB",
                f"{large['peak'] / 1024**2:5.0f} MiB at {options.gigabytes} GB",
                f"{large['answer'] / 10**6:.1f} MB",
            )
            print(f"{line.__name__:10} {arguments[-1]:20}", *figures, flush=True)
    return int(grew)


if __name__ == "__main__":
    sys.exit(main())
