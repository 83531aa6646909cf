"""What uv's list of builds of Python says of one."""

from __future__ import annotations

from typing import Any, Final

CPYTHON: Final[dict[str, Any]] = {
    "name": "cpython",
    "arch": {"family": "x86_64"},
    "os": "linux",
    "libc": "gnu",
    "major": 3,
    "minor": 13,
    "patch": 9,
}
