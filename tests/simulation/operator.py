"""An operator who creates and deletes snapshots, and lets readers get one as the live index."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from frumious.snapshots.as_of import create_as_of
from frumious.snapshots.create import create_snapshot
from frumious.snapshots.delete import delete_snapshot
from frumious.snapshots.errors import SnapshotError
from frumious.snapshots.rollback import roll_back, roll_forward
from tests.simulation.process import Fate
from tests.simulation.seen import Violation
from tests.simulation.stack import Slot, Stack

if TYPE_CHECKING:
    from collections.abc import Callable

    from frumious.mirror import Mirror
    from tests.simulation.choices import Choices
    from tests.simulation.process import Process
    from tests.simulation.witness import Witness

_NAMES = ("monday", "tuesday")
_FIRST_UPLOAD = 1_767_225_600.0  # seconds since the epoch; each change is a second later
_UPLOADS = 12  # seconds
_ACTIONS, _WEIGHTS = ("delete", "roll back", "roll forward", "create"), (3, 2, 1, 1)


class SnapshotRequest(Struct, frozen=True):
    """What `frumious snapshot create`, `snapshot delete` or `rollback` is asked for."""

    action: str
    name: str = ""
    as_of: float | None = None  # seconds since the epoch


class SimulatedReaders:
    """The switch of readers, as one process sees it: each call is a request."""

    def __init__(self, process: Process, witness: Witness) -> None:
        self._process = process
        self._witness = witness

    def check(self) -> None:
        """Do nothing: readers can be pointed at a snapshot."""

    async def offer(self, snapshot: str) -> bool:
        return await self._process.request("offers", snapshot, lambda: True)

    async def withdraw(self, snapshot: str) -> None:
        await self._process.request("withdraws", snapshot, lambda: None)

    async def point(self, snapshot: str | None) -> None:
        def switch() -> None:
            try:
                self._witness.snapshots.point(snapshot)
            except Violation as violation:
                self._witness.report(violation)

        await self._process.request("points readers at", snapshot or "the live index", switch)

    async def served(self) -> str | None:
        snapshots = self._witness.snapshots
        return await self._process.request("asks", "readers", lambda: snapshots.served)


async def carry_out(
    request: SnapshotRequest, mirror: Mirror, readers: SimulatedReaders, *, alone: bool
) -> None:
    """Do what the command does."""
    match request.action:
        case "create" if request.as_of is not None:
            await create_as_of(
                request.name,
                request.as_of,
                mirror,
                readers,
                alone=alone,
                on_begin=lambda *_: None,
                on_page=lambda *_: None,
            )
        case "create":
            await create_snapshot(request.name, mirror, readers, alone=alone)
        case "delete":
            await delete_snapshot(request.name, mirror, readers, alone=alone)
        case "roll back":
            await roll_back(request.name, mirror, readers)
        case _:
            await roll_forward(mirror, readers)


class Operator(Stack):
    """What an operator does with snapshots."""

    def __init__(self, log: Callable[[str], None], *, in_lambda: bool, is_bucket: bool) -> None:
        super().__init__(log, in_lambda=in_lambda, is_bucket=is_bucket)
        self._slots["operator"] = [Slot("operator", "operator")]
        self._interrupted: dict[SnapshotRequest, None] = {}  # in order

    @property
    def _is_locked(self) -> bool:
        """Whether the mirror is a folder that the operator's command has locked."""
        return self._slots["operator"][0].running and not self._disk.is_bucket

    def _choose_request(self, choices: Choices) -> SnapshotRequest:
        name, known = _NAMES[choices.below(len(_NAMES))], self.witness.snapshots_known()
        if name not in known:
            age = choices.rarely(0.3, _UPLOADS)
            return SnapshotRequest("create", name, _FIRST_UPLOAD + age if age else None)
        action = _ACTIONS[choices.weighted(_WEIGHTS)]
        return SnapshotRequest(action, name, known[name].get("as_of"))

    def _begin_operator(self, fate: Fate, request: SnapshotRequest) -> None:
        (slot,) = self._slots["operator"]
        slot.process = None
        process, mirror = self._process(slot, fate)
        readers = SimulatedReaders(process, self.witness)
        self._begin(slot, self._operate(request, mirror, readers), _shown(request))

    async def _operate(
        self, request: SnapshotRequest, mirror: Mirror, readers: SimulatedReaders
    ) -> None:
        self._interrupted[request] = None
        try:
            await carry_out(request, mirror, readers, alone=not self._disk.is_bucket)
        except SnapshotError as error:
            self._log(f"the operator is told: {error}")
        del self._interrupted[request]

    def _finish_interrupted(self) -> None:
        """Run commands again that were killed or have failed."""
        for request in [*self._interrupted]:
            self._begin_operator(Fate(), request)
            self._run()


def _shown(request: SnapshotRequest) -> str:
    as_of = "" if request.as_of is None else f" as of {request.as_of:.0f}"
    return f"to {request.action} {request.name}{as_of}"
