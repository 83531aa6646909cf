"""A real Swift on loopback: its four servers, tempauth, staticweb, large objects and the S3 API.

One replica on one "disk", a temporary folder. Every process ends with the server that is closed
here, and at the latest with the process that started it.
"""

from __future__ import annotations

import getpass
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request
import uuid
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final, Self
from urllib.error import URLError

from frumious.config import loading
from frumious.storage.swift.storage import SwiftStorage
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from types import TracebackType

    from frumious.config.settings import Config

ENVIRONMENT: Final = CHECKOUT / ".venv-servers"

_STARTING: Final = 30  # seconds that the servers may take
_STOPPING: Final = 5  # seconds until a process that was asked to end is made to

_SWIFT: Final = """\
[swift-hash]
swift_hash_path_prefix = test
swift_hash_path_suffix = test

# Less than most clusters have, so that a listing takes several pages; s3api asks for 1001.
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

# Run by Swift's own Python: one device, one replica, few partitions, for each kind of server.
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
    """Starts Swift; a context manager.

    `environment` is the virtual environment that has Swift (`make test-servers` makes it).
    """

    user = "test:tester"
    key = "testing"

    def __init__(self, environment: Path = ENVIRONMENT) -> None:
        self._bin = environment / "bin"
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
        """Where tempauth gives tokens."""
        return f"{self.url}/auth/v1.0"

    @property
    def storage_url(self) -> str:
        """The account's own address."""
        return f"{self.url}/v1/AUTH_test"

    @property
    def s3_endpoint(self) -> str:
        """Where the S3 API is: the user is the access key, the key is the secret."""
        return self.url

    def open(self, options: str = "", mirror: str = "") -> SwiftStorage:
        """Open a storage in a container of its own; `options` are lines of [swift].

        Call it in a running event loop, and close it.
        """
        return SwiftStorage(self.configured(options, mirror))

    def configured(self, options: str = "", mirror: str = "") -> Config:
        """Make a configuration that names this Swift and a fresh container."""
        login = (
            f"auth_version = 1\nauth_url = {self.auth_url}\n"
            f"username = {self.user}\npassword = {self.key}\n"
        )
        return configured(login + options, mirror)

    def _start(self, closing: ExitStack) -> None:
        memcached = _found("memcached", "/usr/bin")
        python = self._bin / "python"
        if not (self._bin / "swift-proxy-server").exists():
            msg = f"there is no Swift in {self._bin.parent}: `make test-servers` installs it"
            raise RuntimeError(msg)
        shared = Path("/dev/shm")  # noqa: S108 (memory, where there is some)
        folder = Path(
            closing.enter_context(
                tempfile.TemporaryDirectory(
                    prefix="swift-",
                    dir=shared if os.access(shared, os.W_OK) else None,
                    ignore_cleanup_errors=True,
                )
            )
        )
        ports = _free_ports("memcached", "proxy", "account", "container", "object")
        (folder / "devices" / "disk").mkdir(parents=True)
        (folder / "swift.conf").write_text(_SWIFT)
        backends = [str(ports[kind]) for kind in ("account", "container", "object")]
        subprocess.run([python, "-c", _RINGS, folder, *backends], check=True)
        log = closing.enter_context((folder / "log").open("w+"))

        def start(*command: str | Path) -> None:
            closing.callback(_stop, process := _started(command, log.fileno()))
            processes.append(process)

        processes: list[subprocess.Popen[bytes]] = []
        user = getpass.getuser()
        start(memcached, "-l", "127.0.0.1", "-p", str(ports["memcached"]), "-U", "0", "-u", user)
        for kind in ("account", "container", "object", "proxy"):
            text = (_COMMON + (_PROXY if kind == "proxy" else _BACKEND)).format(
                port=ports[kind],
                user=user,
                folder=folder,
                kind=kind,
                memcached=ports["memcached"],
            )
            file = folder / f"{kind}-server.conf"
            file.write_text(text)
            start(python, self._bin / f"swift-{kind}-server", file)
        self.port = ports["proxy"]
        self.url = f"http://127.0.0.1:{self.port}"
        deadline = time.monotonic() + _STARTING
        while not self._answers(ports):
            ended = [process.args for process in processes if process.poll() is not None]
            if ended or time.monotonic() > deadline:
                log.seek(0)
                msg = f"Swift did not start ({ended or 'too slow'}):\n{log.read()[-3000:]}"
                raise RuntimeError(msg)
            time.sleep(0.05)

    def _answers(self, ports: dict[str, int]) -> bool:
        try:
            for port in ports.values():
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            with urllib.request.urlopen(f"{self.url}/healthcheck", timeout=5) as answer:  # noqa: S310
                return bool(answer.status == 200)
        except (OSError, URLError):
            return False


@asynccontextmanager
async def open_swift(server: SwiftServer) -> AsyncIterator[SwiftStorage]:
    """Give a storage in a container of its own, as the contract's tests take it."""
    storage = server.open()
    try:
        yield storage
    finally:
        await storage.aclose()


def configured(options: str, mirror: str = "") -> Config:
    """Make a configuration from lines of [swift] and of [mirror], with a fresh container.

    Of two lines that set the same, the later is meant.
    """
    place = f"directory = /mirror\nstorage-backend = swift\n{mirror}"
    container = f"default_container = mirror-{uuid.uuid4()}\n{options}"
    return loading.parse(f"[mirror]\n{_last(place)}\n[swift]\n{_last(container)}\n", {})


def _last(lines: str) -> str:
    said = {line.partition("=")[0].strip(): line for line in lines.splitlines()}
    return "\n".join(said.values())


def _started(command: tuple[str | Path, ...], log: int) -> subprocess.Popen[bytes]:
    # Swift's servers know no way to end with their parent; setpriv is in every Linux.
    dying = [setpriv, "--pdeathsig", "KILL"] if (setpriv := shutil.which("setpriv")) else []
    return subprocess.Popen(
        [*dying, *command],
        stdin=subprocess.DEVNULL,
        stdout=log,
        stderr=log,
        start_new_session=True,  # Ctrl-C is for us
    )


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(_STOPPING)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _found(program: str, folder: str) -> str:
    path = shutil.which(program) or shutil.which(program, path=folder)
    if path is None:
        msg = f"{program} is missing: install it (Debian, Ubuntu: apt-get install {program})"
        raise RuntimeError(msg)
    return path


def _free_ports(*names: str) -> dict[str, int]:
    """Choose free ports; all are held until all are chosen, so that they differ."""
    with ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in names]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return {name: each.getsockname()[1] for name, each in zip(names, sockets, strict=True)}
