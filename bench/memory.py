"""The memory of a process, as Linux counts it."""

from __future__ import annotations

from pathlib import Path


def peak_memory() -> int:
    """Return the peak of this process's resident memory (VmHWM), in bytes.

    `ru_maxrss` of a process that another one has forked is at least that of the other.
    """
    status = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    (line,) = (line for line in status if line.startswith("VmHWM:"))
    return int(line.removeprefix("VmHWM:").removesuffix("kB")) * 1024
