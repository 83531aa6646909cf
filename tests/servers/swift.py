"""A real Swift on loopback: its four servers, tempauth, staticweb, large objects and the S3 API.

One replica on one "disk", which is a temporary folder.
"""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import uuid
from contextlib import ExitStack, asynccontextmanager
from typing import TYPE_CHECKING, Final, Self

from frumious.config import loading
from frumious.storage.swift.storage import SwiftStorage
from tests.servers.process import (
    NotStarted,
    free_ports,
    program,
    responds,
    running,
    temporary_folder,
)

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence
    from pathlib import Path
    from types import TracebackType

    from frumious.config.settings import Config

_KINDS: Final = ("account", "container", "object")

_SWIFT: Final = """\
[swift-hash]
swift_hash_path_prefix = test
swift_hash_path_suffix = test

# Less than most clusters have, so that a listing takes several pages; s3api requests 1001.
[swift-constraints]
container_listing_limit = 1100
"""

_COMMON: Final = """\
[DEFAULT]
bind_ip = 127.0.0.1
bind_port = {port}
workers = 0
user = {user}
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
log_level = ERROR
fallocate_reserve = 0
disable_fallocate = true
"""

_BACKEND: Final = """
[pipeline:main]
pipeline = {kind}-server

[app:{kind}-server]
use = egg:swift#{kind}
"""

_PROXY: Final = """
[pipeline:main]
pipeline = catch_errors gatekeeper healthcheck cache listing_formats bulk s3api tempauth \
staticweb copy slo dlo symlink proxy-server

[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true

[filter:catch_errors]
use = egg:swift#catch_errors

[filter:gatekeeper]
use = egg:swift#gatekeeper

[filter:healthcheck]
use = egg:swift#healthcheck

[filter:cache]
use = egg:swift#memcache
memcache_servers = 127.0.0.1:{memcached}

[filter:listing_formats]
use = egg:swift#listing_formats

[filter:bulk]
use = egg:swift#bulk

[filter:s3api]
use = egg:swift#s3api
location = us-east-1
allow_multipart_uploads = true

[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
user_test_reader = reading

[filter:staticweb]
use = egg:swift#staticweb

[filter:copy]
use = egg:swift#copy

[filter:slo]
use = egg:swift#slo

[filter:dlo]
use = egg:swift#dlo

[filter:symlink]
use = egg:swift#symlink
"""

# Run by Swift's own Python: one device, one replica and few partitions for each kind of server.
_RINGS: Final = """\
import sys
from swift.common.ring import RingBuilder

folder = sys.argv[1]
for kind, port in zip(("account", "container", "object"), sys.argv[2:]):
    builder = RingBuilder(3, 1, 0)
    builder.add_dev({"id": 0, "region": 1, "zone": 1, "weight": 1, "ip": "127.0.0.1",
                     "port": int(port), "device": "disk", "meta": "",
                     "replication_ip": "127.0.0.1", "replication_port": int(port)})
    builder.rebalance()
    builder.get_ring().save(f"{folder}/{kind}.ring.gz")
"""


class SwiftServer:
    """A context manager that starts Swift."""

    user = "test:tester"
    key = "testing"

    def __init__(self) -> None:
        self._closing = ExitStack()
        self.url = ""  # of the proxy, without a slash at its end
        self.port = 0

    def __enter__(self) -> Self:
        with ExitStack() as closing:
            self._start(closing)
            self._closing = closing.pop_all()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._closing.close()

    @property
    def auth_url(self) -> str:
        """The URL of tempauth's logins."""
        return f"{self.url}/auth/v1.0"

    @property
    def storage_url(self) -> str:
        """The account's URL."""
        return f"{self.url}/v1/AUTH_test"

    @property
    def s3_endpoint(self) -> str:
        """The S3 API's URL: the user is the access key, the key is the secret."""
        return self.url

    def open(self, options: str = "", mirror: str = "") -> SwiftStorage:
        """Open a storage in a new container; `options` are lines of [swift].

        Call it in a running event loop, and close the storage.
        """
        return SwiftStorage(self.configured(options, mirror))

    def configured(self, options: str = "", mirror: str = "") -> Config:
        """Return a configuration that names this Swift and a new container."""
        login = (
            f"auth_version = 1\nauth_url = {self.auth_url}\n"
            f"username = {self.user}\npassword = {self.key}\n"
        )
        return configured(login + options, mirror)

    def _start(self, closing: ExitStack) -> None:
        folder = closing.enter_context(temporary_folder("swift"))
        self.port, memcached, *ports = free_ports(2 + len(_KINDS))
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "devices" / "disk").mkdir(parents=True)
        (folder / "swift.conf").write_text(_SWIFT)
        subprocess.run(
            [program("python"), "-c", _RINGS, folder, *(str(port) for port in ports)], check=True
        )

        def start(
            command: Sequence[str | Path], port: int, is_ready: Callable[[int], bool] = _responds
        ) -> None:
            log = folder / f"{port}.log"
            closing.enter_context(running(command, log, lambda: is_ready(port)))

        user = getpass.getuser()
        address = ("-l", "127.0.0.1", "-p", str(memcached), "-U", "0")
        start([_memcached(), *address, "-u", user], memcached, _listens)
        for kind, port in zip((*_KINDS, "proxy"), (*ports, self.port), strict=True):
            text = (_COMMON + (_PROXY if kind == "proxy" else _BACKEND)).format(
                port=port, user=user, folder=folder, kind=kind, memcached=memcached
            )
            file = folder / f"{kind}-server.conf"
            file.write_text(text)
            start([program("python"), program(f"swift-{kind}-server"), file], port)


@asynccontextmanager
async def open_swift(server: SwiftServer) -> AsyncIterator[SwiftStorage]:
    """Open a storage in a new container, as the contract's tests expect it."""
    storage = server.open()
    try:
        yield storage
    finally:
        await storage.aclose()


def configured(options: str, mirror: str = "") -> Config:
    """Return a configuration from lines of [swift] and of [mirror], with a new container.

    If two lines set the same key, the later one wins.
    """
    general = f"directory = /mirror\nstorage-backend = swift\n{mirror}"
    container = f"default_container = mirror-{uuid.uuid4()}\n{options}"
    return loading.parse(f"[mirror]\n{_last(general)}\n[swift]\n{_last(container)}\n", {})


def _last(lines: str) -> str:
    by_key = {line.partition("=")[0].strip(): line for line in lines.splitlines()}
    return "\n".join(by_key.values())


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True


def _responds(port: int) -> bool:
    return responds(f"http://127.0.0.1:{port}/healthcheck")


def _memcached() -> str:
    path = shutil.which("memcached") or shutil.which("memcached", path="/usr/bin")
    if path is None:
        msg = "memcached is missing; install it (Debian, Ubuntu: apt-get install memcached)"
        raise NotStarted(msg)
    return path
