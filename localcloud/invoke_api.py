"""Lambda's API on loopback, as far as functions invoke each other and wait for the response.

https://docs.aws.amazon.com/lambda/latest/api/API_Invoke.html. moto would need Docker for it.
"""

from __future__ import annotations

import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING, Any

from localcloud.runtime_api import FunctionFailed

if TYPE_CHECKING:
    from localcloud.environment import WarmFunction

_PATH = re.compile(r"/2015-03-31/functions/([^/]+)/invocations")
MAX_PAYLOAD = 6 * 1024**2  # bytes ("Lambda quotas" in the Lambda developer guide)


class InvokeApi:
    """The API at `url`; `functions` are known by their names."""

    def __init__(self) -> None:
        self.functions: dict[str, WarmFunction] = {}
        api = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                match = _PATH.fullmatch(self.path)
                body = self.rfile.read(int(self.headers["Content-Length"]))
                if match is None or match[1] not in api.functions:
                    self.send_error(404)
                elif len(body) > MAX_PAYLOAD:
                    self.send_error(413)
                else:
                    api._invoke(self, api.functions[match[1]], json.loads(body))

            def log_message(self, *_: object) -> None:
                """Print nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,), daemon=True)
        self._thread.start()

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _invoke(self, request: BaseHTTPRequestHandler, function: WarmFunction, event: Any) -> None:
        try:
            payload, failed = function.invoke(event), False
        except FunctionFailed as error:
            payload, failed = {"errorType": error.kind, "errorMessage": str(error)}, True
        body = json.dumps(payload).encode()
        request.send_response(200)
        request.send_header("Content-Length", str(len(body)))
        if failed:
            request.send_header("X-Amz-Function-Error", "Unhandled")
        request.end_headers()
        request.wfile.write(body)
