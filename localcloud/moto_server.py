"""moto's server in a separate process, which ends with its parent process.

In the same process it would share the interpreter lock with the code that is measured. Run as a
program, this module prints the server's URL and serves until its standard input closes.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import IO

from moto.server import ThreadedMotoServer


class MotoServer:
    """Starts the process; `endpoint` is its URL."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C must not reach it
            text=True,
        )
        self._output: IO[str] = _not_none(self._process.stdout)
        self.endpoint = self._output.readline().strip()
        if not self.endpoint:
            msg = f"moto's server did not start: it exited with status {self._process.wait()}"
            raise RuntimeError(msg)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()
        _not_none(self._process.stdin).close()


def _not_none(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 (it is a pipe)
    return stream


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # it logs each request at INFO
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
