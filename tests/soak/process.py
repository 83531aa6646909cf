"""One function's handler in a process of its own, restarted after a kill."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud import ExecutionEnvironment, FunctionFailed, Runtime

if TYPE_CHECKING:
    from collections.abc import Callable

    from localcloud.stack import Function
    from tests.soak.gateway import Fate, Gateway

_BOOTSTRAP = Path(__file__).with_name("bootstrap")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an invocation ended: the handler's `response`, or None and the reason in `error`."""

    event: dict[str, Any]
    response: Any = None
    error: str = ""
    killed: bool = False
    writes: int = 0


class Process:
    """A process that runs one invocation at a time.

    Args:
        read_timeout: Seconds that it waits for a response from AWS.
        on_end: Called in the process's thread when an invocation has ended.
    """

    def __init__(  # noqa: PLR0913 (a process depends on all of them)
        self,
        function: Function,
        config: Path,
        master: str,
        gateway: Gateway,
        on_line: Callable[[str], None],
        *,
        read_timeout: float,
        on_end: Callable[[], None] = lambda: None,
    ) -> None:
        self.name = gateway.name
        self.gateway = gateway
        self.started = 0
        self.running: Future[Outcome] | None = None
        self._function = replace(function, handler="shifted_clock.handler")
        runtime = Runtime(config=config)
        self._runtime = replace(
            runtime,
            python_path=(_BOOTSTRAP, *runtime.python_path),
            environment={
                "AWS_ENDPOINT_URL": gateway.url,
                "FRUMIOUS_MASTER": master,
                "SOAK_READ_TIMEOUT": f"{read_timeout}",
            },
        )
        self._on_line = on_line
        self._on_end = on_end
        self._environment: ExecutionEnvironment | None = None
        self._thread = ThreadPoolExecutor(1, thread_name_prefix=self.name)

    def begin(self, event: dict[str, Any], fate: Fate, ahead: float) -> None:
        """Invoke the handler with its clock `ahead` seconds ahead, without waiting for it."""
        self.running = self._thread.submit(self._invoke, event, fate, ahead)

    def take(self) -> Outcome | None:
        """Return the last invocation's outcome, once; None while it runs."""
        if self.running is None or not self.running.done():
            return None
        outcome, self.running = self.running.result(), None
        return outcome

    def stop(self) -> None:
        if self._environment is not None and self.running is not None:
            self._environment.kill()
        self._thread.shutdown()
        if self._environment is not None:
            self._environment.close()
        self._environment = None
        self.gateway.stop()

    def _invoke(self, event: dict[str, Any], fate: Fate, ahead: float) -> Outcome:
        if self._environment is None:
            self.started += 1
            self._environment = ExecutionEnvironment(self._function, self._runtime, self._on_line)
        environment = self._environment
        self.gateway.expect(fate, environment.kill)
        try:
            response = environment.invoke({**event, "ahead": ahead})
        except FunctionFailed as error:
            killed = self.gateway.struck
            outcome = Outcome(event, error="" if killed else f"{error}", killed=killed)
        else:
            outcome = Outcome(event, response, writes=self.gateway.writes)
        finally:
            self._on_end()
            dead = not environment.alive
            if dead:
                environment.close()
                self._environment = None
            self.gateway.settle(dead=dead)
        return outcome
