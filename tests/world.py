"""A mirror and its upstream for tests, which run jobs and inspect the bucket."""

from __future__ import annotations

import asyncio
import json
import time
import uuid
from contextlib import AsyncExitStack, contextmanager, suppress
from typing import TYPE_CHECKING, Any, Final, Self, TypeVar

import boto3
import msgspec
from msgspec.structs import replace
from packaging.utils import canonicalize_name

from frumious.config import loading
from frumious.finalizing.finalize import Finalized, finalize
from frumious.messaging.job_queue import JobQueue
from frumious.mirror import Mirror, open_mirror
from frumious.model.jobs import AllowedRemoval, Job, Report, Result
from frumious.model.types import Key, RunId
from frumious.planning.advisories import follow_advisories
from frumious.planning.dispatch import start_runs
from frumious.planning.lists import follow_lists
from frumious.planning.plan import plan_changes, plan_projects
from frumious.planning.retry import retry
from frumious.state import inbox
from frumious.state.objects import LedgerCorrupt
from frumious.syncing.delivery import Batch, Delivery, Disposition, RetryLater
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from tests.clock import MovableClock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator, Sequence
    from types import TracebackType

    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_sqs.client import SQSClient
    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.plans import Plan
    from frumious.model.runs import Cursor, Run
    from frumious.planning.advisories import Update
    from tests.upstream import Server

T = TypeVar("T")

REGION: Final = "eu-central-1"


class Aws:
    """Clients for all tests, because creating them takes longer than most tests."""

    def __init__(self) -> None:
        self.s3: S3Client = boto3.client("s3")
        self.sqs: SQSClient = boto3.client("sqs")


@contextmanager
def before_requests_to_s3(mirror: Mirror, hook: Callable[..., None]) -> Iterator[None]:
    """Call `hook` with each request to S3 before it is sent; botocore makes all of them."""
    bucket = mirror.storage._bucket  # type: ignore[attr-defined]
    bucket.signed_put._is_possible = False
    events = bucket.client.meta.events
    events.register_first("before-send.s3", hook)
    try:
        yield
    finally:
        events.unregister("before-send.s3", hook)
        bucket.signed_put._is_possible = True


