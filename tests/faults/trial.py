"""One trial: rounds of changes and jobs under faults, a quiet phase, then the verdict."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from frumious.model.layout import CURSOR
from localcloud.environment import CHECKOUT
from localcloud.moto_server import MotoServer
from localcloud.stack_reader import read_stack
from tests.faults.bucket import OwnBucket
from tests.faults.chance import Chance
from tests.faults.changes import Changes
from tests.faults.history import History
from tests.faults.jobs import Jobs, Message
from tests.faults.kills import Moment, project_of
from tests.faults.pages import V1_JSON, page_key, read_page
from tests.faults.reader import Reader
from tests.faults.report import shape
from tests.faults.storage_proxy import StorageProxy
from tests.faults.upstream_faults import UpstreamFaults
from tests.faults.verdict import left_over, problems
from tests.faults.worker import Worker
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    from tests.upstream import Action, Request

_WORKERS = 2
_BATCH = 10
_CONFIG = """\
[mirror]
directory = /bucket
storage-backend = s3
allow-non-https = true
delete-after = 0
workers = 4
timeout = 2
global-timeout = 4
"""


# The whole handler fails when it cannot record the results; the batch is then redelivered.
_EXPECTED = re.compile(r"StorageUnavailable|Conflict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Size of the trial, and rates of faults.

    Attributes:
        jobs: Sent before the faults stop; each project then gets one more.
        changes: Upstream, in each round.
        kills: The share of batches in which a process is to be killed.
        upstream_faults: The share of requests upstream that fail.
        storage_faults: The share of requests to the storage that fail.
        duplicates: The share of messages that are redelivered although they were done.
    """

    seed: int
    jobs: int
    projects: int = 40
    changes: int = 16
    kills: float = 0.6
    upstream_faults: float = 0.2
    storage_faults: float = 0.07
    duplicates: float = 0.05


