"""Environments for which markers are evaluated, such as `3.13 linux x86_64`."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from frumious.config import filters

if TYPE_CHECKING:
    from collections.abc import Mapping

_VERSION: Final = re.compile(r"(\d+\.\d+)(\.\d+)?")
_PLATFORMS: Final = {
    "linux": {"sys_platform": "linux", "platform_system": "Linux", "os_name": "posix"},
    "macos": {"sys_platform": "darwin", "platform_system": "Darwin", "os_name": "posix"},
    "windows": {"sys_platform": "win32", "platform_system": "Windows", "os_name": "nt"},
}
_IMPLEMENTATIONS: Final = {"cpython": "CPython", "pypy": "PyPy"}
# How `platform_machine` spells an architecture.
_MACHINES: Final = {
    "x86_64": {"windows": "AMD64"},
    "arm64": {"windows": "ARM64", "linux": "aarch64"},
    "i686": {"windows": "x86"},
    **{name: {} for name in ("armv7l", "ppc64le", "riscv64", "s390x")},
}
_ALIASES: Final = {"amd64": "x86_64", "aarch64": "arm64"}


def environments(text: str) -> tuple[Mapping[str, str], ...]:
    """Parse environments, one on each line, as variables of markers; what is not named is open."""
    return tuple(map(_environment, filters.lines(text)))


def _environment(line: str) -> Mapping[str, str]:
    variables: dict[str, str] = {}
    platform = machine = ""
    for word in line.lower().split():
        if version := _VERSION.fullmatch(word):
            variables["python_version"] = version[1]
            if version[2]:
                variables["python_full_version"] = word
        elif word in _PLATFORMS and not platform:
            platform = word
            variables |= _PLATFORMS[word]
        elif word in _IMPLEMENTATIONS:
            variables["implementation_name"] = word
            variables["platform_python_implementation"] = _IMPLEMENTATIONS[word]
        elif _ALIASES.get(word, word) in _MACHINES and not machine:
            machine = _ALIASES.get(word, word)
        else:
            known = ", ".join((*_PLATFORMS, *_IMPLEMENTATIONS, *_MACHINES))
            msg = f"{word!r:.40} must be a version of Python such as 3.13, or one of {known}"
            raise ValueError(msg)
    if machine and not platform:
        msg = f"{line!r:.80} names an architecture without a platform ({', '.join(_PLATFORMS)})"
        raise ValueError(msg)
    if machine:
        variables["platform_machine"] = _MACHINES[machine].get(platform, machine)
    return variables
