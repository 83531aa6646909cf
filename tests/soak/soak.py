"""One soak: rounds of changes, ticks and jobs under faults, a quiet phase, then the verdict."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import Counter
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any

from localcloud.environment import CHECKOUT
from localcloud.moto_server import MotoServer
from localcloud.stack_reader import read_stack
from tests.faults.bucket import OwnBucket
from tests.faults.chance import Chance
from tests.faults.history import History
from tests.faults.kills import project_of
from tests.faults.pages import V1_JSON, page_key
from tests.faults.report import shape
from tests.faults.verdict import left_over, problems
from tests.soak import verdict
from tests.soak.diff_files import unreported
from tests.soak.gateway import Fate, Gateway
from tests.soak.process import Outcome, Process
from tests.soak.project_log import ProjectLog
from tests.soak.queue import Queue
from tests.soak.turns import Turns
from tests.soak.upstream import SoakChanges, SoakUpstreamFaults
from tests.soak.witness import CURSOR, STATUS, Reader, Watch, Witness
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path
    from random import Random

    from tests.faults.jobs import Message

_PLANNERS = _FINALIZERS = 2
_BATCH = 10
# In rounds. All projects are compared and swept within a day; the sweep does not know quarantined
# projects beforehand and takes longer for them.
_MIN_QUIET_ROUNDS = 6
_MAX_QUIET_ROUNDS = 20
_HOUR = 3600.0
_CONFIG = """\
[mirror]
directory = /bucket
allow-non-https = true
delete-after = 0
workers = 4
timeout = {timeout}
global-timeout = 4
run-deadline = 3600
diff-file = {{{{mirror_directory}}}}/mirrored-files
sweep-days = 1
diff-append-epoch = {epoch}
"""
_PAUSES = (60.0, 60.0, 300.0, 900.0, 2 * _HOUR)  # between two rounds, by the soak's clock
# Errors with which a tick or a batch may fail under faults; the next one retries.
_EXPECTED = re.compile(
    r"(StorageUnavailable|Conflict|UpstreamUnavailable|Overloaded|TooSlow|_RateLimited"
    r"|QueueUnavailable|InvalidPage)\b"
)
_EXPECTED_WHEN_QUIET = re.compile(r"^Conflict\b")  # by a tick that slept until now
# What the runtime client prints when a handler raises, and Powertools when it has no metrics.
_FAILING = re.compile(r"^\[ERROR\]|UserWarning: No application metrics|flush_metrics\(")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Length of the soak, and rates of faults.

    Attributes:
        minutes, runs: Under faults; the soak continues until both are reached.
        changes: Upstream, in each round, in addition to those between two requests.
        kills: The share of invocations that are killed at one of their writes.
        sleeps: The share of ticks that fall asleep for some rounds.
        upstream_faults: The share of requests upstream that fail.
        storage_faults: The share of requests to the storage, and to the queue, that fail.
        messages: The share of messages that are lost, doubled or refused.
    """

    seed: int
    minutes: float = 20
    runs: int = 200
    projects: int = 40
    workers: int = 2
    changes: int = 5
    kills: float = 0.3
    sleeps: float = 0.15
    upstream_faults: float = 0.12
    storage_faults: float = 0.03
    messages: float = 0.06


@dataclass(slots=True)
class Report:
    """What a soak found."""

    seed: int
    violations: list[str] = field(default_factory=list)
    never_named: list[str] = field(default_factory=list)
    figures: dict[str, float] = field(default_factory=dict)
    faults: Counter[str] = field(default_factory=Counter)
    changes: Counter[str] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)  # by write
    reasons: Counter[str] = field(default_factory=Counter)  # why ticks and batches failed


