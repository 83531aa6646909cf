"""LocalStack on this machine: an S3 that supports conditions, checksums and websites."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.servers.process import free_port, program, responds, running, temporary_folder
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

WEBSITE_HOST: Final = "s3-website.localhost.localstack.cloud"

_START: Final = "from localstack.runtime.main import main; main()"


@contextmanager
def localstack() -> Iterator[S3Server]:
    """Serve an S3 without buckets, on loopback only."""
    port = free_port()
    with temporary_folder("localstack") as folder:
        environment = {
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "GATEWAY_SERVER": "hypercorn",  # the other server listens on all addresses
            "FILESYSTEM_ROOT": str(folder),
            "XDG_CACHE_HOME": str(folder / "cache"),
            "TMPDIR": str(folder),
            "SERVICES": "s3,sts",
            "STRICT_SERVICE_LOADING": "1",
            "EAGER_SERVICE_LOADING": "1",
            # It makes no requests to the network.
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "SKIP_INFRA_DOWNLOADS": "1",
        }
        url = f"http://127.0.0.1:{port}"
        with running(
            [program("python"), "-c", _START],
            folder / "log",
            lambda: responds(f"{url}/_localstack/health"),
            environment=environment,
        ):
            yield S3Server(url, "test", "test")
