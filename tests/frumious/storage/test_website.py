"""The mirror behind S3's own website, without CloudFront: pip installs from it."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

import pytest
from packaging.utils import canonicalize_name

from frumious.mirror import open_mirror
from frumious.model.jobs import Job
from frumious.model.types import RunId
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from tests.servers.localstack import WEBSITE_HOST, localstack
from tests.servers.proxy import proxy
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.config.settings import Config
    from tests.servers.s3 import S3Server
    from tests.upstream import Server

pytestmark = pytest.mark.servers


def publish(server: S3Server, bucket: str) -> None:
    """Let everybody read the bucket's `web/`, as a website."""
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


async def mirror_projects(config: Config, *projects: str) -> None:
    async with open_mirror(config) as mirror:
        for project in projects:
            job = Job(RunId("run-1"), canonicalize_name(project), 0)
            attempt = Attempt(job)
            result = await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
            assert not result.error


async def install(index: str, host: str, folder: Path, *requirements: str) -> str:
    """Run pip, to which the proxy is the way to every host; return what it says."""
    async with proxy() as way:
        pip = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "pip", "install", "--isolated", "--no-cache-dir"),
            *("--disable-pip-version-check", "--target", folder, "--index-url", index),
            *("--trusted-host", host, "--proxy", f"http://127.0.0.1:{way.port}"),
            *requirements,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        said, _ = await pip.communicate()
        assert pip.returncode == 0, said.decode()
        return said.decode()


def test_pip_installs_from_the_bucket_s_website(upstream: Server, tmp_path: Path) -> None:
    upstream.index.upload(wheel("needy", "1.0", requires=["demo>=2"]))
    upstream.index.upload(wheel("demo", "2.0"))
    with localstack() as server:
        config = server.config(mirror=f"master = {upstream.url}\nallow-non-https = true")
        asyncio.run(mirror_projects(config, "needy", "demo"))
        publish(server, config.bucket)
        host = f"{config.bucket}.{WEBSITE_HOST}"
        index = f"http://{host}:{urlsplit(server.endpoint).port}/some/prefix/web/simple/"

        said = asyncio.run(install(index, host, tmp_path, "needy"))

    assert "Successfully installed demo-2.0 needy-1.0" in said
