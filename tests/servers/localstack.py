"""LocalStack on the machine itself: an S3 that knows conditions, checksums and websites."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from tests.servers.process import answers, folder, free_port, program, running
from tests.servers.s3 import S3Server

if TYPE_CHECKING:
    from collections.abc import Iterator

WEBSITE_HOST: Final = "s3-website.localhost.localstack.cloud"

_START: Final = "from localstack.runtime.main import main; main()"


@contextmanager
def localstack() -> Iterator[S3Server]:
    """Serve an S3 without buckets, on loopback alone."""
    port = free_port()
    with folder("localstack") as place:
        environment = {
            "GATEWAY_LISTEN": f"127.0.0.1:{port}",
            "GATEWAY_SERVER": "hypercorn",  # the other one listens on every address
            "FILESYSTEM_ROOT": str(place),
            "XDG_CACHE_HOME": str(place / "cache"),
            "TMPDIR": str(place),
            "SERVICES": "s3,sts",
            "STRICT_SERVICE_LOADING": "1",
            "EAGER_SERVICE_LOADING": "1",
            # It asks nobody outside for anything.
            "SKIP_SSL_CERT_DOWNLOAD": "1",
            "DISABLE_EVENTS": "1",
            "SKIP_INFRA_DOWNLOADS": "1",
        }
        url = f"http://127.0.0.1:{port}"
        with running(
            [program("python"), "-c", _START],
            place / "log",
            lambda: answers(f"{url}/_localstack/health"),
            environment=environment,
        ):
            yield S3Server(url, "test", "test")
