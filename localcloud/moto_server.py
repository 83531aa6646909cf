"""moto's server in a process of its own, that ends with the process that started it.

Of its own, because it would otherwise share one interpreter lock with everything that is measured.
Run as a program, it prints its address and serves until its standard input closes.
"""

from __future__ import annotations

import logging
import subprocess
import sys
from typing import IO

from moto.server import ThreadedMotoServer


class MotoServer:
    """Starts the process; `endpoint` is its address."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] = subprocess.Popen(
            [sys.executable, "-P", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,  # Ctrl-C is for us; the server ends when we say so
            text=True,
        )
        self._output: IO[str] = _opened(self._process.stdout)
        self.endpoint = self._output.readline().strip()
        if not self.endpoint:
            msg = f"moto's server did not start: exit status {self._process.wait()}"
            raise RuntimeError(msg)

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()
        self._output.close()
        _opened(self._process.stdin).close()


def _opened(stream: IO[str] | None) -> IO[str]:
    assert stream is not None  # noqa: S101 (it was asked for as a pipe)
    return stream


def main() -> None:
    logging.getLogger("werkzeug").setLevel(logging.ERROR)  # a line for each request otherwise
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    print(f"http://{host}:{port}", flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