class Soak:
    """All participants, from the start to the verdict."""

    def __init__(
        self, settings: Settings, folder: Path, print_line: Callable[[str], None] = lambda _: None
    ) -> None:
        self.report = Report(settings.seed)
        self._settings = settings
        self._print_line = print_line
        self._chance = Chance(settings.seed)
        self._lock = threading.Lock()
        self._turns = Turns()
        self._history = History()
        self._project_log = ProjectLog()
        self._ahead = 0.0  # seconds by which the soak's clock is ahead
        self._under_faults = True
        self._asleep: dict[str, int] = {}  # name -> the round in which it wakes
        self._fates: dict[str, Fate] = {}
        self._runs: set[str] = set()
        self._confirmed_removals = 0  # allowed in the next planner's tick
        self._counts: Counter[str] = Counter()
        projects = [f"project-{number:02}" for number in range(settings.projects)]
        self._projects = projects
        with ExitStack() as opened:
            moto = MotoServer()
            opened.callback(moto.stop)
            self._index = Index()
            self._changes = SoakChanges(self._index, projects)
            self._upstream = opened.enter_context(Server(self._index))
            self._upstream_faults = SoakUpstreamFaults(
                self._chance, self._index, settings.upstream_faults
            )
            self._upstream.faults.inject = self._upstream_faults
            self._witness = Witness(self._index, self._violation)
            stack = read_stack(CHECKOUT / "template.yaml", endpoint=moto.endpoint, parameters={})
            max_receives = int(
                stack.functions["WorkerFunction"].environment["FRUMIOUS_MAX_RECEIVES"]
            )
            self._queue = Queue(max_receives, self._chance, settings.messages)
            self._bucket = stack.bucket
            self._own_bucket = OwnBucket(moto.endpoint, self._bucket)
            opened.callback(self._own_bucket.close)
            self._appends = self._chance.of("config").random() < 0.5
            epoch = str(self._appends).lower()
            for name, timeout in (("ticks", 600), ("jobs", 2)):  # ticks may sleep
                text = _CONFIG.format(epoch=epoch, timeout=timeout)
                (folder / f"{name}.conf").write_text(text)

            def start_process(kind: str, number: int) -> Process:
                name = f"{kind}-{number}"
                ticks = kind != "worker"
                gateway = Gateway(
                    name,
                    moto.endpoint,
                    self._bucket,
                    chance=self._chance,
                    rate=settings.storage_faults,
                    on_change=partial(self._on_change, name),
                    queue=self._queue,
                    turns=self._turns if ticks else None,
                )
                process = Process(
                    stack.functions[f"{kind.title()}Function"],
                    folder / ("ticks.conf" if ticks else "jobs.conf"),
                    self._upstream.url,
                    gateway,
                    self._on_line,
                    read_timeout=600 if ticks else 2,  # ticks may sleep
                    on_end=(lambda: self._turns.leave(name)) if ticks else (lambda: None),
                )
                opened.callback(process.stop)
                return process

            self._planners = [start_process("planner", number) for number in range(_PLANNERS)]
            self._finalizers = [start_process("finalizer", number) for number in range(_FINALIZERS)]
            self._workers = [start_process("worker", number) for number in range(settings.workers)]
            self._reader = Reader(moto.endpoint, self._bucket, projects, self._violation)
            opened.callback(self._reader.stop)
            self._watch = Watch(moto.endpoint, self._bucket, self._violation)
            opened.callback(self._watch.stop)
            self._closing = opened.pop_all()

    def run(self) -> Report:
        """Run the soak; close everything afterwards."""
        started = time.monotonic()
        settings = self._settings
        with self._closing:
            while (
                time.monotonic() < started + settings.minutes * 60
                or len(self._runs) < settings.runs
            ):
                self._round()
            seconds_under_faults = time.monotonic() - started
            self._run_quiet_phase()
            self._judge()
            self._count(seconds_under_faults)
        self.report.figures["seconds"] = round(time.monotonic() - started, 1)
        return self.report

    # Rounds

    @property
    def _ticking(self) -> Sequence[Process]:
        return [*self._planners, *self._finalizers]

    def _round(self) -> None:
        self._chance.next_round()
        random = self._chance.of("round")
        self._ahead += random.choice(_PAUSES)
        for _ in range(random.randrange(2 * self._settings.changes)):
            self._changes.make(random)
        if random.random() < 0.3:
            self._queue.repeat(random)
        if random.random() < 0.05:
            self._queue.redrive()
        self._queue.release_dead_letters()
        for process in self._ticking:
            if process.running is None and random.random() < 0.75:
                event = self._planners_event(random) if process in self._planners else {}
                self._begin(process, event, self._fate(random, ticks=True))
        self._take_turns(random)
        for _ in range(random.randrange(1, 4)):
            self._deliver(self._chance.of("batches"))
        if self._chance.round % 10 == 0:
            self._print_line(
                f"round {self._chance.round}: {len(self._runs)} runs, {self._queue.sent} jobs,"
                f" {self._counts['deliveries']} deliveries,"
                f" {len(self.report.violations)} violations"
            )

    def _planners_event(self, random: Random) -> dict[str, Any]:
        """Choose a planner's event: mostly a tick."""
        if self._confirmed_removals:
            confirmed_removals, self._confirmed_removals = self._confirmed_removals, 0
            return {"confirm_removals": confirmed_removals}
        named = {"projects": sorted(random.sample(self._projects, 2))}
        odd: list[dict[str, Any]] = [named, {"retry": True}, {"dry_run": True}]
        if random.random() < 0.1:
            odd.append({"force_check": True})
        return random.choice(odd) if random.random() < 0.15 else {}

    def _fate(self, random: Random, *, ticks: bool) -> Fate:
        killed = random.random() < self._settings.kills
        sleeps = ticks and random.random() < self._settings.sleeps
        return Fate(
            killed_at=random.randint(1, 12) if killed else 0,
            after=random.random() < 0.5,
            sleeps_at=random.randint(2, 16) if sleeps else 0,
            sleeps=random.randint(1, 4),
        )

    def _begin(self, process: Process, event: dict[str, Any], fate: Fate) -> None:
        self._fates[process.name] = fate
        self._turns.enter(process.name)
        process.begin(event, fate, self._ahead)

    def _take_turns(self, random: Random) -> None:
        """Let planners and finalizers proceed by request until all have ended or sleep."""
        now = self._chance.round
        by_name = {process.name: process for process in self._ticking}
        weights = {name: random.choice([1, 1, 5, 20]) for name in by_name}
        self._asleep = {name: until for name, until in self._asleep.items() if until > now}
        while True:
            waiting = self._turns.waiting()
            for process in self._ticking:
                self._collect_outcome(process)
            for name in waiting:
                fate = self._fates[name]
                if (
                    by_name[name].gateway.invocation_requests + 1 == fate.sleeps_at
                    and self._under_faults
                ):
                    self._fates[name] = Fate()  # it continues from here when it wakes
                    self._asleep[name] = now + fate.sleeps
                    self._counts["ticks that slept"] += 1
            awake = [name for name in waiting if name not in self._asleep]
            if awake:
                if self._under_faults and random.random() < 0.02:
                    self._changes.make(random)
                (name,) = random.choices(awake, [weights[name] for name in awake])
                self._turns.give(name)
            elif all(p.running is None or p.name in self._asleep for p in self._ticking):
                return
            else:
                time.sleep(0.002)  # a process starts, ends or waits for upstream

    def _collect_outcome(self, process: Process) -> None:
        """Record how a tick ended, if it did."""
        outcome = process.take()
        if outcome is None:
            return
        kind = process.name.partition("-")[0]
        self._counts[f"{kind}s' ticks"] += 1
        if outcome.killed or outcome.error:
            self._take_failure(kind, outcome)
        elif kind == "planner":
            self._take_plan(outcome)
        else:
            self._counts["runs closed"] += len(outcome.response["closed"])

    def _take_plan(self, outcome: Outcome) -> None:
        response = outcome.response
        if "stopped" in response:
            self._counts["ticks that stopped before too many removals"] += 1
            self._confirmed_removals = int(response["removals"])
        if "dry_run" in outcome.event and outcome.writes and "plan" in response:
            self._violation(f"a dry run made {outcome.writes} writes")
        runs = response.get("runs") or ([response["run"]] if response.get("run") else [])
        self._runs.update(runs)

    def _take_failure(self, kind: str, outcome: Outcome) -> None:
        reason = "killed" if outcome.killed else shape(outcome.error)
        self.report.reasons[f"{kind}: {reason}"] += 1
        expected = _EXPECTED if self._under_faults else _EXPECTED_WHEN_QUIET
        if not outcome.killed and not expected.search(outcome.error):
            self._violation(f"a {kind} failed at {outcome.event}: {outcome.error}")

    def _deliver(self, random: Random) -> None:
        """Deliver a batch to each worker, and wait for all of them."""
        taken: set[str] = set()
        batches: list[tuple[Process, list[Message]]] = []
        for worker in self._workers:
            batch = self._queue.receive(random, _BATCH, taken)
            if not batch:
                continue
            taken.update(message.project for message in batch)
            for message in batch:
                text = f"{worker.name}: receives {message.body}, delivery {message.receives}"
                self._project_log.note(self._chance.round, text, message.project)
            fate = self._fate(random, ticks=False) if self._under_faults else Fate()
            worker.begin({"Records": [each.record() for each in batch]}, fate, self._ahead)
            batches.append((worker, batch))
        for worker, batch in batches:
            assert worker.running is not None
            worker.running.result()
            outcome = worker.take()
            assert outcome is not None
            self._settle(batch, outcome)

    def _settle(self, batch: Sequence[Message], outcome: Outcome) -> None:
        """Delete done messages, except for a few; return the rest to the queue."""
        failed = {message.id for message in batch}
        if outcome.killed or outcome.error:
            self._take_failure("worker", outcome)
            text = f"its worker ends: {outcome.error or 'killed'}"
            self._project_log.note(self._chance.round, text, *{each.project for each in batch})
        else:
            failed = {
                failure["itemIdentifier"] for failure in outcome.response["batchItemFailures"]
            }
        random = self._chance.of("settle", batch[0].project)
        for message in batch:
            self._counts["deliveries"] += 1
            if message.id in failed:
                self._queue.return_message(message)
            elif self._under_faults and random.random() < self._settings.messages:
                self._counts["deliveries that were repeated"] += 1
                self._queue.return_message(message)
            else:
                self._queue.delete(message)

    # Quiet phase

    def _run_quiet_phase(self) -> None:
        """Stop the faults, and run ticks until no run is open and no project lags."""
        self._wake_all()
        self._under_faults = False
        self._upstream.faults.clear()
        self._queue.rate = 0
        for process in (*self._ticking, *self._workers):
            process.gateway.rate = 0
        while True:
            self._chance.next_round()
            self._counts["quiet rounds"] += 1
            self._ahead += 9 * _HOUR  # more than the longest pause; three make a day
            self._queue.release_dead_letters()
            for process in self._ticking[::_PLANNERS]:  # one planner, one finalizer
                if process.running is None:
                    event: dict[str, Any] = {}
                    if process in self._planners and self._confirmed_removals:
                        event, self._confirmed_removals = (
                            {"confirm_removals": self._confirmed_removals},
                            0,
                        )
                    self._begin(process, event, Fate())
                    self._take_turns(self._chance.of("turns"))
            while len(self._queue):
                self._deliver(self._chance.of("batches"))
            unfinished = self._unfinished()
            if self._counts["quiet rounds"] >= _MIN_QUIET_ROUNDS and not unfinished:
                return
            if self._counts["quiet rounds"] == _MAX_QUIET_ROUNDS:
                self._violation(f"after {_MAX_QUIET_ROUNDS} quiet rounds {unfinished}")
                return

    def _wake_all(self) -> None:
        """Let the ticks end that sleep: the request of such a one may have taken too long."""
        self._fates = {name: Fate() for name in self._fates}
        self._asleep.clear()
        self._take_turns(self._chance.of("turns"))

    def _unfinished(self) -> str:
        """Describe what is unfinished; return an empty string when nothing is."""
        last = self._witness.last
        runs = json.loads(last.get(CURSOR, b'{"runs": []}'))["runs"]
        if runs:
            return f"{len(runs)} runs are open"
        if lagging := self._witness.lagging():
            return f"{sorted(lagging)} lag"
        if int(last.get(STATUS, b"") or b"0") != self._index.serial:
            return f"status is {last.get(STATUS)!r}, and upstream's serial {self._index.serial}"
        return ""

    def _judge(self) -> None:
        contents = self._own_bucket.contents()
        known = [name for name in self._projects if not self._was_never_listed(name)]
        for problem in problems(self._index, self._upstream.url, known, contents):
            self._violation(problem)
        for problem in verdict.root_problems(self._index, contents):
            self._violation(problem)
        for key in sorted(left_over(self._index, self._projects, contents)):
            if self._history.was_published(key) or key.startswith(("web/simple/", "web/gzip/")):
                self._violation(f"{key} is left over")
            else:
                self.report.never_named.append(key)
        diffs = [(key, body) for key, body in contents.items() if key.startswith("mirrored-files")]
        if not self._appends:  # each was overwritten by the next one
            diffs = self._witness.diffs
        published = self._witness.published
        for problem in unreported(diffs, self._bucket, contents.keys(), published):
            self._violation(problem)

    def _was_never_listed(self, project: str) -> bool:
        """Say whether a project was quarantined before the mirror could discover it."""
        view = self._index.project(project)
        page = page_key(project, V1_JSON)
        return (
            view is not None
            and view.status == "quarantined"
            and page not in self._witness.published
        )

    # Callbacks of the participants, each from its own thread

    def _on_change(self, observer: str, method: str, keys: list[str], body: bytes) -> None:
        done = "DELETE" if method == "POST" else method
        for key in keys:
            self._project_log.take(self._chance.round, observer, done, key, body)
            self._history.take(done, key, body)
            self._witness.take(done, key, body)
            project = project_of(key)
            if project is not None and key.startswith("web/"):
                self._reader.touch(project)

    def _on_line(self, text: str) -> None:
        if not text.strip():
            return
        try:
            entry: dict[str, Any] = json.loads(text)
        except ValueError:
            if not _FAILING.search(text):  # `_collect_outcome` judges how an invocation ended
                self._violation(f"a function prints {text}")
            return
        if entry.get("message") == "project failed":
            with self._lock:
                self.report.reasons[f"job: {shape(entry['error'])}"] += 1
            text = f"its job fails: {entry['error']}"
            self._project_log.note(self._chance.round, text, entry["project"])
        if "exception" in entry and not _EXPECTED.search(entry["exception"]):
            self._violation(f"unexpected error: {entry['exception']}")

    def _violation(self, text: str) -> None:
        with self._lock:
            self.report.violations.append(f"round {self._chance.round}: {text}")
        self._print_line(f"VIOLATION in round {self._chance.round}: {text}")
        for line in self._project_log.of(text):
            self._print_line(line)

    def _count(self, seconds_under_faults: float) -> None:
        report = self.report
        processes = (*self._ticking, *self._workers)
        report.changes = self._changes.made
        report.faults = self._upstream_faults.happened + self._queue.happened
        for process in processes:
            report.faults += process.gateway.happened
            report.kills += process.gateway.targets
            for target in process.gateway.unexpected:
                self._violation(f"{process.name} calls {target}, which the soak does not know")
        report.figures = {
            "runs": len(self._runs),
            "jobs": self._queue.sent,
            **dict(sorted(self._counts.items())),
            "dead letters": self._queue.dead,
            "pages published after their run was closed": self._witness.belated.total(),
            "rounds": self._chance.round,
            "days of the soak's clock": round(self._ahead / 24 / _HOUR, 1),
            "kills": report.kills.total(),
            "processes started": sum(process.started for process in processes),
            "changes upstream": report.changes.total(),
            "requests upstream": len(self._upstream.requests),
            "requests to AWS": sum(process.gateway.requests for process in processes),
            "project pages read": self._reader.read["pages"],
            "files read": self._reader.read["files"],
            "reads of status, root index, cursor": self._watch.marks.checks.total(),
            "seconds under faults": round(seconds_under_faults, 1),
        }
