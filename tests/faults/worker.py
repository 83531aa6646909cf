"""One worker: the real handler in a process of its own, restarted after a kill."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud import ExecutionEnvironment, FunctionFailed, Runtime
from tests.faults.kills import Killer, Moment

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from localcloud.stack import Function
    from tests.faults.jobs import Message
    from tests.faults.storage_proxy import StorageProxy

_BOOTSTRAP = Path(__file__).with_name("bootstrap")


class Worker:
    """A worker that handles one batch after the other."""

    def __init__(
        self,
        function: Function,
        config: Path,
        master: str,
        proxy: StorageProxy,
        on_line: Callable[[str], None],
    ) -> None:
        self.proxy = proxy
        self.projects: frozenset[str] = frozenset()
        self.started = 0
        self.kills = 0
        self._function = replace(function, handler="short_pauses.handler")
        runtime = Runtime(config=config)
        self._runtime = replace(
            runtime,
            python_path=(_BOOTSTRAP, *runtime.python_path),
            environment={"AWS_ENDPOINT_URL": proxy.url, "FRUMIOUS_MASTER": master},
        )
        self._on_line = on_line
        self._environment: ExecutionEnvironment | None = None

    def deliver(self, messages: Sequence[Message], moment: Moment | None) -> set[str] | str:
        """Invoke the handler; return the ids of failed messages, or why all of them failed."""
        environment = self._environment or self._start()
        self._environment = environment
        self.projects = frozenset(message.project for message in messages)
        killer = Killer(moment, environment.kill) if moment else None
        self.proxy.killer = killer
        event = {"Records": [message.record() for message in messages]}
        try:
            response: dict[str, Any] = environment.invoke(event)
        except FunctionFailed as error:
            if killer and killer.struck:
                self.kills += 1
                return "killed"
            return f"{error}"
        finally:
            self.proxy.killer = None
            self.projects = frozenset()
            dead = not environment.alive
            if dead:
                environment.close()
                self._environment = None
            self.proxy.settle(dead=dead)
        return {failure["itemIdentifier"] for failure in response["batchItemFailures"]}

    def count_upstream_request(self, project: str) -> None:
        """Count a request upstream, and kill the process if this is the moment."""
        killer = self.proxy.killer
        if killer and killer.due("upstream", project):
            killer.strike()

    def stop(self) -> None:
        if self._environment is not None:
            self._environment.close()
        self._environment = None
        self.proxy.stop()

    def _start(self) -> ExecutionEnvironment:
        self.started += 1
        return ExecutionEnvironment(self._function, self._runtime, self._on_line)
