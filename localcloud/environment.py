"""Execution environments: a function's handler in a process of its own, as Lambda runs it.

A process is reused while it is warm, killed at the function's timeout, and discarded after a
crash. Between invocations nothing reads what it prints, so that everything printed during an
invocation has been seen when the invocation's answer is returned.
"""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from localcloud.runtime_api import FunctionFailed, Invocation, RuntimeApi
from localcloud.stack import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localcloud.stack import Function

CHECKOUT = Path(__file__).resolve().parent.parent
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
INIT_SECONDS = 60.0  # Lambda allows 10; a busy machine may need more to import everything
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Runtime:
    """What functions run in.

    Attributes:
        interpreter: A Python that has `awslambdaric`.
        python_path: What stands for the layers.
        config: The `mirror.conf` that the functions read.
        environment: Variables that are added to those of the template, and win over them.
    """

    interpreter: Path = Path(sys.executable)
    python_path: Sequence[Path] = (CHECKOUT / "shared",)
    config: Path = CHECKOUT / "mirror.conf"
    environment: Mapping[str, str] = field(default_factory=dict)


class ExecutionEnvironment:
    """One process of a function. Lines that it prints go to `on_line`."""

    def __init__(self, function: Function, runtime: Runtime, on_line: Callable[[str], None]):
        self._function = function
        self._on_line = on_line
        self._api = RuntimeApi()
        self._process = subprocess.Popen(
            [str(runtime.interpreter), "-P", str(BOOTSTRAP), function.handler],
            cwd=function.code,
            env=self._variables(runtime),
            stdin=subprocess.PIPE,  # never written to: its end tells the process that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        assert self._process.stdin is not None  # noqa: S101 (asked for above)
        assert self._process.stdout is not None  # noqa: S101
        self._stdin = self._process.stdin
        self._output = self._process.stdout
        self._unfinished_line = b""

    @property
    def alive(self) -> bool:
        return self._process.poll() is None

    def invoke(self, event: Any) -> Any:
        """Run the handler.

        Raises:
            FunctionFailed: the handler raised, the process ended or the time was over.
        """
        invocation = Invocation(event, self._function.timeout, self._function.arn)
        self._api.submit(invocation)
        limit = INIT_SECONDS
        since = time.monotonic()
        taken = False
        while not invocation.answer.done():
            if not self._read_output(POLL_SECONDS):
                status = self._process.wait()
                invocation.fail("Runtime.ExitError", f"the process ended with status {status}")
            elif invocation.taken.is_set() and not taken:
                taken, limit, since = True, self._function.timeout, time.monotonic()
            elif time.monotonic() - since > limit:
                invocation.fail("Sandbox.Timedout", f"killed after {limit:g} seconds")
                self.kill()
        if not invocation.taken.is_set():
            self.kill()  # it could not even start
        while self._output_waits() and self._read_output(0):
            pass
        return invocation.answer.result()

    def kill(self) -> None:
        """End the process; an invocation that runs fails. May be called from any thread."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and everything that belongs to it; nothing may be running."""
        self.kill()
        self._api.stop()
        self._stdin.close()
        self._output.close()

    def _output_waits(self) -> bool:
        return bool(select.select([self._output], [], [], 0)[0])

    def _read_output(self, seconds: float) -> bool:
        """Wait for output and pass on its lines; False at its end."""
        if not select.select([self._output], [], [], seconds)[0]:
            return True
        chunk = os.read(self._output.fileno(), 65536)
        *lines, self._unfinished_line = (self._unfinished_line + chunk).split(b"\n")
        if not chunk and self._unfinished_line:
            lines.append(self._unfinished_line)
            self._unfinished_line = b""
        for line in lines:
            self._on_line(line.decode(errors="replace"))
        return bool(chunk)

    def _variables(self, runtime: Runtime) -> dict[str, str]:
        """What Lambda sets, what the template sets, what stands in for the account."""
        function = self._function
        python_path = [function.code, *runtime.python_path]
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_EXECUTION_ENV": "AWS_Lambda_python3.13",
            "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(function.memory),
            "AWS_LAMBDA_FUNCTION_NAME": function.name,
            "AWS_LAMBDA_FUNCTION_VERSION": "$LATEST",
            "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand",
            "AWS_LAMBDA_LOG_GROUP_NAME": f"/aws/lambda/{function.name}",
            "AWS_LAMBDA_LOG_STREAM_NAME": "local",
            "AWS_LAMBDA_RUNTIME_API": self._api.address,
            "AWS_REGION": REGION,
            "AWS_SECRET_ACCESS_KEY": "local",
            "LAMBDA_TASK_ROOT": str(function.code),
            "LANG": "en_US.UTF-8",
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",  # Lambda's folders are read-only
            "PYTHONPATH": os.pathsep.join(map(str, python_path)),
            "TZ": ":UTC",
            "_HANDLER": function.handler,
            **function.environment,
            "FRUMIOUS_CONFIG": str(runtime.config),
            **runtime.environment,
        }


class WarmFunction:
    """A function with its environments: one that is warm and idle is used before a new one."""

    def __init__(self, function: Function, runtime: Runtime, on_line: Callable[[str], None]):
        self.settings = function
        self._runtime = runtime
        self._on_line = on_line
        self._lock = threading.Lock()
        self._idle: list[ExecutionEnvironment] = []
        self._all: set[ExecutionEnvironment] = set()

    def invoke(self, event: Any) -> Any:
        """Run the handler in an environment of its own; may be called from several threads.

        Raises:
            FunctionFailed: see `ExecutionEnvironment.invoke`.
        """
        with self._lock:
            environment = self._idle.pop() if self._idle else self._start()
        try:
            return environment.invoke(event)
        except FunctionFailed as error:
            self._on_line(f"the invocation failed: {error}")
            raise
        except BaseException:
            environment.kill()  # it is still busy with what nobody waits for any more
            raise
        finally:
            with self._lock:
                if environment.alive:
                    self._idle.append(environment)
                else:
                    self._discard(environment)

    def stop(self) -> None:
        """Kill all environments; invocations that run fail."""
        with self._lock:
            for environment in self._all:
                environment.kill()
            while self._idle:
                self._discard(self._idle.pop())

    def _start(self) -> ExecutionEnvironment:
        environment = ExecutionEnvironment(self.settings, self._runtime, self._on_line)
        self._all.add(environment)
        return environment

    def _discard(self, environment: ExecutionEnvironment) -> None:
        self._all.remove(environment)
        environment.close()
