"""Numbers as people read them; apart from `rich`, which takes longer to import."""

from __future__ import annotations

from typing import Final

_UNITS: Final = ("kB", "MB", "GB", "TB", "PB")
_HOUR: Final = 3600
_MINUTE: Final = 60


def size(bytes_: float) -> str:
    """Return a number of bytes in a decimal unit: `35 kB`, `1.2 GB`."""
    if bytes_ < 1000:  # noqa: PLR2004 (the unit)
        return f"{bytes_:.0f} B"
    for unit in _UNITS:
        bytes_ /= 1000
        if bytes_ < 999.5 or unit == _UNITS[-1]:  # noqa: PLR2004 (would round to 1000)
            break
    return f"{bytes_:.1f} {unit}" if bytes_ < 9.95 else f"{bytes_:.0f} {unit}"  # noqa: PLR2004


def duration(seconds: float) -> str:
    """Return a time span: `4 s`, `12 min`, `3.5 h`, `2.0 d`."""
    if seconds < _MINUTE:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"  # noqa: PLR2004
    if seconds < _HOUR:
        return f"{seconds / _MINUTE:.0f} min"
    if seconds < 48 * _HOUR:
        return f"{seconds / _HOUR:.1f} h"
    return f"{seconds / 24 / _HOUR:.1f} d"


def count(number: int, noun: str) -> str:
    """Return a number with its noun: `1 file`, `12,000 files`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"
