"""Execution environments: a function's handler in a separate process, as in Lambda.

A process is reused while it is warm, killed at the function's timeout, and discarded after a
crash. When an invocation returns, all output that the process wrote during it was read.
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

from localcloud.metrics import Metric
from localcloud.runtime_api import FunctionFailed, Invocation, RuntimeApi
from localcloud.stack import REGION

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from localcloud.metrics import Metrics
    from localcloud.stack import Function

CHECKOUT = Path(__file__).resolve().parent.parent
BOOTSTRAP = Path(__file__).with_name("bootstrap.py")
INIT_SECONDS = 60.0  # Lambda allows 10; a busy machine may need more to import everything
POLL_SECONDS = 0.01


@dataclass(frozen=True, slots=True)
class Runtime:
    """The runtime of functions.

    Attributes:
        interpreter: A Python with `awslambdaric`.
        python_path: The replacement of the layers.
        config: The functions' `mirror.conf`.
        environment: Variables that extend and override those of the template.
    """

    interpreter: Path = Path(sys.executable)
    python_path: Sequence[Path] = (CHECKOUT / "shared",)
    config: Path = CHECKOUT / "mirror.conf"
    environment: Mapping[str, str] = field(default_factory=dict)


class ExecutionEnvironment:
    """One process of a function; passes the lines that it prints to `on_line`."""

    def __init__(self, function: Function, runtime: Runtime, on_line: Callable[[str], None]):
        self._function = function
        self._on_line = on_line
        self._api = RuntimeApi()
        self._process = subprocess.Popen(
            [str(runtime.interpreter), "-P", str(BOOTSTRAP), function.handler],
            cwd=function.code,
            env=self._variables(runtime),
            stdin=subprocess.PIPE,  # its end makes the process exit, see bootstrap.py
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
        """Run the handler and return its response.

        Raises:
            FunctionFailed: the handler raised, the process ended or the timeout passed.
        """
        invocation = Invocation(event, self._function.timeout, self._function.arn)
        self._api.submit(invocation)
        timeout = INIT_SECONDS
        since = time.monotonic()
        started = False
        while not invocation.response.done():
            if not self._read_output(POLL_SECONDS):
                status = self._process.wait()
                invocation.fail("Runtime.ExitError", f"the process exited with status {status}")
            elif invocation.started.is_set() and not started:
                started, timeout, since = True, self._function.timeout, time.monotonic()
            elif time.monotonic() - since > timeout:
                invocation.fail("Sandbox.Timedout", f"killed after {timeout:g} seconds")
                self.kill()
        if not invocation.started.is_set():
            self.kill()  # the runtime client did not start
        while self._has_output() and self._read_output(0):
            pass
        return invocation.response.result()

    def kill(self) -> None:
        """Kill the process; a running invocation fails. May be called from any thread."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """Kill the process and release its resources; no invocation may be running."""
        self.kill()
        self._api.stop()
        self._stdin.close()
        self._output.close()

    def _has_output(self) -> bool:
        return bool(select.select([self._output], [], [], 0)[0])

    def _read_output(self, seconds: float) -> bool:
        """Wait for output and pass its lines to `on_line`; return False at its end."""
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
        """Return Lambda's variables, the template's, and those of the runtime."""
        function = self._function
        python_path = [function.code, *runtime.python_path]
        in_layer = not function.environment["FRUMIOUS_CONFIG"].startswith("s3://")
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
            **({"FRUMIOUS_CONFIG": str(runtime.config)} if in_layer else {}),
            **runtime.environment,
        }


class WarmFunction:
    """A function with its environments; a warm one is used before a new one is started.

    `quota` is the account's number of concurrent executions, which its functions share.
    """

    def __init__(
        self,
        function: Function,
        runtime: Runtime,
        on_line: Callable[[str], None],
        metrics: Metrics,
        quota: threading.Semaphore,
    ) -> None:
        self.settings = function
        self._runtime = runtime
        self._on_line = on_line
        self._metrics = metrics
        self._quota = quota
        self._lock = threading.Lock()
        self._idle: list[ExecutionEnvironment] = []
        self._all: set[ExecutionEnvironment] = set()

    def invoke(self, event: Any) -> Any:
        """Run the handler in an idle environment; may be called from several threads.

        Raises:
            FunctionFailed: see `ExecutionEnvironment.invoke`, or the quota is exhausted.
        """
        if not self._quota.acquire(blocking=False):
            self._count("Throttles", 1)
            kind = "TooManyRequestsException"
            raise FunctionFailed(kind, "the account's concurrency quota is exhausted")
        self._count("Throttles", 0)
        self._count("Invocations", 1)
        with self._lock:
            environment = self._idle.pop() if self._idle else self._start()
        try:
            response = environment.invoke(event)
        except FunctionFailed as error:
            self._count("Errors", 1)
            self._on_line(f"the invocation failed: {error}")
            raise
        except BaseException:
            environment.kill()  # it still runs the abandoned invocation
            raise
        else:
            self._count("Errors", 0)
            return response
        finally:
            self._quota.release()
            with self._lock:
                if environment.alive:
                    self._idle.append(environment)
                else:
                    self._discard(environment)

    def stop(self) -> None:
        """Kill all environments; running invocations fail."""
        with self._lock:
            for environment in self._all:
                environment.kill()
            while self._idle:
                self._discard(self._idle.pop())

    def _count(self, metric: str, value: float) -> None:
        name = self.settings.name
        self._metrics.add(Metric.of("AWS/Lambda", metric, FunctionName=name), value)

    def _start(self) -> ExecutionEnvironment:
        environment = ExecutionEnvironment(self.settings, self._runtime, self._on_line)
        self._all.add(environment)
        return environment

    def _discard(self, environment: ExecutionEnvironment) -> None:
        self._all.remove(environment)
        environment.close()