@dataclass(slots=True)
class Report:
    """What a trial found."""

    seed: int
    violations: list[str] = field(default_factory=list)
    never_named: list[str] = field(default_factory=list)  # left over by jobs that did not publish
    figures: dict[str, float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # why jobs failed or were retried


class Trial:
    """All participants, from the start to the verdict."""

    def __init__(
        self, settings: Settings, folder: Path, print_line: Callable[[str], None] = lambda _: None
    ) -> None:
        self.report = Report(settings.seed)
        self._settings = settings
        self._print_line = print_line
        self._chance = Chance(settings.seed)
        self._lock = threading.Lock()
        self._projects = [f"project-{number:02}" for number in range(settings.projects)]
        self._lagging: set[str] = set()  # as the finalizer would find; their next job is recovering
        self._runs: list[str] = []
        self._history = History()
        self._deliveries = self._duplicates = 0
        with ExitStack() as opened:
            moto = MotoServer()
            opened.callback(moto.stop)
            self._index = Index()
            self._changes = Changes(self._index, self._projects)
            self._upstream = opened.enter_context(Server(self._index))
            self._upstream_faults = UpstreamFaults(
                self._chance, self._index, settings.upstream_faults
            )
            stack = read_stack(CHECKOUT / "template.yaml", endpoint=moto.endpoint, parameters={})
            function = stack.functions["WorkerFunction"]
            self._jobs = Jobs(int(function.environment["FRUMIOUS_MAX_RECEIVES"]))
            self._bucket = stack.bucket
            self._own_bucket = OwnBucket(moto.endpoint, self._bucket)
            opened.callback(self._own_bucket.close)
            config = folder / "mirror.conf"
            config.write_text(_CONFIG)
            self._workers = []
            for _ in range(_WORKERS):
                proxy = StorageProxy(
                    moto.endpoint,
                    self._bucket,
                    self._chance,
                    settings.storage_faults,
                    self._on_change,
                )
                worker = Worker(function, config, self._upstream.url, proxy, self._on_line)
                opened.callback(worker.stop)
                self._workers.append(worker)
            self._reader = Reader(moto.endpoint, self._bucket, self._projects, self._violation)
            opened.callback(self._reader.stop)
            self._closing = opened.pop_all()

    def run(self) -> Report:
        """Run the trial; close everything afterwards."""
        started = time.monotonic()
        with self._closing:
            self._upstream.faults.inject = self._inject
            while self._jobs.sent < self._settings.jobs or len(self._jobs):
                self._round()
            seconds_under_faults = time.monotonic() - started
            self._run_quiet_phase()
            self._judge()
            self._count(seconds_under_faults)
        self.report.figures["seconds"] = round(time.monotonic() - started, 1)
        return self.report

    # Rounds

    def _round(self) -> None:
        self._chance.next_round()
        random = self._chance.of("round")
        if (wanted := self._settings.jobs - self._jobs.sent) > 0:
            changed = {self._changes.make(random) for _ in range(self._settings.changes)}
            named = set(random.sample(self._projects, 2))  # as if named by a user
            for project in sorted(changed | named)[:wanted]:
                serial = 0 if project not in changed else self._serial(project)
                self._send(f"run-{self._chance.round}", project, serial)
        self._deliver_all()
        if self._chance.round % 10 == 0:
            self._print_line(
                f"round {self._chance.round}: {self._jobs.sent} jobs,"
                f" {self._deliveries} deliveries, {len(self.report.violations)} violations"
            )

    def _serial(self, project: str) -> int:
        """Return the serial of a project's last event in the changelog."""
        return max(
            change.serial for change in self._index.changes_since(0) if change.name == project
        )

    def _send(self, run: str, project: str, serial: int) -> None:
        stored = self._own_bucket.get(page_key(project, V1_JSON))
        reached = read_page(page_key(project, V1_JSON), stored.body).serial if stored else 0
        allowed_removal = self._changes.allowed_removal(project, since=reached)
        recovering = project in self._lagging
        self._lagging.discard(project)
        self._jobs.send(
            run, project, serial, allowed_removal=allowed_removal, recovering=recovering
        )
        if run not in self._runs:  # it stays open: no finalizer runs here
            self._runs.append(run)
            body = {"serial": None, "version": 1, "runs": [{"run": each} for each in self._runs]}
            self._own_bucket.put(CURSOR, json.dumps(body).encode())

    def _deliver_all(self) -> None:
        """Deliver a batch to each worker, and wait for all of them."""
        random = self._chance.of("batches")
        batches: list[tuple[Worker, list[Message], Moment | None]] = []
        taken: set[str] = set()
        for worker in self._workers:
            batch = self._jobs.receive(random, _BATCH, taken)
            projects = sorted({message.project for message in batch})
            taken.update(projects)
            is_killed = batch and random.random() < self._settings.kills and self._under_faults
            batches.append((worker, batch, Moment.choose(random, projects) if is_killed else None))
        with ThreadPoolExecutor(_WORKERS) as pool:
            ended = [
                (batch, pool.submit(worker.deliver, batch, moment))
                for worker, batch, moment in batches
                if batch
            ]
        for batch, outcome in ended:
            self._settle(batch, outcome.result())

    @property
    def _under_faults(self) -> bool:
        return self._upstream.faults.inject is not None

    def _settle(self, batch: Sequence[Message], outcome: set[str] | str) -> None:
        """Delete done messages, except for a few; return the rest to the queue."""
        if isinstance(outcome, str):
            self.report.reasons[f"batch: {shape(outcome)}"] += 1
            if outcome != "killed" and not _EXPECTED.search(outcome):
                self._violation(f"a batch failed: {outcome}")
        failed = {message.id for message in batch} if isinstance(outcome, str) else outcome
        random = self._chance.of("settle", batch[0].id)
        for message in batch:
            self._deliveries += 1
            if message.id in failed:
                if self._jobs.return_message(message):
                    self._lagging.add(message.project)
            elif self._under_faults and random.random() < self._settings.duplicates:
                self._duplicates += 1
                self._jobs.return_message(message)
            else:
                self._jobs.delete(message)

    # Quiet phase

    def _run_quiet_phase(self) -> None:
        self._upstream.faults.clear()
        for worker in self._workers:
            worker.proxy.rate = 0
        self._chance.next_round()
        for project in self._projects:
            if project in self._changes.touched:
                self._send("run-last", project, self._serial(project))
        while len(self._jobs):
            self._deliver_all()

    def _judge(self) -> None:
        contents = self._own_bucket.contents()
        for problem in problems(self._index, self._upstream.url, self._projects, contents):
            self._violation(problem)
        for key in sorted(left_over(self._index, self._projects, contents)):
            if self._history.was_published(key) or key.startswith(("web/simple/", "web/gzip/")):
                self._violation(f"{key} is left over")
            else:
                self.report.never_named.append(key)

    # Callbacks of the participants, each from its own thread

    def _inject(self, request: Request) -> Action | None:
        for worker in self._workers:
            if request.project in worker.projects:
                worker.count_upstream_request(request.project)
        return self._upstream_faults(request)

    def _on_change(self, method: str, keys: list[str], body: bytes) -> None:
        for key in keys:
            self._history.take(method, key, body)
            project = project_of(key)
            if project is not None and key.startswith("web/"):
                self._reader.touch(project)

    def _on_line(self, text: str) -> None:
        if not text.strip():
            return
        try:
            entry: dict[str, Any] = json.loads(text)
        except ValueError:
            self._violation(f"a worker prints {text}")
            return
        if entry.get("message") == "project failed":
            with self._lock:
                self.report.reasons[f"job: {shape(entry['error'])}"] += 1
                if entry.get("retry") is None:
                    self._lagging.add(entry["project"])
        if "exception" in entry and not _EXPECTED.search(entry["exception"]):
            self._violation(f"unexpected error in a worker: {entry['exception']}")

    def _violation(self, text: str) -> None:
        with self._lock:
            self.report.violations.append(f"round {self._chance.round}: {text}")
        self._print_line(f"VIOLATION in round {self._chance.round}: {text}")

    def _count(self, seconds_under_faults: float) -> None:
        report = self.report
        report.changes = self._changes.made
        report.faults = self._upstream_faults.happened.copy()
        for worker in self._workers:
            report.faults += worker.proxy.happened
        report.figures = {
            "jobs": self._jobs.sent,
            "deliveries": self._deliveries,
            "duplicates": self._duplicates,
            "dead letters": self._jobs.dead,
            "rounds": self._chance.round,
            "kills": sum(worker.kills for worker in self._workers),
            "processes started": sum(worker.started for worker in self._workers),
            "faults": report.faults.total(),
            "changes upstream": report.changes.total(),
            "requests upstream": len(self._upstream.requests),
            "requests to the storage": sum(worker.proxy.requests for worker in self._workers),
            "pages read": self._reader.read["pages"],
            "files read": self._reader.read["files"],
            "seconds under faults": round(seconds_under_faults, 1),
        }
