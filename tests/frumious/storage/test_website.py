"""The mirror as an S3 website, without CloudFront: pip installs from it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest

from tests.servers.localstack import WEBSITE_HOST, localstack
from tests.servers.proxy import proxy
from tests.upstream import wheel
from tests.world import sync_projects

if TYPE_CHECKING:
    from pathlib import Path

    from tests.servers.s3 import S3Server
    from tests.upstream import Server

pytestmark = pytest.mark.servers


def publish(server: S3Server, bucket: str) -> None:
    """Make the bucket's `web/` a public website."""
    client = server.client()
    client.put_bucket_website(
        Bucket=bucket, WebsiteConfiguration={"IndexDocument": {"Suffix": "index.html"}}
    )
    everybody = {
        "Effect": "Allow",
        "Principal": "*",
        "Action": "s3:GetObject",
        "Resource": f"arn:aws:s3:::{bucket}/some/prefix/web/*",
    }
    client.put_bucket_policy(
        Bucket=bucket, Policy=json.dumps({"Version": "2012-10-17", "Statement": [everybody]})
    )


async def install(index: str, host: str, folder: Path, *requirements: str) -> str:
    """Run pip with the proxy for every host; return its output."""
    async with proxy() as server:
        pip = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pip", "install", "--isolated", "--no-cache-dir"),
            *("--disable-pip-version-check", "--target", folder, "--index-url", index),
            *("--trusted-host", host, "--proxy", f"http://127.0.0.1:{server.port}"),
            *requirements,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        output, _ = await pip.communicate()
        assert pip.returncode == 0, output.decode()
        return output.decode()


def test_pip_installs_from_the_bucket_s_website(upstream: Server, tmp_path: Path) -> None:
    upstream.index.upload(wheel("needy", "1.0", requires=["demo>=2"]))
    upstream.index.upload(wheel("demo", "2.0"))
    with localstack() as server:
        config = server.config(mirror=f"master = {upstream.url}\nallow-non-https = true")
        asyncio.run(sync_projects(config, "needy", "demo"))
        publish(server, config.bucket)
        host = f"{config.bucket}.{WEBSITE_HOST}"
        index = f"http://{host}:{urlsplit(server.endpoint).port}/some/prefix/web/simple/"

        output = asyncio.run(install(index, host, tmp_path, "needy"))

    assert "Successfully installed demo-2.0 needy-1.0" in output
