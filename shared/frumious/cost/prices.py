"""AWS's list prices in us-east-1, in USD, as of `AS_OF`. Free tiers are not counted.

AWS's pages build their tables in the browser. The figures were compared with articles that quote
these pages, of February to June 2026.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

AS_OF: Final = "June 2026"
REGION: Final = "us-east-1"

_MILLION: Final = 1_000_000
_TB: Final = 1024  # GB: AWS counts in powers of two


@dataclass(frozen=True, slots=True)
class Price:
    """What a number of units costs.

    `tiers` are (how many units, USD for `per` of them); the last tier is open.
    """

    unit: str
    per: float
    tiers: tuple[tuple[float, float], ...]
    source: str  # the page with the price

    def of(self, units: float) -> float:
        """Return what so many units cost."""
        usd = 0.0
        for size, price in self.tiers:
            part = min(units, size)
            usd += part / self.per * price
            units -= part
        return usd


def _flat(unit: str, per: float, usd: float, source: str) -> Price:
    return Price(unit, per, ((math.inf, usd),), source)


_S3: Final = "https://aws.amazon.com/s3/pricing/"
_LAMBDA: Final = "https://aws.amazon.com/lambda/pricing/"
_SQS: Final = "https://aws.amazon.com/sqs/pricing/"
_EVENTS: Final = "https://aws.amazon.com/eventbridge/pricing/"
_CLOUDWATCH: Final = "https://aws.amazon.com/cloudwatch/pricing/"
_CLOUDFRONT: Final = "https://aws.amazon.com/cloudfront/pricing/"

S3_WRITE: Final = _flat("PUT or LIST requests", 1000, 0.005, _S3)
S3_READ: Final = _flat("GET or HEAD requests", 1000, 0.0004, _S3)
S3_STORAGE: Final = Price("GB", 1, ((50 * _TB, 0.023), (450 * _TB, 0.022), (math.inf, 0.021)), _S3)
TRANSFER_IN: Final = _flat("GB", 1, 0.0, _S3)
LAMBDA_REQUEST: Final = _flat("invocations", _MILLION, 0.20, _LAMBDA)
LAMBDA_TIME: Final = _flat("GB-seconds", 1, 0.0000133334, _LAMBDA)  # arm64
SQS_FIFO: Final = _flat("requests", _MILLION, 0.50, _SQS)
SCHEDULE: Final = _flat("invocations", _MILLION, 1.00, _EVENTS)
EVENT: Final = _flat("events", _MILLION, 1.00, _EVENTS)
METRIC: Final = _flat("metrics", 1, 0.30, _CLOUDWATCH)
ALARM: Final = _flat("alarms", 1, 0.10, _CLOUDWATCH)
LOG_INGESTION: Final = _flat("GB", 1, 0.50, _CLOUDWATCH)
LOG_STORAGE: Final = _flat("GB", 1, 0.03, _CLOUDWATCH)
EDGE_REQUEST: Final = _flat("HTTPS requests", 10_000, 0.0100, _CLOUDFRONT)
EDGE_FUNCTION: Final = _flat("invocations", _MILLION, 0.10, _CLOUDFRONT)
EDGE_STORE: Final = _flat("reads of the KeyValueStore", _MILLION, 0.03, _CLOUDFRONT)
UPSTREAM: Final = _flat("requests", 1, 0.0, "upstream bills nothing")
EDGE_TRANSFER: Final = Price(
    "GB",
    1,
    (
        (10 * _TB, 0.085),
        (40 * _TB, 0.080),
        (100 * _TB, 0.060),
        (350 * _TB, 0.040),
        (524 * _TB, 0.030),
        (math.inf, 0.025),
    ),
    _CLOUDFRONT,
)
