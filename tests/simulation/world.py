"""One history: a mirror and its upstream, from the first step to the verdict."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from frumious.config import loading
from frumious.mirror import Mirror
from tests.simulation import functions
from tests.simulation.changes import PROJECTS, Changes
from tests.simulation.functions import Request
from tests.simulation.lies import LIES
from tests.simulation.loop import SimulatedLoop
from tests.simulation.network import (
    MASTER,
    Network,
    NetworkFault,
    simulated_upstream,
    without_sessions,
)
from tests.simulation.process import EPOCH, Fate, Killed, Process
from tests.simulation.queue import Queues, SimulatedDeadLetterQueue, SimulatedJobQueue
from tests.simulation.storage import Disk, MemoryStorage, StorageFault
from tests.simulation.verdict import judge
from tests.simulation.witness import Kind, Violation, Witness
from tests.upstream.index import Index

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Sequence

    from frumious.config.settings import Config
    from frumious.upstream.client import Client
    from tests.simulation.choices import Choices
    from tests.simulation.queue import Message

_HOUR = 3600.0
_PAUSES = (0.0, 60.0, 300.0, 900.0, 2 * _HOUR, 26 * _HOUR)
_REQUESTS = {"planner": 14, "worker": 50, "finalizer": 30, "command": 120}  # of an invocation
_SHARES = (0.0, 0.05, 0.25, 0.6)
_TIMEOUT = 900.0  # seconds of a function
_CACHED = 600.0  # seconds
_LIE = 8 * _HOUR
_BATCH = 10
_CLOCK_ERRORS = (0.0, _HOUR, -_HOUR, 400 * 24 * _HOUR, -400 * 24 * _HOUR)
_QUIET_ROUNDS = 10
# Errors that may end a planner, a finalizer or the command while something is wrong.
_EXPECTED = frozenset(
    {"StorageUnavailable", "Conflict", "UpstreamUnavailable", "QueueUnavailable", "InvalidPage"}
    | {"_RateLimited", "NoChangelog"}
)
_CONFIG = f"""\
[mirror]
master = {MASTER}
directory = /mirror
workers = 4
run-deadline = 3600
sweep-days = 1
max-removals = 100% 10
diff-file = {{{{mirror_directory}}}}/mirrored-files
"""


@dataclass(frozen=True, slots=True)
class Rates:
    """How much goes wrong in a history: the shares of invocations."""

    kills: float
    storage: float
    network: float
    sleeps: float
    paces: float  # that go at a pace of their own
    together: float  # that begin with the next step

    @classmethod
    def of(cls, choices: Choices) -> Rates:
        """Choose them: few things often rather than everything now and then."""
        kills, storage, network, sleeps = (_SHARES[choices.below(4)] for _ in range(4))
        together = (0.1, 0.5)[choices.below(2)]
        return cls(kills, storage, network, sleeps * 0.5, together, together)


@dataclass(slots=True)
class Slot:
    """A function of the stack, or the command, of which one process works at a time."""

    kind: str
    name: str
    process: Process | None = None  # a warm one, or the one at work
    mirror: Mirror | None = None
    running: bool = False
    wakes: int = 0  # the step at which a process that stands still goes on
    leased: list[Message] = field(default_factory=list)


class World:
    """Everything that takes part in a history."""

    def __init__(self, choices: Choices, log: Callable[[str], None]) -> None:
        self._log = log
        self.loop = SimulatedLoop()
        self.loop.set_exception_handler(lambda *_: None)  # of tasks that nobody awaits any more
        self.index = Index()
        self._changes = Changes(self.index)
        self._network = Network(self.index)
        self._queues = Queues(self.loop)
        mode = choices.weighted((4, 1, 1))
        self._in_lambda = mode == 0
        is_bucket = mode != 1
        self._options = (
            f"diff-append-epoch = {('false', 'true')[choices.below(2)]}",
            f"delete-after = {(0, 1)[choices.below(2)]}",
        )
        self._rates = Rates.of(choices)
        self._steps = self._weighted_steps(odd=choices.below(6))
        self._backend = "s3" if is_bucket else "filesystem"
        self._config, self._client = _configured(self._backend, *self._options)
        self._disk = Disk(is_bucket=is_bucket)
        # The diff-file may be in a storage of its own, and of another kind.
        elsewhere = choices.below(2) == 1
        self._diffs = Disk(is_bucket=not is_bucket) if elsewhere else self._disk
        self.witness = Witness(self.index, self._disk, self._diffs, self.loop.stop)
        kinds = ("planner", "worker", "finalizer") if self._in_lambda else ("command",)
        count = 2 if self._in_lambda else 1
        self._slots = {
            kind: [Slot(kind, f"{kind} {number}") for number in range(1, count + 1)]
            for kind in kinds
        }
        self._active = 0  # processes at work that do not stand still
        self._step = 0
        self._faults = False  # whether anything but kills has been wrong
        for _ in range(1 + choices.below(3)):
            self._change(choices)

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

    # Steps

    def _weighted_steps(self, *, odd: int) -> Sequence[tuple[Callable[[Choices], None], int]]:
        """Return what a step can be, and how often; what is odd has histories of its own."""
        steps = (
            (
                (self._pause, 2),
                (self._change, 6),
                (self._planner, 6),
                (self._worker, 8),
                (self._finalizer, 6),
                (self._trick, 2),
                (self._cache, 2),
            )
            if self._in_lambda
            else ((self._pause, 2), (self._change, 6), (self._cache, 1), (self._command, 6))
        )
        odd_steps = (self._lie, self._set_clocks, self._configure, self._damage)
        return (*steps, *((step, 4 * (odd == at)) for at, step in enumerate(odd_steps, start=2)))

    def step(self, choices: Choices) -> None:
        """Take a step.

        Raises:
            Violation: something that always holds does not.
        """
        self._step += 1
        steps, weights = zip(*self._steps, strict=True)
        steps[choices.weighted(weights)](choices)
        self._wake()
        if not choices.rarely(self._rates.together, 1):  # else at the same time as the next step
            self._run()

    def _pause(self, choices: Choices) -> None:
        self._pass(_PAUSES[choices.below(len(_PAUSES))])

    def _pass(self, seconds: float) -> None:
        self._log(f"{seconds:.0f} seconds pass")
        self.loop.elapsed += seconds

    def _change(self, choices: Choices) -> None:
        self._log(f"upstream: {self._changes.make(choices)} (serial {self.index.serial})")

    def _cache(self, choices: Choices) -> None:
        """Let caches keep a project's page for ten minutes, as it was a few changes ago."""
        project, ago = PROJECTS[choices.below(len(PROJECTS))], choices.below(4)
        self._network.keep(project, self.index.serial - ago, self.loop.elapsed + _CACHED)
        self._log(f"upstream: caches keep the page of {project} of {ago} serials ago")
        self._faults = True

    def _lie(self, choices: Choices) -> None:
        if choices.rarely(0.2, 1):
            project = self._changes.replace_bytes(choices)
            self._log(f"upstream: other bytes under the same name in {project}")
            self.witness.differing.add(project)
            self._faults = True
            return
        at, lie = choices.below(len(PROJECTS)), [*LIES][choices.below(len(LIES))]
        project, other = PROJECTS[at], PROJECTS[at - 1 - choices.below(len(PROJECTS) - 1)]
        self._network.lie(project, lie, other, self.loop.elapsed + _LIE)
        self._log(f"upstream: lies about {project} for some hours: {lie}")
        self._faults = self._changes.silent = True

    def _set_clocks(self, choices: Choices) -> None:
        self.loop.clock_error = _CLOCK_ERRORS[choices.below(len(_CLOCK_ERRORS))]
        self._log(f"all clocks are wrong by {self.loop.clock_error:.0f} seconds")
        self._faults = True

    def _configure(self, choices: Choices) -> None:
        """Block a project, or none."""
        blocked = (*PROJECTS, "")[choices.below(len(PROJECTS) + 1)]
        self._log(f"mirror.conf blocks {blocked or 'no project'}")
        plugins = f"[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = {blocked}"
        options = (*self._options, plugins) if blocked else self._options
        self._config, self._client = _configured(self._backend, *options)
        self.witness.block(blocked)
        self._faults = True

    def _damage(self, choices: Choices) -> None:
        """Damage a report, or what the mirror keeps of a run."""
        prefixes = ("state/runs/", "state/inbox/")
        keys = sorted(key for key in self._disk.objects if key.startswith(prefixes))
        if not keys:
            return
        key = keys[choices.below(len(keys))]
        body = self._disk.objects[key].body
        damaged = (body[: len(body) // 2], b"", b"{}", b"[]")[choices.below(4)]
        self._log(f"{key} is damaged: {damaged[:20]!r}")
        self._disk.spoil(key, damaged)
        self.witness.spoilt = self._faults = True

    def _trick(self, choices: Choices) -> None:
        match choices.below(3):
            case 0:
                self._log("a message that was done is delivered again")
                self._queues.repeat(choices.below(20))
            case 1:
                self._log("the dead letters are sent back to the queue")
                self._queues.redrive()
            case _:
                self._log("a message is lost")
                self._queues.lose(choices.below(4))

    def _planner(self, choices: Choices) -> None:
        for slot in self._free_slots("planner", choices):
            request = self._request(choices)
            self._begin_planner(slot, self._fate(choices, "planner"), request)

    def _worker(self, choices: Choices) -> None:
        for slot in self._free_slots("worker", choices):
            messages = self._receive(1 + choices.below(_BATCH))
            if messages:
                self._begin_worker(slot, self._fate(choices, "worker"), messages)

    def _finalizer(self, choices: Choices) -> None:
        for slot in self._free_slots("finalizer", choices):
            self._begin_finalizer(slot, self._fate(choices, "finalizer"))

    def _command(self, choices: Choices) -> None:
        for slot in self._free_slots("command", choices)[:1]:
            self._begin_command(slot, self._fate(choices, "command"), self._request(choices))

    def _request(self, choices: Choices) -> Request:
        """Choose what is asked for: mostly everything that changed."""
        match choices.rarely(0.1, 4):
            case 1 if not self.witness.blocked:
                return Request(projects=(PROJECTS[choices.below(len(PROJECTS))],))
            case 2:
                return Request(retry=True)
            case 3:
                return Request(force_check=True)
            case 4:
                return Request(dry_run=True)
        return Request()

    def _fate(self, choices: Choices, kind: str) -> Fate:
        most, rates = _REQUESTS[kind], self._rates
        killed_at = choices.rarely(rates.kills, most)
        faults = {
            1 + choices.below(most): 1 + choices.below(len(StorageFault) - 1)
            for _ in range(choices.rarely(rates.storage, 2))
        }
        network = {
            1 + choices.below(most // 4 + 2): 1 + choices.below(len(NetworkFault) - 1)
            for _ in range(choices.rarely(rates.network, 2))
        }
        self._faults = self._faults or bool(faults or network)
        return Fate(
            pace=choices.rarely(rates.paces, 2**16),
            killed_at=killed_at,
            killed_after=bool(killed_at and choices.below(2)),
            sleeps_at=choices.rarely(rates.sleeps, most),
            sleeps=1 + choices.below(3),
            faults=faults,
            network=network,
        )

    # Invocations

    def _free_slots(self, kind: str, choices: Choices) -> list[Slot]:
        """Return a slot that is free, or now and then both."""
        slots = self._slots[kind]
        if not choices.rarely(self._rates.together, 1):
            slots = [slots[choices.below(len(slots))]]
        return [slot for slot in slots if not slot.running]

    def _receive(self, count: int) -> list[Message]:
        for slot in self._slots["worker"]:
            self._queues.prolong(slot.leased)
        return self._queues.receive(count)

    def _begin_planner(self, slot: Slot, fate: Fate, request: Request) -> None:
        process, mirror = self._process(slot, fate)
        queue = SimulatedJobQueue(self._queues, process)
        self._begin(slot, functions.planner(request, mirror, queue), str(request))

    def _begin_worker(self, slot: Slot, fate: Fate, messages: list[Message]) -> None:
        process, mirror = self._process(slot, fate)
        slot.leased = messages
        queue = SimulatedJobQueue(self._queues, process)
        jobs = ", ".join(message.group for message in messages)
        self._begin(slot, functions.worker(messages, mirror, queue, self._queues), jobs)

    def _begin_finalizer(self, slot: Slot, fate: Fate) -> None:
        process, mirror = self._process(slot, fate)
        dead_letter_queue = SimulatedDeadLetterQueue(self._queues, process)
        self._begin(slot, functions.finalizer(mirror, dead_letter_queue), "")

    def _begin_command(self, slot: Slot, fate: Fate, request: Request) -> None:
        slot.process = None
        _, mirror = self._process(slot, fate)
        self._begin(slot, functions.command(request, mirror), str(request))

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
            slot.process, slot.mirror = process, mirror
        process.begin(fate, _TIMEOUT if self._in_lambda else None)
        return process, mirror

    def _begin(self, slot: Slot, work: Coroutine[Any, Any, Any], what: str) -> None:
        self._log(f"{slot.name} begins {what}")
        slot.running = True
        self._active += 1
        self.loop.create_task(self._invoke(slot, work))

    async def _invoke(self, slot: Slot, work: Coroutine[Any, Any, Any]) -> None:
        process = slot.process
        assert process is not None
        try:
            await work
            self._log(f"{slot.name} ends")
        except Killed:
            slot.process = None
        except Exception as error:  # noqa: BLE001 (it is reported)
            self._log(f"{slot.name} fails: {error!r}")
            if type(error).__name__ not in _EXPECTED:
                self.witness.report(Violation(Kind.CRASH, f"{slot.name} fails: {error!r}"))
        finally:
            slot.running = False
            slot.leased = []
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

    # The end

    def end(self) -> None:
        """Let everything go well, until the mirror equals upstream.

        Raises:
            Violation: it never does, or something that always holds does not.
        """
        self._log("all goes well from now on")
        self.loop.clock_error = 0.0
        self._run()
        while self._wake(everybody=True):
            self._run()
        # One run heals whatever kills left, unless upstream wrote no event of a change.
        once = not (self._in_lambda or self._faults or self._changes.silent)
        rounds = 1 if once else _QUIET_ROUNDS
        for left in reversed(range(rounds)):
            # Longer than the longest pause of a project; then than the sweep and the comparison.
            self._quiet_round(9 * _HOUR if left > rounds - 3 else 26 * _HOUR)
            unfinished = self._unfinished()
            if unfinished and not left:
                raise Violation(Kind.UNFINISHED, unfinished)
            try:
                judge(self.index, self._disk, self.witness, EPOCH + self.loop.elapsed)
            except Violation:
                if not left:
                    raise
            else:
                if not unfinished:
                    return

    def _quiet_round(self, pause: float) -> None:
        self._step += 1
        self._pass(pause)
        if not self._in_lambda:
            self._begin_command(self._slots["command"][0], Fate(), Request())
            self._run()
            return
        self._begin_planner(self._slots["planner"][0], Fate(), Request())
        self._run()
        while (visible := self._queues.next_visible()) is not None:
            self.loop.elapsed = max(self.loop.elapsed, visible)
            messages = self._receive(_BATCH)
            if messages:
                self._begin_worker(self._slots["worker"][0], Fate(), messages)
                self._run()
        self._begin_finalizer(self._slots["finalizer"][0], Fate())
        self._run()

    def _unfinished(self) -> str:
        """Say what is unfinished; nothing in the end."""
        if runs := self.witness.open_runs():
            return f"{runs} runs are open"
        if lagging := self.witness.lagging() - self.witness.differing:
            return f"{sorted(lagging)} lag"
        if self.witness.serial() != self.index.serial:
            return f"status is {self.witness.serial()}, and upstream's serial {self.index.serial}"
        return ""


@lru_cache
def _configured(backend: str, *options: str) -> tuple[Config, Client]:
    """Return a configuration, and the client that follows from it."""
    lines = "\n".join((_CONFIG, f"storage-backend = {backend}", *options))
    config = loading.parse(lines, {})
    return config, without_sessions(config)
