"""A server on loopback that misbehaves as a test tells it to, by writing to the socket."""

from __future__ import annotations

import json
import socket
import struct
import threading
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from msgspec.structs import replace

from frumious.config import loading

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    from frumious.config.settings import Config

_BACKLOG: Final = 128
_RESET: Final = struct.pack("ii", 1, 0)  # SO_LINGER: closing sends a reset


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection of which the request's head has been read, but not its body."""

    server: RawServer
    socket: socket.socket
    method: str
    path: str

    def respond(self, status: int, *headers: str, body: bytes = b"") -> None:
        lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers, "", ""]
        self.socket.sendall("\r\n".join(lines).encode() + body)

    def hang(self) -> None:
        """Neither read nor write until the server is closed."""
        self.server.closing.wait()

    def reset(self) -> None:
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)


class RawServer:
    """A context manager that passes each connection to `behave` in a thread, then closes it.

    It accepts every login of a Swift client, responds as if every container existed, and has the
    capabilities that `info` names.
    """

    def __init__(
        self, behave: Callable[[Connection], None], info: Mapping[str, object] | None = None
    ) -> None:
        self._behave = behave
        self._info = json.dumps(info or {}).encode()
        self._listening = socket.create_server(("127.0.0.1", 0), backlog=_BACKLOG)
        self._threads = [threading.Thread(target=self._accept)]
        self.url = f"http://127.0.0.1:{self._listening.getsockname()[1]}"
        self.closing = threading.Event()
        self.requests: list[tuple[str, str]] = []  # method and path, without logins

    def __enter__(self) -> Self:
        self._threads[0].start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.closing.set()
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        for thread in self._threads:
            thread.join()

    def _accept(self) -> None:
        while True:
            try:
                accepted, _ = self._listening.accept()
            except OSError:
                return
            thread = threading.Thread(target=self._serve, args=(accepted,))
            self._threads.append(thread)
            thread.start()

    def _serve(self, accepted: socket.socket) -> None:
        with suppress(OSError), accepted:
            head = b""
            while not head.endswith(b"\r\n\r\n"):
                if not (byte := accepted.recv(1)):
                    return
                head += byte
            method, path, _ = head.split(b"\r\n", 1)[0].decode().split(" ")
            connection = Connection(self, accepted, method, path)
            if path.startswith("/auth/"):
                account = f"X-Storage-Url: {self.url}/v1/AUTH_test"
                connection.respond(200, account, "X-Auth-Token: t", "Connection: close")
            elif path == "/info":
                connection.respond(200, "Connection: close", body=self._info)
            elif path.startswith("/v1/AUTH_test/") and path.count("/") == 3:  # a container
                connection.respond(204, "Connection: close")
            else:
                self.requests.append((method, path))
                self._behave(connection)


def s3_config(server: RawServer, options: str = "") -> Config:
    """Return the configuration of a mirror in a bucket; `options` are lines of [mirror].

    As an emulator of AWS, the server is not probed.
    """
    config = loading.parse(
        f"[mirror]\nstorage-backend = s3\ndirectory = /bucket\n{options}\n"
        f"[s3]\nendpoint_url = {server.url}\nregion_name = us-east-1\naddressing_style = path\n"
        "aws_access_key_id = id\naws_secret_access_key = secret\n",
        {},
    )
    return replace(config, s3=replace(config.s3, is_aws=True))


def swift_config(server: RawServer, options: str = "") -> Config:
    """Return the configuration of a mirror in a container; `options` are lines of [mirror]."""
    return loading.parse(
        f"[mirror]\nstorage-backend = swift\ndirectory = /mirror\n{options}\n"
        f"[swift]\ndefault_container = container\nauth_version = 1\n"
        f"auth_url = {server.url}/auth/v1.0\nusername = user\npassword = secret\n",
        {},
    )
