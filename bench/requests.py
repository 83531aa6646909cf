"""Count the worker's requests to S3 in the server that receives them.

    python -m bench.requests

Uses the local stack's worker, and moto as S3, which records its requests. Exits with status 1 if a
line exceeds what the design allows, or if the worker's own count differs.
"""

from __future__ import annotations

import sys
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench import jobs
from bench.recording import recording
from frumious.cost.requests import (
    BATCH_JOBS,
    BATCH_READS,
    BATCH_WRITES,
    MANIFEST,
    PAGES,
    REMOVED_FILES,
)
from frumious.model.jobs import AllowedRemoval
from localcloud import LocalCloud
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from bench.recording import RecordedRequest, Recording

BATCH = BATCH_READS + BATCH_WRITES  # reads the cursor and the snapshots, writes the reports
IDLE_BATCH = BATCH - 1  # without changed pages, nobody asks for snapshots
NEW = PAGES + MANIFEST + REMOVED_FILES  # a new project, without its files
FIRST_BATCH = 1  # of a process: reads the previous layout of pages
PROJECTS = BATCH_JOBS
KINDS = ("read", "file", "page", "state", "delete")


@dataclass(frozen=True, slots=True)
class Counted:
    """One batch's requests to S3 by kind, and the number that its worker reports."""

    text: str
    allowed: int | None  # None: no limit
    requests: Counter[str]
    reported: int

    @property
    def total(self) -> int:
        return self.requests.total()

    @property
    def verdict(self) -> str:
        if self.reported != self.total:
            return f"the worker reports {self.reported}"
        return "ok" if self.allowed is None or self.total <= self.allowed else "too many"

    @property
    def is_fine(self) -> bool:
        return self.verdict == "ok"


def main() -> int:
    console = Console(highlight=False)
    console.print("Counting requests ...")
    index = Index()
    with recording() as recorded, Server(index) as upstream:
        runtime = jobs.runtime(upstream.url)
        with LocalCloud(runtime=runtime) as cloud:
            counted = list(_measure(index, cloud, recorded))
    console.print(_table(counted))
    console.print(
        "Allowed: 1 for each new file, 4 pages and 1 read (the manifest) for each project; 1 read"
        " for an unchanged project, 2 for a new one. For a batch: the cursor is read, and the"
        " snapshots where a page changes, and its reports are written; a process reads once how"
        " pages were laid out before. For comparison: bandersnatch 8 makes about 10 for each file"
        " (42,413 for 4,301 files, into moto).",
        style="dim",
    )
    return 0 if all(row.is_fine for row in counted) else 1


def _measure(index: Index, cloud: LocalCloud, recorded: Recording) -> Iterator[Counted]:
    """Change upstream and run the worker; requests for removals have no limit."""

    def count(text: str, allowed: int | None, *projects: str) -> Counted:
        event = jobs.batch(
            projects,
            allowed_removal=AllowedRemoval.PROJECT if allowed is None else AllowedRemoval.NOTHING,
        )
        jobs.open_run(event, cloud.s3, cloud.bucket)
        recorded.pop_requests()
        before = cloud.logs.total("storage_requests")
        failed = cloud.logs.total("projects_failed")
        response = cloud.invoke(jobs.WORKER, event)
        if response["batchItemFailures"] or cloud.logs.total("projects_failed") != failed:
            lines = (line.fields or {} for line in cloud.logs.lines)
            reasons = [fields["error"] for fields in lines if "error" in fields]
            msg = f"the worker failed at {text!r}: {reasons}"
            raise RuntimeError(msg)
        reported = int(cloud.logs.total("storage_requests") - before)
        kinds = _kinds(recorded.pop_requests(), cloud.bucket)
        return Counted(text, allowed, kinds, reported)

    _upload(index, "one", range(1))
    yield count("new project of 1 file", 1 + NEW + BATCH + FIRST_BATCH, "one")
    _upload(index, "many", range(100))
    yield count("new project of 100 files", 100 + NEW + BATCH, "many")
    yield count("... unchanged", 1 + IDLE_BATCH, "many")
    _upload(index, "many", range(100, 101))
    yield count("... with one file more", 1 + PAGES + 1 + BATCH, "many")
    index.remove_file("many", _filename("many", 0))
    yield count("... with one file less", None, "many")
    yield count("... unchanged since then", 1 + IDLE_BATCH, "many")
    index.remove_project("many")
    yield count("... removed", None, "many")

    batch = [f"batch-{number}" for number in range(PROJECTS)]
    for project in batch:
        _upload(index, project, range(3))
    yield count(f"{PROJECTS} new projects of 3 files", PROJECTS * (3 + NEW) + BATCH, *batch)
    yield count(f"{PROJECTS} unchanged projects", PROJECTS + IDLE_BATCH, *batch)


def _upload(index: Index, project: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        index.add_file(project, _filename(project, number))


def _filename(project: str, number: int) -> str:
    return f"{project}-{number}.tar.gz"


def _kinds(requests: Iterable[RecordedRequest], bucket: str) -> Counter[str]:
    """Count the requests for objects of the bucket, by kind."""
    prefix = f"/{bucket}"
    return Counter(
        _kind(request.method, request.path.removeprefix(prefix))
        for request in requests
        if request.path.startswith(prefix)
    )


def _kind(method: str, key: str) -> str:
    match method:
        case "GET" | "HEAD":
            return "read"
        case "POST" | "DELETE":
            return "delete"
    if key.startswith("/web/packages/"):
        return "file"
    return "page" if key.startswith("/web/") else "state"


def _table(counted: Sequence[Counted]) -> Table:
    table = Table(title="Requests to S3", box=SIMPLE_HEAD, padding=0)
    table.add_column("One batch of jobs", no_wrap=True)
    for heading in (*KINDS, "all", "allowed", ""):
        table.add_column(heading, justify="right", no_wrap=True)
    for row in counted:
        table.add_row(
            row.text,
            *(str(row.requests[kind]) for kind in KINDS),
            str(row.total),
            "" if row.allowed is None else str(row.allowed),
            row.verdict,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
