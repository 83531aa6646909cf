"""What a step of a history can be."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from frumious_lambda.planner_event import PlannerEvent
from tests.faults.pages import V1_JSON, is_variant
from tests.simulation.changes import PROJECTS, Changes
from tests.simulation.functions import Verification
from tests.simulation.lies import INDEX_LIES, LIES
from tests.simulation.network import NetworkFault
from tests.simulation.operator import Operator
from tests.simulation.process import Fate
from tests.simulation.reports import CURSOR, LAGGING, SELECTION
from tests.simulation.storage import Disk, StorageFault
from tests.simulation.witness import Witness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.simulation.choices import Choices
    from tests.simulation.stack import Slot

_HOUR = 3600.0
_PAUSES = (0.0, 60.0, 300.0, 900.0, 2 * _HOUR, 26 * _HOUR)
# Requests of an invocation.
_REQUESTS = {
    "planner": 14,
    "worker": 50,
    "finalizer": 30,
    "auditor": 40,
    "command": 120,
    "operator": 30,
}
_SHARES = (0.0, 0.05, 0.25, 0.6)
_CACHED = 600.0  # seconds
_LIE = 8 * _HOUR
_BATCH = 10
_CLOCK_ERRORS = (0.0, _HOUR, -_HOUR, 400 * 24 * _HOUR, -400 * 24 * _HOUR)
_RESTORES = 6  # histories in which upstream is restored from a backup
_DAMAGED_PAGES = 9  # histories in which the pages of projects are damaged
_NO_CHANGELOG, _LIMITS = 10, 11  # histories with such an upstream, and with small limits
_BIT_ROT = 12  # histories in which stored files are damaged
_SNAPSHOTS = 13  # histories with snapshots
_MAX_LOSSES = 1  # file
_MAX_REMOVALS = 0


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


class Steps(Operator):
    """A mirror and its upstream, and what can happen to them."""

    def __init__(self, choices: Choices, log: Callable[[str], None]) -> None:
        mode = choices.weighted((4, 1, 1))
        super().__init__(log, in_lambda=mode == 0, is_bucket=mode != 1)
        self._changes = Changes(self.index)
        self._options: tuple[str, ...] = (
            f"diff-append-epoch = {('false', 'true')[choices.below(2)]}",
            f"delete-after = {(0, 1)[choices.below(2)]}",
        )
        self._rates = Rates.of(choices)
        odd = choices.below(14)
        self._kinds, self._weights = zip(*self._weighted_steps(odd), strict=True)
        # The diff-file may be in a storage of its own, and of another kind.
        if choices.below(2) == 1:
            self._diffs = Disk(is_bucket=not self._disk.is_bucket)
        self.witness = Witness(self._network, self._disk, self._diffs, self.loop)
        self._faults = False  # whether anything but kills has been wrong
        for _ in range(1 + choices.below(3)):
            self._change(choices)
        if odd == _NO_CHANGELOG:
            self._log("upstream has no changelog")
            self._network.has_changelog = False
            self._faults = True
        limits = choices.below(3) if odd == _LIMITS else None
        if limits in {0, 2}:
            self._options += (f"max-losses = 0% {_MAX_LOSSES} 10GiB",)
            self.witness.max_losses = _MAX_LOSSES
        if limits in {1, 2}:
            self.witness.max_removals = _MAX_REMOVALS
        removals = f"0% {_MAX_REMOVALS}" if limits in {1, 2} else "100% 10"
        self._options += (f"max-removals = {removals}",)
        if limits is not None:
            self._log(f"limits: {self._options[2:]}")
            self._faults = True
        self.witness.shards = (0, 16)[choices.below(2)]
        self._options += (f"root-index-shards = {self.witness.shards}",)
        self._configure_mirror(*self._options)
        self._backup = self.index.backup() if odd == _RESTORES else None
        self._restored = False
        self._named: set[str] = set()  # projects that were requested by name

    def _weighted_steps(self, odd: int) -> Sequence[tuple[Callable[[Choices], None], int]]:
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
        odd_steps = (
            self._lie,
            self._set_clocks,
            self._configure,
            self._damage,
            self._restore,
            self._lie_about_all,
            self._damage_ledger,
        )
        damages = odd == _BIT_ROT and not self._in_lambda
        return (
            *steps,
            *((step, 4 * (odd == at)) for at, step in enumerate(odd_steps, start=2)),
            (self._damage_page, 4 * (odd == _DAMAGED_PAGES) + 2 * damages),
            (self._verify, 4 if damages else 1),
            (self._damage_file, 4 * damages),
            (self._snapshot, 4 * (odd == _SNAPSHOTS)),
        )

    def step(self, choices: Choices) -> None:
        """Take a step.

        Raises:
            Violation: something that always holds does not.
        """
        self._step += 1
        self._kinds[choices.weighted(self._weights)](choices)
        self._wake()
        if not choices.rarely(self._rates.together, 1):  # else at the same time as the next step
            self._run()

    def _pause(self, choices: Choices) -> None:
        self._pass(_PAUSES[choices.below(len(_PAUSES))])

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
        """Block a project, or none; not one whose run may still be open, as somebody named it."""
        blocked = (*PROJECTS, "")[choices.below(len(PROJECTS) + 1)]
        if blocked in self._named:
            return
        self._log(f"mirror.conf blocks {blocked or 'no project'}")
        plugins = f"[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = {blocked}"
        self._configure_mirror(*self._options, *((plugins,) if blocked else ()))
        self.witness.block(blocked)
        self._faults = True

    def _damage(self, choices: Choices) -> None:
        """Damage a report, or what the mirror keeps of a run."""
        prefixes = ("state/runs/", "state/inbox/")
        keys = sorted(key for key in self._disk.objects if key.startswith(prefixes))
        if not keys:
            return
        self._spoil(keys[choices.below(len(keys))], choices, b"{}", b"[]")

    def _restore(self, choices: Choices) -> None:
        """Make a backup of upstream, or restore the last one."""
        if choices.below(2):
            self._log(f"upstream: backup (serial {self.index.serial})")
            self._backup = self.index.backup()
            return
        if self._backup is None:
            return
        self.witness.restore()
        self.index.restore(self._backup)
        self._log(f"upstream: restored from a backup (serial {self.index.serial})")
        self._restored = True
        self._faults = self._changes.silent = True

    def _lie_about_all(self, choices: Choices) -> None:
        """Lie in the changelog or the root index."""
        lie = [*INDEX_LIES][choices.below(len(INDEX_LIES))]
        project = PROJECTS[choices.below(len(PROJECTS))]
        self._network.lie_about_all(lie, project, self.loop.elapsed + _LIE)
        self._log(f"upstream: lies for some hours: {lie} ({project})")
        self.witness.deceived = True
        self._faults = self._changes.silent = True

    def _damage_ledger(self, choices: Choices) -> None:
        """Damage what only an operator can repair."""
        keys = sorted({CURSOR, LAGGING, SELECTION} & self._disk.objects.keys())
        if keys:
            key = keys[choices.below(len(keys))]
            self._spoil(key, choices, b"[]")
            self._broken[key] = self._disk.objects[key].body

    def _damage_page(self, choices: Choices) -> None:
        """Damage the JSON page of a project."""
        pages = self.witness.pages
        if keys := sorted(key for key in pages if key.endswith(V1_JSON) and not is_variant(key)):
            self._spoil(keys[choices.below(len(keys))], choices, b"{}")

    def _damage_file(self, choices: Choices) -> None:
        """Lose a file, cut it off, or flip its bits."""
        keys = [key for key in self._disk.objects if key.startswith("web/packages/")]
        if self._in_lambda or not keys:  # a stack's functions repair nothing
            return
        key, form = keys[choices.below(len(keys))], choices.below(3)
        body = self._disk.objects[key].body
        self._log(f"{key} is {('lost', 'cut off', 'other bytes')[form]}")
        if form:
            self._disk.spoil(key, body[:-1] if form == 1 else body[::-1])
        else:
            self._disk.lose(key)
        self.witness.damaged[key] = self.loop.elapsed
        self.loop.elapsed += 1.0
        self.witness.spoilt = self._faults = True

    def _verify(self, choices: Choices) -> None:
        """Verify the mirror and repair it, as an operator does; a stack's function only looks."""
        if self._in_lambda:
            for slot in self._free_slots("auditor", choices):
                self._begin_auditor(slot, self._fate(choices, "auditor"))
            return
        for slot in self._free_slots("command", choices)[:1]:
            fate = self._fate(choices, "command")
            self._begin_command(slot, fate, Verification(deep=bool(choices.below(2))))

    def _spoil(self, key: str, choices: Choices, *others: bytes) -> None:
        body = self._disk.objects[key].body
        forms = (body[: len(body) // 2], b"", *others)
        damaged = forms[choices.below(len(forms))]
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

    def _snapshot(self, choices: Choices) -> None:
        """Create or delete a snapshot, or point readers at one.

        On one machine, no run is under way then.
        """
        if not self._in_lambda and any(slot.running for slot in self._slots["command"]):
            return
        if not self._slots["operator"][0].running:
            request = self._choose_request(choices)
            self._begin_operator(self._fate(choices, "operator"), request)

    def _request(self, choices: Choices) -> PlannerEvent:
        """Choose what is asked for: mostly everything that changed."""
        match choices.rarely(0.1, 5):
            case 1 if not self.witness.blocked:
                project = PROJECTS[choices.below(len(PROJECTS))]
                self._named.add(project)
                return PlannerEvent(projects=[project])
            case 2:
                return PlannerEvent(retry=True)
            case 3:
                return PlannerEvent(force_check=True)
            case 4:
                return PlannerEvent(dry_run=True)
            case 5:
                project = PROJECTS[choices.below(len(PROJECTS))]
                self.witness.exempt(project)
                self._faults = True  # it may be restored by a job that is killed
                return PlannerEvent(delete=[project])
        return PlannerEvent()

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

    def _free_slots(self, kind: str, choices: Choices) -> list[Slot]:
        """Return a slot that is free, or now and then both."""
        slots = self._slots[kind]
        if not choices.rarely(self._rates.together, 1):
            slots = [slots[choices.below(len(slots))]]
        is_locked = kind == "command" and self._is_locked
        return [slot for slot in slots if not (slot.running or is_locked)]
