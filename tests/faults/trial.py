"""One trial: rounds of changes and jobs under faults, then peace, then the verdict."""

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
from tests.faults.verdict import left_over, wrongs
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
workers = 4
timeout = 2
global-timeout = 4
"""


# The handler as a whole fails where the results cannot be recorded; the batch comes again then.
_FORESEEN = re.compile(r"StorageUnavailable|Conflict")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How much, and how bad.

    Attributes:
        jobs: Sent before the faults cease; each project gets one more then.
        changes: Upstream, in each round.
        kills: The share of batches in which a process is to be killed.
        upstream_faults: The share of requests upstream that something goes wrong with.
        storage_faults: The same of requests to the storage.
        duplicates: The share of messages that come again although they were done.
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
    never_named: list[str] = field(
        default_factory=list
    )  # left over of jobs that did not get to publish
    figures: dict[str, float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    reasons: Counter[str] = field(default_factory=Counter)  # why jobs failed or came again


class Trial:
    """Everything that takes part, from the start to the verdict."""

    def __init__(
        self, settings: Settings, folder: Path, tell: Callable[[str], None] = lambda _: None
    ) -> None:
        self.report = Report(settings.seed)
        self._settings = settings
        self._tell = tell
        self._chance = Chance(settings.seed)
        self._lock = threading.Lock()
        self._projects = [f"project-{number:02}" for number in range(settings.projects)]
        self._lagging: set[str] = set()  # as the finalizer would find: their next job knows it
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
            self._eye = OwnBucket(moto.endpoint, self._bucket)
            opened.callback(self._eye.close)
            config = folder / "mirror.conf"
            config.write_text(_CONFIG)
            self._workers = []
            for _ in range(_WORKERS):
                proxy = StorageProxy(
                    moto.endpoint,
                    self._bucket,
                    self._chance,
                    settings.storage_faults,
                    self._take_change,
                )
                worker = Worker(function, config, self._upstream.url, proxy, self._take_line)
                opened.callback(worker.stop)
                self._workers.append(worker)
            self._reader = Reader(moto.endpoint, self._bucket, self._projects, self._violation)
            opened.callback(self._reader.stop)
            self._closing = opened.pop_all()

    def run(self) -> Report:
        """Go through with it; everything is closed afterwards."""
        started = time.monotonic()
        with self._closing:
            self._upstream.faults.inject = self._inject
            while self._jobs.sent < self._settings.jobs or len(self._jobs):
                self._round()
            under_faults = time.monotonic() - started
            self._make_peace()
            self._judge()
            self._count(under_faults)
        self.report.figures["seconds"] = round(time.monotonic() - started, 1)
        return self.report

    # Rounds

    def _round(self) -> None:
        self._chance.next_round()
        random = self._chance.of("round")
        if (wanted := self._settings.jobs - self._jobs.sent) > 0:
            changed = {self._changes.make(random) for _ in range(self._settings.changes)}
            named = set(random.sample(self._projects, 2))  # as if somebody had asked for them
            for project in sorted(changed | named)[:wanted]:
                serial = 0 if project not in changed else self._serial(project)
                self._send(f"run-{self._chance.round}", project, serial)
        self._deliver_all()
        if self._chance.round % 10 == 0:
            self._tell(
                f"round {self._chance.round}: {self._jobs.sent} jobs,"
                f" {self._deliveries} deliveries, {len(self.report.violations)} violations"
            )

    def _serial(self, project: str) -> int:
        """Return the serial of a project's last event, as the changelog has it."""
        return max(
            change.serial for change in self._index.changes_since(0) if change.name == project
        )

    def _send(self, run: str, project: str, serial: int) -> None:
        held = self._eye.get(page_key(project, V1_JSON))
        reached = read_page(page_key(project, V1_JSON), held.body).serial if held else 0
        allowed_removal = self._changes.loss(project, since=reached)
        again = project in self._lagging
        self._lagging.discard(project)
        self._jobs.send(run, project, serial, allowed_removal=allowed_removal, again=again)
        if run not in self._runs:  # it stays open: nobody finalizes here
            self._runs.append(run)
            body = {"serial": None, "version": 1, "runs": [{"run": each} for each in self._runs]}
            self._eye.put(CURSOR, json.dumps(body).encode())

    def _deliver_all(self) -> None:
        """Hand each worker a batch, and wait for both."""
        random = self._chance.of("batches")
        batches: list[tuple[Worker, list[Message], Moment | None]] = []
        taken: set[str] = set()
        for worker in self._workers:
            batch = self._jobs.receive(random, _BATCH, taken)
            projects = sorted({message.project for message in batch})
            taken.update(projects)
            doomed = batch and random.random() < self._settings.kills and self._at_war
            batches.append((worker, batch, Moment.choose(random, projects) if doomed else None))
        with ThreadPoolExecutor(_WORKERS) as pool:
            ended = [
                (batch, pool.submit(worker.deliver, batch, moment))
                for worker, batch, moment in batches
                if batch
            ]
        for batch, outcome in ended:
            self._settle(batch, outcome.result())

    @property
    def _at_war(self) -> bool:
        return self._upstream.faults.inject is not None

    def _settle(self, batch: Sequence[Message], outcome: set[str] | str) -> None:
        """Delete what was done, now and then not even that; the rest comes again."""
        if isinstance(outcome, str):
            self.report.reasons[f"batch: {shape(outcome)}"] += 1
            if outcome != "killed" and not _FORESEEN.search(outcome):
                self._violation(f"a batch failed: {outcome}")
        failed = {message.id for message in batch} if isinstance(outcome, str) else outcome
        random = self._chance.of("settle", batch[0].id)
        for message in batch:
            self._deliveries += 1
            if message.id in failed:
                if self._jobs.give_back(message):
                    self._lagging.add(message.project)
            elif self._at_war and random.random() < self._settings.duplicates:
                self._duplicates += 1
                self._jobs.give_back(message)
            else:
                self._jobs.delete(message)

    # Peace

    def _make_peace(self) -> None:
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
        contents = self._eye.contents()
        for wrong in wrongs(self._index, self._upstream.url, self._projects, contents):
            self._violation(wrong)
        for key in sorted(left_over(self._index, self._projects, contents)):
            if self._history.was_published(key) or key.startswith("web/simple/"):
                self._violation(f"{key} is left over")
            else:
                self.report.never_named.append(key)

    # What the others tell, each from a thread of its own

    def _inject(self, request: Request) -> Action | None:
        for worker in self._workers:
            if request.project in worker.projects:
                worker.asks_upstream(request.project)
        return self._upstream_faults(request)

    def _take_change(self, method: str, keys: list[str], body: bytes) -> None:
        for key in keys:
            self._history.take(method, key, body)
            project = project_of(key)
            if project is not None and key.startswith("web/"):
                self._reader.touch(project)

    def _take_line(self, text: str) -> None:
        if not text.strip():
            return
        try:
            said: dict[str, Any] = json.loads(text)
        except ValueError:
            self._violation(f"a worker prints {text}")
            return
        if said.get("message") == "project failed":
            with self._lock:
                self.report.reasons[f"job: {shape(said['error'])}"] += 1
                if said.get("retry") is None:
                    self._lagging.add(said["project"])
        if "exception" in said and not _FORESEEN.search(said["exception"]):
            self._violation(f"a worker did not foresee {said['exception']}")

    def _violation(self, text: str) -> None:
        with self._lock:
            self.report.violations.append(f"round {self._chance.round}: {text}")
        self._tell(f"VIOLATION in round {self._chance.round}: {text}")

    def _count(self, under_faults: float) -> None:
        report = self.report
        report.changes = self._changes.made
        report.faults = self._upstream_faults.happened.copy()
        for worker in self._workers:
            report.faults += worker.proxy.happened
        report.figures = {
            "jobs": self._jobs.sent,
            "deliveries": self._deliveries,
            "duplicates": self._duplicates,
            "buried after too many receives": self._jobs.dead,
            "rounds": self._chance.round,
            "kills": sum(worker.kills for worker in self._workers),
            "processes started": sum(worker.started for worker in self._workers),
            "faults": report.faults.total(),
            "changes upstream": report.changes.total(),
            "requests upstream": len(self._upstream.requests),
            "requests to the storage": sum(worker.proxy.requests for worker in self._workers),
            "pages read": self._reader.read["pages"],
            "files read": self._reader.read["files"],
            "seconds under faults": round(under_faults, 1),
        }
