"""Lambda's Runtime API on loopback, for one execution environment.

AWS's runtime client (`awslambdaric`) gets the next invocation from it, and posts responses and
errors to it: https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html.
"""

from __future__ import annotations

import json
import time
import uuid
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from queue import SimpleQueue
from threading import Event, Thread
from typing import Any

PREFIX = "/2018-06-01/runtime"


class FunctionFailed(Exception):
    """An invocation failed: by an error of the handler, a crash or a timeout."""

    def __init__(self, kind: str, message: str, trace: tuple[str, ...] = ()) -> None:
        super().__init__(f"{kind}: {message}")
        self.kind = kind
        self.trace = trace


@dataclass(frozen=True, slots=True)
class Invocation:
    """One invocation of a function. `timeout` is in seconds."""

    event: Any
    timeout: float
    function_arn: str
    id: str = field(default_factory=lambda: str(uuid.uuid4()))
    started: Event = field(default_factory=Event)
    response: Future[Any] = field(default_factory=Future)

    def succeed(self, payload: Any) -> None:
        """Set the response, unless the invocation has ended."""
        with suppress(InvalidStateError):
            self.response.set_result(payload)

    def fail(self, kind: str, message: str, trace: tuple[str, ...] = ()) -> None:
        """Set an error, unless the invocation has ended."""
        with suppress(InvalidStateError):
            self.response.set_exception(FunctionFailed(kind, message, trace))


class RuntimeApi:
    """The API of one environment; `address` is the value of AWS_LAMBDA_RUNTIME_API."""

    def __init__(self) -> None:
        self._pending: SimpleQueue[Invocation | None] = SimpleQueue()
        self._current: dict[str, Invocation] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                api._send_next(self)

            def do_POST(self) -> None:
                api._receive_report(self)

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.address = f"127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def submit(self, invocation: Invocation) -> None:
        """Send the invocation in response to the environment's next request."""
        self._pending.put(invocation)

    def stop(self) -> None:
        self._pending.put(None)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _send_next(self, request: BaseHTTPRequestHandler) -> None:
        if request.path != f"{PREFIX}/invocation/next":
            request.send_error(404)
            return
        invocation = self._pending.get()
        if invocation is None:
            request.close_connection = True
            return
        self._current[invocation.id] = invocation
        body = json.dumps(invocation.event).encode()
        deadline = time.time() + invocation.timeout
        trace = f"Root=1-{int(time.time()):08x}-{uuid.uuid4().hex[:24]};Sampled=0"
        request.send_response(200)
        request.send_header("Content-Type", "application/json")
        request.send_header("Content-Length", str(len(body)))
        request.send_header("Lambda-Runtime-Aws-Request-Id", invocation.id)
        request.send_header("Lambda-Runtime-Deadline-Ms", str(int(deadline * 1000)))
        request.send_header("Lambda-Runtime-Invoked-Function-Arn", invocation.function_arn)
        request.send_header("Lambda-Runtime-Trace-Id", trace)
        request.end_headers()
        invocation.started.set()
        request.wfile.write(body)

    def _receive_report(self, request: BaseHTTPRequestHandler) -> None:
        body = request.rfile.read(int(request.headers["Content-Length"]))
        match request.path.removeprefix(PREFIX).strip("/").split("/"):
            case ["invocation", id_, "response"]:
                self._current.pop(id_).succeed(json.loads(body))
            case ["invocation", id_, "error"]:
                _fail(self._current.pop(id_), json.loads(body))
            case ["init", "error"]:
                if invocation := self._pending.get():  # an environment starts with an invocation
                    _fail(invocation, json.loads(body))
            case _:
                request.send_error(404)
                return
        request.send_response(202)
        request.send_header("Content-Length", "0")
        request.end_headers()


def _fail(invocation: Invocation, error: dict[str, Any]) -> None:
    trace = tuple(error.get("stackTrace") or ())
    invocation.fail(error["errorType"], error["errorMessage"], trace)
