"""The resources of the template as plain values."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from localcloud.alarms import Alarm

REGION = "us-east-1"
ACCOUNT = "123456789012"  # moto's
STACK_NAME = "frumious-local"
KEY_VALUE_STORE_ARN = (
    f"arn:aws:cloudfront::{ACCOUNT}:key-value-store/00000000-0000-0000-0000-000000000000"
)


@dataclass(frozen=True, slots=True)
class Queue:
    """A queue with its SQS attributes."""

    name: str
    url: str
    arn: str
    attributes: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Function:
    """A Lambda function's settings. `timeout` is in seconds, `memory` in MB."""

    id: str
    name: str
    arn: str
    handler: str
    code: Path
    timeout: int
    memory: int
    environment: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Schedule:
    """Invokes `function` with `input` every `seconds`, if its role allows that."""

    function: str
    seconds: int
    input: Any
    group: str
    allowed: bool


@dataclass(frozen=True, slots=True)
class QueueSource:
    """An event source mapping from a queue to a function."""

    function: str
    queue_arn: str
    batch_size: int
    reports_item_failures: bool
    max_concurrency: int


@dataclass(frozen=True, slots=True)
class CachePolicy:
    """How long an edge location keeps responses, in seconds."""

    min_ttl: int
    default_ttl: int  # of responses without Cache-Control
    max_ttl: int
    by_encoding: bool  # whether Accept-Encoding, normalised, is in the cache key
    headers: tuple[str, ...]  # in lower case: they are in the cache key, and origins get them


@dataclass(frozen=True, slots=True)
class OriginGroup:
    """Origins that are asked one after the other, where one answers with a status of `failover`."""

    id: str
    origins: tuple[str, ...]
    failover: frozenset[int]


@dataclass(frozen=True, slots=True)
class Behavior:
    """The distribution's behavior for paths that match `pattern`."""

    pattern: str
    target: OriginGroup  # a single origin is a group of one
    cache_policy: CachePolicy
    edge_code: str | None  # of the viewer-request function
    key_value_store: str | None  # the ARN of the function's
    added_headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Distribution:
    """The CloudFront distribution of the bucket; the default behavior is the last one."""

    id: str
    bucket: str
    origin_paths: Mapping[str, str]  # by origin
    behaviors: tuple[Behavior, ...]
    error_ttls: Mapping[int, int]  # seconds that errors are cached at least, by status


@dataclass(frozen=True, slots=True)
class Stack:
    """The template with all values resolved; mappings are keyed by logical id."""

    bucket: str
    queues: Mapping[str, Queue]
    functions: Mapping[str, Function]
    schedules: tuple[Schedule, ...]
    queue_sources: tuple[QueueSource, ...]
    distribution: Distribution
    alarms: Mapping[str, Alarm]
    not_simulated: tuple[str, ...]
