"""Cache of an edge location: how long CloudFront keeps responses, and when it asks the origin.

The rules are those of "Manage how long content stays in the cache (expiration)" and "How CloudFront
processes HTTP 4xx and 5xx status codes from your origin" in CloudFront's developer guide.
"""

from __future__ import annotations

import re
import time
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from multidict import CIMultiDict

    from localcloud.stack import CachePolicy

MAX_BYTES = 64 * 1024**2  # of all bodies; the least recently stored ones are evicted


@dataclass(frozen=True, slots=True)
class CachedResponse:
    """A response of the origin, until it expires."""

    status: int
    reason: str
    headers: CIMultiDict[str]
    body: bytes
    stored: float  # seconds
    ttl: float

    @property
    def etag(self) -> str | None:
        return self.headers.get("ETag")


class EdgeCache:
    """Responses by cache key; `now` returns seconds."""

    def __init__(self, now: Callable[[], float] = time.time) -> None:
        self._now = now
        self._responses: dict[tuple[str, ...], CachedResponse] = {}
        self.origin_requests = 0

    def get(self, key: tuple[str, ...]) -> CachedResponse | None:
        """Return the response, even if it has expired."""
        return self._responses.get(key)

    def age(self, response: CachedResponse) -> float:
        return self._now() - response.stored

    def is_fresh(self, response: CachedResponse) -> bool:
        return self.age(response) < response.ttl

    def put(
        self,
        key: tuple[str, ...],
        response: CachedResponse,
        policy: CachePolicy,
        error_ttls: Mapping[int, int],
    ) -> CachedResponse:
        """Replace what is cached, and return it with its lifetime."""
        ttl = _ttl(response, policy, error_ttls)
        response = replace(response, stored=self._now(), ttl=ttl)
        self._responses.pop(key, None)
        self._responses[key] = response
        while sum(len(each.body) for each in self._responses.values()) > MAX_BYTES:
            del self._responses[next(iter(self._responses))]
        return response

    def renew(
        self, key: tuple[str, ...], policy: CachePolicy, error_ttls: Mapping[int, int]
    ) -> CachedResponse:
        """Start the lifetime of a response anew, which the origin has confirmed."""
        return self.put(key, self._responses[key], policy, error_ttls)


def _ttl(response: CachedResponse, policy: CachePolicy, error_ttls: Mapping[int, int]) -> float:
    control = response.headers.get("Cache-Control", "")
    ages = {name: float(age) for name, age in re.findall(r"([a-z-]+)=(\d+)", control)}
    age = ages.get("s-maxage", ages.get("max-age"))
    if response.status >= HTTPStatus.BAD_REQUEST:
        minimum = error_ttls.get(response.status, 10)
        return max(minimum, min(age or 0, policy.max_ttl))
    if re.search(r"\b(no-cache|no-store|private)\b", control):
        return policy.min_ttl
    if age is None:
        return policy.default_ttl
    return max(policy.min_ttl, min(age, policy.max_ttl))
