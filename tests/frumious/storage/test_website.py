"""ServeFrom=website: pip and uv install from S3's website endpoint, configured by the template."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import aiohttp
import pytest

from frumious.finalizing.finalize import finalize
from frumious.finalizing.front_page import PAGE
from frumious.mirror import open_mirror
from tests.localcloud.serving import Serving
from tests.servers.localstack import WEBSITE_HOST, localstack
from tests.servers.loopback import LoopbackServer
from tests.servers.proxy import proxy
from tests.upstream import Index, Server, wheel
from tests.world import sync_projects

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.config.settings import Config
    from tests.servers.s3 import S3Server

pytestmark = pytest.mark.servers

UV = str(Path(sys.executable).with_name("uv"))
ENVIRONMENT = {
    **{name: value for name, value in os.environ.items() if not name.startswith(("PIP_", "UV_"))},
    "PIP_CONFIG_FILE": os.devnull,
    "UV_NO_CONFIG": "1",
}


def publish(server: S3Server, bucket: str) -> None:
    """Configure the bucket as CloudFormation does."""
    client, serving = server.client(), Serving.of(bucket, ServeFrom="website")
    website: dict[str, Any] = serving.bucket["WebsiteConfiguration"]
    rules = [
        {"Condition": rule["RoutingRuleCondition"], "Redirect": rule["RedirectRule"]}
        for rule in website["RoutingRules"]
    ]
    client.put_bucket_website(
        Bucket=bucket,
        WebsiteConfiguration={
            "IndexDocument": {"Suffix": website["IndexDocument"]},
            "RoutingRules": rules,  # type: ignore[typeddict-item]
        },
    )
    client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(serving.policy))


@pytest.fixture(scope="module")
def site() -> Iterator[str]:
    """A mirror with two projects; the address of its website endpoint."""
    index = Index()
    index.upload(wheel("needy", "1.0", requires=["demo>=2"]))
    index.upload(wheel("demo", "2.0"))
    with Server(index) as upstream, localstack() as server:
        config = server.config(mirror=f"master = {upstream.url}\nallow-non-https = true")
        config = config.for_directory(f"/{config.bucket}")
        asyncio.run(mirror(config))
        publish(server, config.bucket)
        yield f"http://{config.bucket}.{WEBSITE_HOST}:{urlsplit(server.endpoint).port}"


async def mirror(config: Config) -> None:
    await sync_projects(config, "needy", "demo")
    async with open_mirror(config) as opened:
        await finalize(opened)


async def fetch(url: str) -> tuple[int, str, bytes]:
    """Return status, path and body of what the website endpoint answers, after redirects."""
    async with (
        proxy() as server,
        aiohttp.ClientSession() as session,
        session.get(url, proxy=f"http://127.0.0.1:{server.port}") as response,
    ):
        return response.status, response.url.path, await response.read()


async def install(*command: str) -> tuple[int | None, str]:
    """Run an installer with the proxy for every host; return its exit status and output."""
    async with proxy() as server:
        address = f"http://127.0.0.1:{server.port}"
        process = await asyncio.create_subprocess_exec(
            *command,
            env={**ENVIRONMENT, "HTTP_PROXY": address, "http_proxy": address, "NO_PROXY": ""},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await process.communicate()
    return process.returncode, output.decode()


@pytest.mark.parametrize("path", ["/web/simple/", "/simple/"])
@pytest.mark.parametrize("installer", ["pip", "uv"])
def test_installers_install_from_the_website(
    site: str, tmp_path: Path, installer: str, path: str
) -> None:
    index = f"{site}{path}"
    host = str(urlsplit(site).hostname)
    pip = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--trusted-host", host]
    uv = [UV, "pip", "install", "--no-cache"]
    status, output = asyncio.run(
        install(
            *(pip if installer == "pip" else uv),
            *("--index-url", index, "--target", str(tmp_path), "needy"),
        )
    )
    assert status == 0, output
    for module in ("needy", "demo"):
        assert (tmp_path / module / "__init__.py").exists()


@pytest.mark.parametrize(
    ("path", "status", "final"),
    [
        ("/web/", 200, "/web/"),
        ("/web", 200, "/web/"),
        ("/web/status.json", 200, "/web/status.json"),
        ("/web/simple/demo", 200, "/web/simple/demo/"),
        ("/simple/demo/", 200, "/web/simple/demo/"),
        ("/web/simple/missing/", 404, "/web/simple/missing/"),
        ("/", 404, "/"),
    ],
)
def test_paths_of_the_website_are_keys(site: str, path: str, status: int, final: str) -> None:
    answer, reached, body = asyncio.run(fetch(site + path))
    assert (answer, reached) == (status, final)
    assert (body == PAGE) == (final == "/web/")


class Forbidding(BaseHTTPRequestHandler):
    """S3 where nobody may list: it answers 403 for what is missing."""

    def do_GET(self) -> None:
        self.send_error(403)

    def log_message(self, *_arguments: object) -> None:
        """Print nothing."""


@pytest.mark.parametrize("ignored", [True, False])
def test_uv_asks_the_next_index_after_a_403_if_it_is_told_to(
    upstream: Server, tmp_path: Path, *, ignored: bool
) -> None:
    """As docs/serving/website.md says."""
    upstream.index.upload(wheel("elsewhere", "1.0"))
    config = tmp_path / "uv.toml"
    with LoopbackServer(Forbidding) as mirror:
        config.write_text(
            f'[[index]]\nurl = "{mirror.address}/web/simple/"\n'
            f"{'ignore-error-codes = [403]' if ignored else ''}\n"
            f'[[index]]\nurl = "{upstream.url}/simple/"\ndefault = true\n'
        )
        done = subprocess.run(
            [
                *(UV, "pip", "install", "--no-cache", "--config-file", config),
                *("--target", tmp_path / "target", "elsewhere"),
            ],
            env={name: value for name, value in ENVIRONMENT.items() if name != "UV_NO_CONFIG"},
            capture_output=True,
            text=True,
            check=False,
        )
    assert (done.returncode == 0) == ignored, done.stderr