class World:
    """One upstream, one bucket, one queue; a context manager.

    The mirror is opened once for each configuration, as by a warm worker.
    """

    def __init__(self, aws: Aws, upstream: Server, *, master: str = "") -> None:
        self.upstream = upstream
        self.master = master or upstream.url  # or another mirror of it
        self.index = upstream.index
        self.s3 = aws.s3
        self.sqs = aws.sqs
        self.clock = MovableClock()
        self.bucket = f"mirror-{uuid.uuid4()}"
        self.s3.create_bucket(
            Bucket=self.bucket, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        self.queue_url = self.sqs.create_queue(
            QueueName=f"{self.bucket}.fifo", Attributes={"FifoQueue": "true"}
        )["QueueUrl"]
        self._runner = asyncio.Runner()
        self._opened = AsyncExitStack()
        self._mirror: Mirror | None = None
        self.configure()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        self._runner.close()

    def configure(self, options: str = "", sections: str = "") -> None:
        """Set the configuration: lines of [mirror], then other sections.

        Removed files are deleted at once, unless `options` has `delete-after`.
        """
        delay = "" if "delete-after" in options else "delete-after = 0\n"
        text = (
            f"[mirror]\nstorage-backend = s3\ndirectory = /{self.bucket}\nmaster = {self.master}\n"
            f"allow-non-https = true\nworkers = 4\n{delay}{options}\n{sections}"
        )
        parsed = loading.parse(text, {})
        self.config = replace(
            parsed, s3=replace(parsed.s3, is_aws=True)
        )  # moto has its capabilities
        self.close()

    def close(self) -> None:
        """Close the mirror; it is opened again when it is needed."""
        self._mirror = None
        self._runner.run(self._opened.aclose())

    def run(self, work: Callable[[Mirror], Awaitable[T]]) -> T:
        """Run a coroutine with the mirror."""

        async def opened() -> T:
            if self._mirror is None:
                mirror = open_mirror(self.config, self.clock)
                self._mirror = await self._opened.enter_async_context(mirror)
            return await work(self._mirror)

        return self._runner.run(opened())

    def sync(
        self,
        project: str,
        *,
        serial: int = 0,
        run: str = "run-1",
        allowed_removal: AllowedRemoval = AllowedRemoval.NOTHING,
        resuming: bool = False,
    ) -> Result:
        """Run one job."""
        job = Job(RunId(run), canonicalize_name(project), serial, allowed_removal=allowed_removal)
        return self.attempt(job, resuming=resuming)

    def attempt(self, job: Job, *, resuming: bool = False) -> Result:
        """Run a job outside of any batch."""
        attempt = Attempt(job, resuming=resuming or job.recovering)
        return self.run(lambda mirror: sync_project(attempt, mirror, Transfer.of(attempt, mirror)))

    def record(self, *reports: Report) -> None:
        """Record reports for the finalizer."""
        self.run(lambda mirror: inbox.record(mirror.storage, reports))

    def dry_run(
        self, *, force: bool = False, reset: bool = False, confirmed_removals: int = 0
    ) -> Plan:
        """Return the plan of a tick without dispatching it."""

        async def plan(mirror: Mirror) -> Plan:
            followed = await follow_lists(mirror)
            return await plan_changes(
                followed, force=force, reset=reset, confirmed_removals=confirmed_removals
            )

        return self.run(plan)

    def follow_advisories(self, *, confirmed: int = 0) -> Update | None:
        """Look at the feed of advisories, as the planner does at each tick, and send the jobs."""
        queue = JobQueue(self.queue_url)
        return self.run(lambda mirror: follow_advisories(mirror, queue, confirmed=confirmed))

    def start(self, plan: Plan | None) -> list[Run]:
        """Open the plan's runs and send their jobs."""

        async def start(mirror: Mirror) -> list[Run]:
            selecting = mirror
            with suppress(LedgerCorrupt):  # as the planner does
                selecting = await mirror.with_stored_lists()
            opened = await start_runs(plan, selecting, JobQueue(self.queue_url))
            return [await mirror.ledger.plan(run) for run in opened]

        return self.run(start)

    def plan(
        self,
        names: list[str] | None = None,
        *,
        force: bool = False,
        reset: bool = False,
        confirmed_removals: int = 0,
    ) -> list[Run]:
        """Plan and dispatch as the planner does at a tick, or for named projects."""
        plan = (
            self.dry_run(force=force, reset=reset, confirmed_removals=confirmed_removals)
            if names is None
            else plan_projects(names)
        )
        return self.start(plan)

    def work(self, *, last: bool = False) -> list[Disposition]:
        """Run each job on the queue once, and record the results."""

        async def work_all(mirror: Mirror) -> list[Disposition]:
            batch = await Batch.begin(mirror)
            dispositions: list[Disposition] = []
            for job in self.jobs():
                delivery = Delivery(job, 1, last=last, deadline=time.monotonic() + 60)
                disposition = await batch.work(delivery)
                dispositions.append(disposition)
                if isinstance(disposition, RetryLater):
                    await inbox.record(mirror.storage, [disposition.report])
                elif isinstance(disposition, Result):
                    await inbox.record(mirror.storage, [Report(job, disposition)])
            return dispositions

        return self.run(work_all)

    def finalize(self, *, dead: Sequence[Job] = ()) -> Finalized:
        """Finalize as the finalizer does at a tick."""
        return self.run(lambda mirror: finalize(mirror, dead=dead))

    def mirror_run(
        self,
        names: list[str] | None = None,
        *,
        force: bool = False,
        reset: bool = False,
        confirmed_removals: int = 0,
    ) -> Finalized:
        """Plan, run all jobs, and finalize."""
        self.plan(names, force=force, reset=reset, confirmed_removals=confirmed_removals)
        self.work(last=True)
        return self.finalize()

    def change_cursor(self, **fields: Any) -> None:
        """Set fields of the cursor."""

        async def change(mirror: Mirror) -> None:
            await mirror.ledger.change_cursor(
                lambda cursor: msgspec.structs.replace(cursor, **fields)
            )

        self.run(change)

    def cursor(self) -> Cursor:
        """Return the cursor."""
        return self.run(lambda mirror: mirror.ledger.cursor())

    def retry(self, names: list[str] | None = None) -> list[NormalizedName]:
        """Make lagging projects due."""
        return self.run(lambda mirror: retry(mirror, names))

    def jobs(self) -> Iterator[Job]:
        """Yield the jobs on the queue, and delete their messages."""
        while messages := self.sqs.receive_message(
            QueueUrl=self.queue_url, MaxNumberOfMessages=10
        ).get("Messages"):
            for message in messages:
                self.sqs.delete_message(
                    QueueUrl=self.queue_url, ReceiptHandle=message["ReceiptHandle"]
                )
                yield msgspec.json.decode(message["Body"], type=Job)

    def contents(self) -> dict[Key, bytes]:
        """Return all objects of the bucket by key."""
        return {key: self.read(key) for key in self.stored()}

    def stored(self, prefix: str = "") -> list[Key]:
        """Return the bucket's keys that begin with `prefix`."""
        lister = self.s3.get_paginator("list_objects_v2")
        pages = lister.paginate(Bucket=self.bucket, Prefix=prefix)
        return [Key(entry["Key"]) for page in pages for entry in page.get("Contents", ())]

    def read(self, key: str) -> bytes:
        """Return an object's bytes."""
        return self.s3.get_object(Bucket=self.bucket, Key=key)["Body"].read()

    def page(self, project: str) -> dict[str, Any]:
        """Return the mirror's JSON project page."""
        page: dict[str, Any] = json.loads(self.read(f"web/simple/{project}/index.v1_json"))
        return page

    def files(self) -> dict[Key, bytes]:
        """Return the distribution files in the bucket by key."""
        return {key: body for key, body in self.contents().items() if "web/packages/" in key}


async def sync_projects(config: Config, *projects: str) -> None:
    """Mirror projects into the storage of any configuration."""
    async with open_mirror(config) as mirror:
        for project in projects:
            attempt = Attempt(Job(RunId("run-1"), canonicalize_name(project), 0))
            result = await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
            assert result.error is None
