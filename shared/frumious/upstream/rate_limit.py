"""The pause that a response requests, with Retry-After or with the headers of a rate limit.

Servers send rate limits in one of three forms: `RateLimit: "default";r=0;t=30` as the current
draft-ietf-httpapi-ratelimit-headers has it, `RateLimit: remaining=0, reset=30` as its version 07
had it, and `RateLimit-Remaining` with `RateLimit-Reset` as older versions had it. The last form is
also common with `X-`: GitHub, Docker Hub and many gateways send it, some with a time as the reset.
"""

from __future__ import annotations

import re
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

_MAX_PAUSE: Final = 24 * 3600.0  # seconds
_PREFIXES: Final = ("RateLimit", "X-RateLimit", "X-Rate-Limit")
_NUMBER: Final = re.compile(r"\s*([0-9]{1,15})")
_REMAINING: Final = re.compile(r"(?:^|[;,\s])(?:r|remaining)=([0-9]{1,15})")
_RESET: Final = re.compile(r"(?:^|[;,\s])(?:t|reset)=([0-9]{1,15})")
_FIRST_TIME: Final = 10**8  # seconds; a larger reset is a time since the epoch, in seconds
_FIRST_MILLISECOND: Final = 10**11  # or in milliseconds


def requested_pause(headers: Mapping[str, str], now: float, *, refused: bool) -> float | None:
    """Return how many seconds to wait before the next request; None: there is no such request.

    `now` is in seconds since the epoch. Retry-After counts only if the server `refused` the
    request; otherwise a quota has to be used up.
    """
    pause = _retry_after(headers.get("Retry-After", ""), now) if refused else None
    if pause is None:
        pauses = [
            _until(reset, now)
            for remaining, reset in _quotas(headers)
            if reset is not None and (remaining == 0 or (refused and remaining is None))
        ]
        pause = max(pauses, default=None)
    return None if pause is None else min(max(pause, 0.0), _MAX_PAUSE)


def _retry_after(value: str, now: float) -> float | None:
    """Parse Retry-After (RFC 9110, 10.2.3): seconds, or a date."""
    if value.isdecimal():
        return float(value)
    try:
        return parsedate_to_datetime(value).timestamp() - now
    except (ValueError, TypeError, OverflowError):
        return None


def _quotas(headers: Mapping[str, str]) -> Iterator[tuple[int | None, int | None]]:
    """Yield what remains of each quota, and when it is reset."""
    if combined := headers.get("RateLimit", ""):
        for quota in combined.split(",") if '"' in combined else (combined,):
            yield _int(_REMAINING.search(quota)), _int(_RESET.search(quota))
    for prefix in _PREFIXES:
        if reset := headers.get(f"{prefix}-Reset", ""):
            remaining = headers.get(f"{prefix}-Remaining", "")
            yield _int(_NUMBER.match(remaining)), _int(_NUMBER.match(reset))


def _int(match: re.Match[str] | None) -> int | None:
    return None if match is None else int(match[1])


def _until(reset: int, now: float) -> float:
    """Return the seconds until a reset."""
    if reset >= _FIRST_MILLISECOND:
        return reset / 1000 - now
    return reset - now if reset >= _FIRST_TIME else float(reset)
