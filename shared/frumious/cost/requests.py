"""How many requests the stack makes for what, as `bench.requests` and `bench.idle` count them."""

from __future__ import annotations

from typing import Final, NamedTuple


class Requests(NamedTuple):
    """Requests to S3, on average."""

    reads: float  # GET and HEAD
    writes: float  # PUT and LIST; deleting costs nothing


# A job, without its files, each of which is one write.
PAGES: Final = 4  # writes, for a project that changed; one is compressed
MANIFEST: Final = 1  # read
REMOVED_FILES: Final = 1  # read, for a project that the mirror does not have
# An invocation of the worker: the cursor, and the snapshots before the first page changes.
BATCH_READS: Final = 2
BATCH_WRITES: Final = 1
BATCH_JOBS: Final = 10

# Once an hour it lists the removed files that are due for deletion, and reads the root index to
# find names of the allowlist that upstream lacks.
IDLE_PLANNER: Final = Requests(reads=1 + 1 / 60, writes=1 + 1 / 60)
# Each five minutes it reads `status`, and writes status.json, `status` and last-modified.
IDLE_FINALIZER: Final = Requests(reads=2.2, writes=0.6)
# What a tick with jobs or results takes in addition.
BUSY_PLANNER: Final = Requests(reads=0, writes=2)
BUSY_FINALIZER: Final = Requests(reads=9, writes=10)
# With [changes], what a finalizer with a few results takes for the feed (`make bench-feed`).
FEED: Final = Requests(reads=3, writes=4)
# What a page that changes takes for each snapshot: when it first does, and in addition each time
# (`make bench-snapshots`).
KEPT_PAGE: Final = Requests(reads=0, writes=4)
SNAPSHOT_LOOKUP: Final = Requests(reads=2, writes=0)
# With root-index-shards: each shard that changes, and the head. Once an hour there is a listing:
# 1,000 keys are one request (`make bench-scale`).
SHARD: Final = Requests(reads=1, writes=1)
FINALIZER_RECEIVES: Final = 1  # requests to the dead-letter queue, for each tick

# An audit lists everything, reads each project's page, and what it keeps of them: for each batch of
# a million names, one object for each range of keys.
LISTED_AT_ONCE: Final = 1000  # objects
AUDIT_RECORDS: Final = 1_000_000
AUDIT_SHARDS: Final = 256
AUDIT_MINUTES: Final = 15  # between two ticks, each of which reads how far the audit is

# Lambda's pollers of a queue: five, without fewer while it is idle where a maximum concurrency is
# set ("Configuring scaling behavior for SQS event source mappings" in the Lambda developer guide).
# Each waits as long as template.yaml's queue has it.
POLLERS: Final = 5
POLL_SECONDS: Final = 20
QUEUE_REQUESTS_PER_BATCH: Final = 3  # sent, received, deleted; more leases on long jobs
