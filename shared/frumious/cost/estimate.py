"""What filling a mirror costs once, and what a month of it costs, item by item. Pure.

The counts of requests are measured. Seconds are assumed: nobody has measured them in AWS.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from frumious.cost import prices
from frumious.cost.requests import (
    AUDIT_MINUTES,
    AUDIT_RECORDS,
    AUDIT_SHARDS,
    BATCH_JOBS,
    BATCH_READS,
    BATCH_WRITES,
    BUSY_FINALIZER,
    BUSY_PLANNER,
    FEED,
    FINALIZER_RECEIVES,
    IDLE_FINALIZER,
    IDLE_PLANNER,
    KEPT_PAGE,
    LISTED_AT_ONCE,
    MANIFEST,
    PAGES,
    POLL_SECONDS,
    POLLERS,
    QUEUE_REQUESTS_PER_BATCH,
    REMOVED_FILES,
    SHARD,
    SNAPSHOT_LOOKUP,
    Requests,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.cost.prices import Price

DAYS: Final = 30  # a month
MINUTES: Final = DAYS * 24 * 60

# Of all of PyPI, for projects whose pages are not read: some 740,000 projects, 8 million releases,
# 20 million files and 40 TB in 2026, and 3.9 million new files in a year. Popular projects have
# many times as much.
FILES_PER_PROJECT: Final = 27.0
RELEASES_PER_PROJECT: Final = 11.0
BYTES_PER_FILE: Final = 2_000_000.0
FILES_PER_CHANGE: Final = 2.0
CHANGES_PER_PROJECT: Final = 0.007  # a day
OBJECTS_PER_FILE: Final = 1.6  # with core metadata and provenance

_GB: Final = 1024**3
_MEMORY: Final = 1769 / 1024  # GB, of each function
_IDLE_PLANNER_SECONDS: Final = 0.35  # two requests to S3 and one to upstream
_IDLE_FINALIZER_SECONDS: Final = 0.12  # two requests to S3 and one to SQS
_BUSY_SECONDS: Final = 1.0  # in addition, for planner and finalizer together
# For each project, in all formats and variants of the root index (`make bench`).
_LISTED_BYTES: Final = 210
# S3 deletes an old version at the midnight after its day.
_OLD_VERSION_DAYS: Final = 1.5
_LISTED_SECONDS: Final = 8e-6  # for each project of the root index (`make bench-scale`)
# For each project, when all shards are compared (`make bench-scale`), and in its shard.
_SHARDED_SECONDS: Final = 4e-6
_SHARDED_BYTES: Final = 70
_BATCH_SECONDS: Final = 1.5
_AUDITED_PAGE_SECONDS: Final = 0.005  # many pages are read at the same time
_LIST_SECONDS: Final = 0.1  # of the auditor, for a thousand objects
_FILE_SECONDS: Final = 0.03
_RELEASE_SECONDS: Final = 0.1  # requests for the JSON of releases are made one after another
_BYTES_PER_SECOND: Final = 40_000_000
_LOG_BYTES: Final = 350  # of Lambda's own lines, for each invocation
_EDGE_REQUESTS_PER_FILE: Final = 2.5  # file, page, core metadata
_EDGE_PAGES: Final = 0.4  # of the requests
_EDGE_MISSES: Final = 0.2  # requests that reach the bucket


class Idle(NamedTuple):
    """What ticks without work ask for, each; `bench.idle` measures it."""

    planner: Requests = IDLE_PLANNER
    finalizer: Requests = IDLE_FINALIZER
    receives: float = FINALIZER_RECEIVES  # requests to the dead-letter queue
    metrics: int = 1  # LagSeconds; the others have values only when something is wrong
    alarms: int = 13
    log_bytes: float = 550  # that a tick prints


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """What a mirror has, and what happens to it."""

    projects: int
    files: float
    bytes_: float
    changes_per_day: float  # projects that change
    files_per_change: float = FILES_PER_CHANGE
    objects_per_file: float = OBJECTS_PER_FILE
    downloads_gb: float = 0.0  # a month
    audit_days: float = 7.0  # between two audits; 0: there are none
    planner_minutes: float = 1.0  # between two ticks
    feed: bool = False  # whether a change feed is published
    releases: float = 0.0
    release_json: bool = False  # whether the JSON of releases is mirrored
    snapshots: int = 0  # that the mirror has all the time
    shards: int = 0  # into which the root index is divided

    @property
    def bytes_per_file(self) -> float:
        """The average size of a file; that of PyPI's files if it is unknown."""
        return self.bytes_ / self.files if self.files and self.bytes_ else BYTES_PER_FILE


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a bill."""

    text: str
    units: float
    price: Price

    @property
    def usd(self) -> float:
        """What it costs."""
        return self.price.of(self.units)


def total(items: Iterable[Item]) -> float:
    """Return what all items cost."""
    return sum(item.usd for item in items)


def bootstrap(work: Workload) -> list[Item]:
    """Return what filling the mirror costs, once."""
    batches = math.ceil(work.projects / BATCH_JOBS)
    return [
        *_jobs(work, work.projects, work.files, batches, work.bytes_),
        *_releases(work),
        Item("S3: files removed earlier", work.projects * REMOVED_FILES, prices.S3_READ),
    ]


def month(work: Workload, idle: Idle | None = None) -> list[Item]:
    """Return what a month costs once the mirror is filled."""
    ticks = MINUTES / work.planner_minutes
    changes = work.changes_per_day * DAYS
    files = changes * work.files_per_change
    busy_ticks = ticks * (1 - math.exp(-changes / ticks))
    batches = max(busy_ticks, changes / BATCH_JOBS)
    requests = work.downloads_gb * _GB / work.bytes_per_file * _EDGE_REQUESTS_PER_FILE
    reads, writes = (
        BUSY_PLANNER.reads + BUSY_FINALIZER.reads,
        BUSY_PLANNER.writes + BUSY_FINALIZER.writes,
    )
    return [
        *idle_month(idle or Idle(), planner_minutes=work.planner_minutes),
        *_jobs(work, changes, files, batches, files * work.bytes_per_file),
        *_audits(work),
        *_snapshots(work, changes, requests),
        Item("S3: JSON of releases", changes * work.release_json, prices.S3_WRITE),
        *_shards(work, changes, busy_ticks),
        Item("S3: plans, results and root index", busy_ticks * writes, prices.S3_WRITE),
        Item("S3: plans, results and root index", busy_ticks * reads, prices.S3_READ),
        Item("S3: change feed", busy_ticks * FEED.writes * work.feed, prices.S3_WRITE),
        Item("S3: change feed", busy_ticks * FEED.reads * work.feed, prices.S3_READ),
        Item(
            "Lambda: planner and finalizer, with work",
            busy_ticks * (_BUSY_SECONDS + work.projects * _LISTED_SECONDS) * _MEMORY,
            prices.LAMBDA_TIME,
        ),
        Item("EventBridge: runs and projects", busy_ticks + changes, prices.EVENT),
        Item("S3: storage", work.bytes_ / _GB, prices.S3_STORAGE),
        Item(
            "S3: old versions of the root index",
            busy_ticks / DAYS * _OLD_VERSION_DAYS * work.projects * _LISTED_BYTES / _GB,
            prices.S3_STORAGE,
        ),
        Item("CloudFront: requests", requests, prices.EDGE_REQUEST),
        Item("CloudFront: edge function", requests, prices.EDGE_FUNCTION),
        Item("CloudFront: traffic to clients", work.downloads_gb, prices.EDGE_TRANSFER),
        Item("S3: requests of CloudFront", requests * _EDGE_MISSES, prices.S3_READ),
    ]


def _releases(work: Workload) -> list[Item]:
    """Return what it costs to mirror the JSON of all releases.

    That of a project's latest release needs no request: it is in the project's own JSON.
    """
    releases = work.releases * work.release_json
    requests = max(0.0, releases - work.projects)
    return [
        Item("Upstream: JSON of releases", requests, prices.UPSTREAM),
        Item("S3: JSON of releases", releases, prices.S3_WRITE),
        Item("Lambda: JSON of releases", requests * _RELEASE_SECONDS * _MEMORY, prices.LAMBDA_TIME),
    ]


def _snapshots(work: Workload, changes: float, requests: float) -> list[Item]:
    """Return what a month costs more with snapshots, each of which is a month old at most."""
    if not work.snapshots or not work.projects:
        return []
    changed = work.projects * (1 - math.exp(-changes / work.projects))  # at least once
    writes = changed * KEPT_PAGE.writes * work.snapshots
    reads = (changes * SNAPSHOT_LOOKUP.reads + changed * KEPT_PAGE.reads) * work.snapshots
    return [
        Item("S3: pages that snapshots keep", writes, prices.S3_WRITE),
        Item("S3: pages that snapshots keep", reads, prices.S3_READ),
        Item("CloudFront: which snapshot is served", requests * _EDGE_PAGES, prices.EDGE_STORE),
    ]


def _audits(work: Workload) -> list[Item]:
    """Return what a month's audits cost, and the ticks that have nothing to audit."""
    if not work.audit_days:
        return []
    audits, ticks = DAYS / work.audit_days, MINUTES / AUDIT_MINUTES
    objects = work.files * work.objects_per_file + work.projects * PAGES
    records = objects / AUDIT_RECORDS * AUDIT_SHARDS
    seconds = work.projects * _AUDITED_PAGE_SECONDS + objects / LISTED_AT_ONCE * _LIST_SECONDS
    return [
        Item(
            "S3: audits, listings",
            audits * (objects / LISTED_AT_ONCE + records),
            prices.S3_WRITE,
        ),
        Item("S3: audits, pages", audits * (work.projects + records) + ticks, prices.S3_READ),
        Item("Lambda: auditor", ticks, prices.LAMBDA_REQUEST),
        Item(
            "Lambda: auditor",
            (audits * seconds + ticks * _IDLE_FINALIZER_SECONDS) * _MEMORY,
            prices.LAMBDA_TIME,
        ),
        Item("EventBridge Scheduler: audits", ticks, prices.SCHEDULE),
    ]


