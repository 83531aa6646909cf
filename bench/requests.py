"""How many requests the worker makes to S3, counted by the server that gets them.

    python -m bench.requests

The local stack's worker, moto as S3, and moto's own recording of what it was asked. Ends with 1
when a line is above what the design allows, or when the worker's own metric says another number.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench import jobs
from frumious.model.jobs import AllowedRemoval
from localcloud import LocalCloud
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

PAGES = 3  # of a project
BATCH = 3  # the cursor and the lagging projects are read, the reports are written
FIRST_BATCH = 1  # of a process: how pages were laid out before is read once
PROJECTS = 10  # in a batch
KINDS = ("read", "file", "page", "state", "delete")


@dataclass(frozen=True, slots=True)
class Counted:
    """What one batch asked of S3, by kind, and what its worker says that it asked."""

    text: str
    allowed: int | None  # None: nothing is promised
    requests: Counter[str]
    said: int

    @property
    def total(self) -> int:
        return self.requests.total()

    @property
    def verdict(self) -> str:
        if self.said != self.total:
            return f"the worker says {self.said}"
        return "ok" if self.allowed is None or self.total <= self.allowed else "too many"

    @property
    def is_fine(self) -> bool:
        return self.verdict == "ok"


class Recording:
    """What moto writes down of the requests that it gets: one JSON object in a line."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen = 0

    def since_last_time(self, bucket: str) -> Counter[str]:
        """Count the requests for objects of the bucket, by kind."""
        lines = self._path.read_text(encoding="utf-8").splitlines()
        new, self._seen = lines[self._seen :], len(lines)
        kinds: Counter[str] = Counter()
        for line in new:
            asked = json.loads(line)
            path = unquote(urlsplit(asked["url"]).path)
            if path.startswith(f"/{bucket}"):
                kinds[_kind(asked["method"], path.removeprefix(f"/{bucket}"))] += 1
        return kinds


def main() -> int:
    console = Console(highlight=False)
    console.print("Counting requests ...")
    index = Index()
    with _recording() as recording, Server(index) as upstream:
        runtime = jobs.runtime(upstream.url)
        with LocalCloud(runtime=runtime) as cloud:
            counted = list(_measure(index, cloud, recording))
    console.print(_table(counted))
    console.print(
        "Allowed: 1 for each new file, 3 pages and 1 read (the manifest) for each project; 1 read"
        " for an unchanged project. For a batch: the cursor and the list of lagging projects are"
        " read, and its reports are written; a process reads once how pages were laid out before."
        " For comparison: bandersnatch 8 makes about 10 for each file (42,413 for 4,301 files, into"
        " moto).",
        style="dim",
    )
    return 0 if all(one.is_fine for one in counted) else 1


def _measure(index: Index, cloud: LocalCloud, recording: Recording) -> Iterator[Counted]:
    """Let upstream change, and the worker follow; nothing limits what a removal costs."""

    def count(text: str, allowed: int | None, *projects: str) -> Counted:
        event = jobs.batch(
            projects,
            allowed_removal=AllowedRemoval.PROJECT if allowed is None else AllowedRemoval.NOTHING,
        )
        jobs.open_run(event, cloud.s3, cloud.bucket)
        recording.since_last_time(cloud.bucket)
        before = cloud.logs.total("storage_requests")
        failed = cloud.logs.total("projects_failed")
        answer = cloud.invoke(jobs.WORKER, event)
        if answer["batchItemFailures"] or cloud.logs.total("projects_failed") != failed:
            lines = (line.fields or {} for line in cloud.logs.lines)
            reasons = [fields["error"] for fields in lines if "error" in fields]
            msg = f"the worker failed at {text!r}: {reasons}"
            raise RuntimeError(msg)
        said = int(cloud.logs.total("storage_requests") - before)
        return Counted(text, allowed, recording.since_last_time(cloud.bucket), said)

    _upload(index, "one", range(1))
    yield count("new project of 1 file", 1 + PAGES + 1 + BATCH + FIRST_BATCH, "one")
    _upload(index, "many", range(100))
    yield count("new project of 100 files", 100 + PAGES + 1 + BATCH, "many")
    yield count("... unchanged", 1 + BATCH, "many")
    _upload(index, "many", range(100, 101))
    yield count("... with one file more", 1 + PAGES + 1 + BATCH, "many")
    index.remove_file("many", _filename("many", 0))
    yield count("... with one file less", None, "many")
    yield count("... unchanged since then", 1 + BATCH, "many")
    index.remove_project("many")
    yield count("... removed", None, "many")

    batch = [f"batch-{number}" for number in range(PROJECTS)]
    for project in batch:
        _upload(index, project, range(3))
    each = 3 + PAGES + 1
    yield count(f"{PROJECTS} new projects of 3 files", PROJECTS * each + BATCH, *batch)
    yield count(f"{PROJECTS} unchanged projects", PROJECTS + BATCH, *batch)


def _upload(index: Index, project: str, numbers: Sequence[int]) -> None:
    for number in numbers:
        index.add_file(project, _filename(project, number))


def _filename(project: str, number: int) -> str:
    return f"{project}-{number}.tar.gz"


@contextmanager
def _recording() -> Iterator[Recording]:
    """Have the moto that is started next write down what it is asked."""
    with tempfile.TemporaryDirectory(prefix="frumious-bench-") as folder:
        path = Path(folder, "requests.jsonl")
        path.touch()
        os.environ |= {"MOTO_ENABLE_RECORDING": "yes", "MOTO_RECORDER_FILEPATH": str(path)}
        yield Recording(path)


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
    for one in counted:
        table.add_row(
            one.text,
            *(str(one.requests[kind]) for kind in KINDS),
            str(one.total),
            "" if one.allowed is None else str(one.allowed),
            one.verdict,
        )
    return table


if __name__ == "__main__":
    sys.exit(main())
