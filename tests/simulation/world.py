"""One history: a mirror and its upstream, from the first step to the verdict."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.errors import Reason
from frumious_lambda.planner_event import PlannerEvent
from tests.simulation.functions import Verification
from tests.simulation.process import EPOCH, Fate
from tests.simulation.reports import CURSOR
from tests.simulation.seen import Kind, Violation
from tests.simulation.steps import Steps
from tests.simulation.verdict import judge

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.simulation.choices import Choices

_HOUR = 3600.0
_BATCH = 10
_QUIET_ROUNDS = 10
_CONFIRMED = 1000  # files


class World(Steps):
    """Everything that takes part in a history."""

    def __init__(self, choices: Choices, log: Callable[[str], None]) -> None:
        super().__init__(choices, log)
        self._force = False  # whether the operator lets everything be checked

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
        self._finish_interrupted()
        # One run heals whatever kills left, unless upstream wrote no event of a change.
        once = not (self._in_lambda or self._faults or self._changes.silent)
        rounds = 1 if once else _QUIET_ROUNDS
        self._delete_damaged()
        for left in reversed(range(rounds)):
            # Longer than the longest pause of a project; then than the sweep and the comparison.
            self._pass(9 * _HOUR if left > rounds - 3 else 26 * _HOUR)
            for request in self._repairs():
                self._quiet_round(request)
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

    def _delete_damaged(self) -> None:
        """Repair what is damaged, as the errors say."""
        for key, damaged in self._broken.items():
            if self._disk.objects[key].body == damaged:
                self._log(f"the operator deletes {key}")
                self._disk.lose(key)
                self._force = self._force or key != CURSOR
                self.witness.dropped = self.witness.dropped or key == CURSOR
        self._broken.clear()

    def _repairs(self) -> list[PlannerEvent | Verification]:
        """Return a tick's request, and before it what only an operator can ask for.

        All of it follows from what the mirror reports.
        """
        lost = {*self.witness.lagging(Reason.FILES_LOST), *self._plan.doubtful}
        lost.discard(self.witness.blocked)  # naming it would bring it back
        refused = self.witness.lagging(Reason.LOSSES_STOPPED)
        reset = self._restored or self._plan.regressed != ""
        stopped = self._plan.stopped
        tick = PlannerEvent(
            force_check=self._force,
            reset_serials=reset,
            confirm_removals=0 if stopped is None else stopped.removals,
            confirm_losses=_CONFIRMED if refused else 0,
        )
        self._force = self._restored = False
        self.witness.resets = self.witness.resets or reset
        self.witness.dropped = self.witness.dropped or reset
        if tick.confirm_losses or tick.confirm_removals:
            self.witness.confirmed = True
        requests: list[PlannerEvent | Verification] = [tick]
        if lost:
            self.witness.confirmed = True
            requests.insert(0, PlannerEvent(projects=sorted(lost), may_lose=True))
        if self.witness.damaged:
            requests.insert(0, Verification(deep=True))
        return requests

    def _quiet_round(self, request: PlannerEvent | Verification) -> None:
        self._step += 1
        if not self._in_lambda or isinstance(request, Verification):
            self._begin_command(self._slots["command"][0], Fate(), request)
            self._run()
            return
        self._begin_planner(self._slots["planner"][0], Fate(), request)
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
        if self._plan.stopped is not None:
            return "removals wait for a confirmation"
        if runs := self.witness.open_runs():
            return f"{runs} runs are open"
        if lagging := self.witness.lagging() - self.witness.differing:
            return f"{sorted(lagging)} lag"
        if self.witness.serial() != self.index.serial:
            return f"status is {self.witness.serial()}, and upstream's serial {self.index.serial}"
        return ""
