"""How a request to upstream fails."""

from __future__ import annotations

from frumious.errors import FrumiousError, Reason, Retryable


class UpstreamUnavailable(Retryable):
    """Upstream did not respond, or with an error that may pass."""

    reason = Reason.UPSTREAM_UNAVAILABLE


class Overloaded(UpstreamUnavailable):
    """Upstream refused the request or the connection, perhaps because there are too many."""


class TooSlow(UpstreamUnavailable):
    """Upstream sent a response too slowly. Another attempt at once would take as long."""


class TooLarge(FrumiousError):
    """A response body that exceeds the limit of its kind."""

    reason = Reason.UPSTREAM_INVALID