def _shards(work: Workload, changes: float, busy_ticks: float) -> list[Item]:
    """Return what the shards of the root index cost; a tick's changes are in different projects."""
    if not (work.shards and busy_ticks):
        return []
    changed = work.shards * (1 - (1 - 1 / work.shards) ** (changes / busy_ticks))
    listings = min(busy_ticks, DAYS * 24)
    return [
        Item(
            "S3: root index in shards",
            busy_ticks * (changed + 1) * SHARD.writes
            + listings * math.ceil(work.shards / LISTED_AT_ONCE),
            prices.S3_WRITE,
        ),
        Item("S3: root index in shards", busy_ticks * (changed + 1) * SHARD.reads, prices.S3_READ),
        Item(
            "Lambda: root index in shards",
            listings * work.projects * _SHARDED_SECONDS * _MEMORY,
            prices.LAMBDA_TIME,
        ),
        Item(
            "S3: old versions of shards",
            busy_ticks
            / DAYS
            * _OLD_VERSION_DAYS
            * changed
            * (work.projects * _SHARDED_BYTES / work.shards)
            / _GB,
            prices.S3_STORAGE,
        ),
    ]


def idle_month(idle: Idle, *, planner_minutes: float = 1.0) -> list[Item]:
    """Return what a month costs in which nothing changes."""
    planned, finalized = MINUTES / planner_minutes, MINUTES
    ticks = planned + finalized
    reads = planned * idle.planner.reads + finalized * idle.finalizer.reads
    writes = planned * idle.planner.writes + finalized * idle.finalizer.writes
    seconds = planned * _IDLE_PLANNER_SECONDS + finalized * _IDLE_FINALIZER_SECONDS
    polls = MINUTES * 60 / POLL_SECONDS * POLLERS
    logs = ticks * (idle.log_bytes + _LOG_BYTES) / _GB
    return [
        Item("S3: state and status", writes, prices.S3_WRITE),
        Item("S3: state and status", reads, prices.S3_READ),
        Item("Lambda: ticks", ticks, prices.LAMBDA_REQUEST),
        Item("Lambda: ticks", seconds * _MEMORY, prices.LAMBDA_TIME),
        Item("EventBridge Scheduler: ticks", ticks, prices.SCHEDULE),
        Item("SQS: Lambda polls the queue", polls, prices.SQS_FIFO),
        Item("SQS: finalizer reads dead letters", finalized * idle.receives, prices.SQS_FIFO),
        Item("CloudWatch: metrics", idle.metrics, prices.METRIC),
        Item("CloudWatch: alarms", idle.alarms, prices.ALARM),
        Item("CloudWatch: logs", logs, prices.LOG_INGESTION),
        Item("CloudWatch: logs kept for 30 days", logs, prices.LOG_STORAGE),
    ]


def _jobs(work: Workload, jobs: float, files: float, batches: float, bytes_: float) -> list[Item]:
    """Return what it costs to bring projects up to date that have new files."""
    seconds = (
        batches * _BATCH_SECONDS + files * _FILE_SECONDS + bytes_ / _BYTES_PER_SECOND
    ) * _MEMORY
    objects = files * work.objects_per_file
    pages = jobs * PAGES + batches * BATCH_WRITES
    reads = jobs * MANIFEST + batches * BATCH_READS
    return [
        Item("S3: new files, metadata and provenance", objects, prices.S3_WRITE),
        Item("S3: pages and results", pages, prices.S3_WRITE),
        Item("S3: manifests and state", reads, prices.S3_READ),
        Item("Lambda: worker", batches, prices.LAMBDA_REQUEST),
        Item("Lambda: worker", seconds, prices.LAMBDA_TIME),
        Item("SQS: jobs", batches * QUEUE_REQUESTS_PER_BATCH, prices.SQS_FIFO),
        Item("Transfer from upstream", bytes_ / _GB, prices.TRANSFER_IN),
    ]
