"""What runs in a history: the functions of the stack or the command, and what they meet."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import cache
from typing import TYPE_CHECKING, Any

from msgspec.structs import asdict

from frumious.cli.findings import Verified
from frumious.config import loading
from frumious.mirror import Mirror
from frumious.model.plans import Plan
from frumious_lambda.planner import Planner
from tests.simulation import functions
from tests.simulation.functions import Verification
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import MASTER, Network, simulated_upstream, without_sessions
from tests.simulation.process import Killed, Process
from tests.simulation.queue import Queues, SimulatedDeadLetterQueue, SimulatedJobQueue
from tests.simulation.seen import Kind, Violation
from tests.simulation.storage import Disk, MemoryStorage
from tests.upstream.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from frumious.config.settings import Config
    from frumious.upstream.client import Client
    from frumious_lambda.planner_event import PlannerEvent
    from tests.simulation.process import Fate
    from tests.simulation.queue import Message
    from tests.simulation.witness import Witness

_TIMEOUT = 900.0  # seconds of a function
# Errors that may end a planner, a finalizer or the command while something is wrong.
_EXPECTED = frozenset(
    {"StorageUnavailable", "Conflict", "UpstreamUnavailable", "QueueUnavailable", "InvalidPage"}
    | {"_RateLimited", "Overloaded", "TooSlow", "NoChangelog"}
)
_CONFIG = f"""\
[mirror]
master = {MASTER}
directory = /mirror
workers = 4
run-deadline = 3600
sweep-days = 1
diff-file = {{{{mirror_directory}}}}/mirrored-files
"""


@dataclass(slots=True)
class Slot:
    """A function of the stack, or the command, of which one process works at a time."""

    kind: str
    name: str
    process: Process | None = None  # a warm one, or the one at work
    mirror: Mirror | None = None
    planner: Planner | None = None  # of that process
    running: bool = False
    wakes: int = 0  # the step at which a process that stands still goes on
    leased: set[str] = field(default_factory=set)  # receipts of messages


class Stack:
    """The processes of a mirror, their storage, queue and upstream."""

    def __init__(self, log: Callable[[str], None], *, in_lambda: bool, is_bucket: bool) -> None:
        self._log = log
        self.loop = SimulatedLoop()
        self.loop.set_exception_handler(lambda *_: None)  # of tasks that nobody awaits any more
        self.index = Index()
        self._network = Network(self.index)
        self._queues = Queues(self.loop)
        self._in_lambda = in_lambda
        self._backend = "s3" if is_bucket else "filesystem"
        self._config: Config
        self._client: Client
        self._disk = self._diffs = Disk(is_bucket=is_bucket)
        self.witness: Witness
        kinds = ("planner", "worker", "finalizer") if in_lambda else ("command",)
        count = 2 if in_lambda else 1
        self._slots = {
            kind: [Slot(kind, f"{kind} {number}") for number in range(1, count + 1)]
            for kind in kinds
        }
        if in_lambda:
            self._slots["auditor"] = [Slot("auditor", "auditor")]
        self._active = 0  # processes at work that do not stand still
        self._step = 0
        self._broken: dict[str, bytes] = {}  # key -> its damaged body: until an operator repairs it
        self._plan = Plan()  # the last one

    def _configure_mirror(self, *options: str) -> None:
        self._config, self._client = _configured(self._backend, *options)

    def close(self) -> None:
        """End all processes."""
        self._active = len(self._slots) * 2 + 1  # so that none of them stops the loop
        for slots in self._slots.values():
            for slot in slots:
                if slot.process is not None:
                    slot.process.dead = True
                    slot.process.thaw()
        if tasks := asyncio.all_tasks(self.loop):
            for task in tasks:
                task.cancel()
            self.loop.run_until_complete(asyncio.wait(tasks))
        self.loop.close()
        # Without cycles, nobody has to look for what is left of a history.
        self._disk.forget()
        self._diffs.forget()
        for slots in self._slots.values():
            for slot in slots:
                if slot.process is not None:
                    slot.process.forget()
        vars(self).clear()

    def _pass(self, seconds: float) -> None:
        self._log(f"{seconds:.0f} seconds pass")
        self.loop.elapsed += seconds

    def _receive(self, count: int) -> list[Message]:
        for slot in self._slots["worker"]:
            self._queues.prolong(slot.leased)
        return self._queues.receive(count)

    def _begin_planner(self, slot: Slot, fate: Fate, event: PlannerEvent) -> None:
        process, mirror = self._process(slot, fate)
        slot.planner = slot.planner or Planner(SimulatedJobQueue(self._queues, process))
        self._begin(slot, functions.plan(event, mirror, slot.planner), _shown(event))

    def _begin_worker(self, slot: Slot, fate: Fate, messages: list[Message]) -> None:
        process, mirror = self._process(slot, fate)
        slot.leased = {message.receipt for message in messages}
        queue = SimulatedJobQueue(self._queues, process)
        jobs = ", ".join(message.group for message in messages)
        self._begin(slot, functions.work(messages, slot.leased, mirror, queue, self._queues), jobs)

    def _begin_finalizer(self, slot: Slot, fate: Fate) -> None:
        process, mirror = self._process(slot, fate)
        dead_letter_queue = SimulatedDeadLetterQueue(self._queues, process)
        self._begin(slot, functions.finalize(mirror, dead_letter_queue), "")

    def _begin_auditor(self, slot: Slot, fate: Fate) -> None:
        _, mirror = self._process(slot, fate)
        self._begin(slot, functions.audit(mirror), "")

    def _begin_command(self, slot: Slot, fate: Fate, request: PlannerEvent | Verification) -> None:
        slot.process = None
        _, mirror = self._process(slot, fate)
        self.witness.repairs = self.witness.repairs or isinstance(request, Verification)
        self._begin(slot, functions.command(request, mirror), _shown(request))

    def _process(self, slot: Slot, fate: Fate) -> tuple[Process, Mirror]:
        """Return the slot's warm process, or a new one, and its mirror."""
        process, mirror = slot.process, slot.mirror
        if process is None or mirror is None or mirror.config is not self._config:
            process = Process(slot.name, self.loop, self._log)
            process.on_freeze = lambda: self._freeze(slot)
            storage = MemoryStorage(self._disk, process)
            upstream = simulated_upstream(self._config, self._client, self._network, process)
            diffs = MemoryStorage(self._diffs, process)
            mirror = Mirror.of(self._config, process.clock, upstream, storage, diffs)
            slot.process, slot.mirror, slot.planner = process, mirror, None
        limited = self._in_lambda and slot.kind != "operator"
        process.begin(fate, _TIMEOUT if limited else None)
        return process, mirror

    def _begin(self, slot: Slot, work: Coroutine[Any, Any, Any], what: str) -> None:
        self._log(f"{slot.name} begins {what}")
        slot.running = True
        self._active += 1
        self.loop.create_task(self._invoke(slot, work))

    async def _invoke(self, slot: Slot, work: Coroutine[Any, Any, Any]) -> None:
        process = slot.process
        assert process is not None
        listed = self.witness.listed()
        try:
            result = await work
            self._log(f"{slot.name} ends")
            if isinstance(result, Plan):
                self._plan = result
                self.witness.take_plan(result, listed)
            elif isinstance(result, Verified):
                self.witness.take_verified(result)
            elif isinstance(result, list):
                self.witness.take_findings(result)
        except Killed:
            slot.process = None
        except Exception as error:  # noqa: BLE001 (it is reported)
            self._log(f"{slot.name} fails: {error!r}")
            if type(error).__name__ not in _EXPECTED | {*("LedgerCorrupt",) * bool(self._broken)}:
                self.witness.report(Violation(Kind.CRASH, f"{slot.name} fails: {error!r}"))
        finally:
            slot.running = False
            slot.leased = set()
            if process.thawing is None:
                self._rest()
            process.thawing = None  # its job's time may be over while it stands still

    def _freeze(self, slot: Slot) -> None:
        assert slot.process is not None
        slot.wakes = self._step + slot.process.fate.sleeps
        self._rest()

    def _rest(self) -> None:
        self._active -= 1
        if not self._active:
            self.loop.stop()

    def _wake(self, *, everybody: bool = False) -> bool:
        """Let processes go on that stand still, and say whether any does."""
        active = self._active
        for slots in self._slots.values():
            for slot in slots:
                process = slot.process
                if process is None or process.thawing is None:
                    continue
                if everybody or slot.wakes <= self._step:
                    self._log(f"{slot.name} goes on")
                    self._active += 1
                    process.thaw()
        return self._active > active

    def _run(self) -> None:
        """Let the processes at work end, but for those that stand still.

        Raises:
            Violation: something that always holds does not.
        """
        if self._active:
            self.loop.run_forever()
        if self.witness.violation is not None:
            raise self.witness.violation
        if self._active:
            raise Violation(Kind.STUCK, f"{self._active} processes wait for nothing")


def _shown(request: PlannerEvent | Verification) -> str:
    """Return what is not as usual."""
    if request == type(request)():
        return ""
    usual, given = asdict(type(request)()), asdict(request)
    return ", ".join(f"{name} = {given[name]}" for name in given if given[name] != usual[name])


@cache
def _configured(backend: str, *options: str) -> tuple[Config, Client]:
    """Return a configuration, and the client that follows from it."""
    lines = "\n".join((_CONFIG, f"storage-backend = {backend}", *options))
    config = loading.parse(lines, {})
    return config, without_sessions(config)
