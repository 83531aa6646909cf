"""Bytes on the wire: a project page of 1,000 files and PyPI's root index, plain and compressed.

    python -m bench.wire [--projects 740000] [--names FILE]

FILE has a project's name on each line; without it, names are made of random syllables, which
compress a little less well than real ones. The mirror's own code publishes both into moto, and the
local distribution serves them, as the template says, to a client that accepts gzip and to one that
does not.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import random
import urllib.request
from pathlib import Path
from typing import TYPE_CHECKING, Final

from packaging.utils import canonicalize_name
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from bench.scale import PYPI
from frumious.config import loading
from frumious.finalizing.root_index import publish_root_index
from frumious.mirror import open_mirror
from frumious.model.jobs import Job
from frumious.model.pages import ListedProject
from frumious.model.types import RunId
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from localcloud import LocalCloud
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Collection

FILES: Final = 1000
JSON: Final = "application/vnd.pypi.simple.v1+json"
TEXT: Final = "text/html"
PROJECT: Final = "demo"
_SYLLABLES: Final = [f"{first}{last}" for first in "bcdfghklmnprstvz" for last in "aeiouy"]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench.wire")
    parser.add_argument("--projects", type=int, default=PYPI, help="how many the root index lists")
    parser.add_argument("--names", type=Path, help="a file with their names")
    arguments = parser.parse_args()
    names = _names(arguments.projects, arguments.names)
    projects = len(names)
    index = Index()
    for number in range(FILES // 2):
        for suffix in ("-py3-none-any.whl", ".tar.gz"):
            index.add_file(PROJECT, f"{PROJECT}-1.{number}{suffix}", size=100)
    with Server(index) as upstream, LocalCloud() as cloud:
        os.environ |= {
            "AWS_ENDPOINT_URL_S3": cloud.endpoint,
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": "us-east-1",
        }
        conf = (
            f"[mirror]\nstorage-backend = s3\ndirectory = /{cloud.bucket}\n"
            f"master = {upstream.url}\nallow-non-https = true\nworkers = 10\n"
        )
        asyncio.run(_publish(conf, names))
        table = Table(title="Bytes on the wire", box=SIMPLE_HEAD)
        for heading in ("", "plain", "gzip", "share"):
            table.add_column(heading, justify="right" if heading else "left")
        for text, path, accept in (
            (f"project page of {FILES:,} files, JSON", f"/simple/{PROJECT}/", JSON),
            (f"root index of {projects:,} projects, JSON", "/simple/", JSON),
            (f"root index of {projects:,} projects, HTML", "/simple/", TEXT),
        ):
            plain = _size(cloud.url + path, accept, "identity")
            compressed = _size(cloud.url + path, accept, "gzip")
            table.add_row(text, f"{plain:,}", f"{compressed:,}", f"{compressed / plain:.0%}")
    Console(highlight=False).print(table)


def _names(projects: int, file: Path | None) -> Collection[str]:
    if file is not None:
        lines = file.read_text(encoding="utf-8").splitlines()
        return {str(canonicalize_name(line)): line for line in lines[:projects]}.values()
    choose = random.Random(1)  # noqa: S311 (not a secret)
    names: set[str] = set()
    while len(names) < projects:
        words = [choose.choices(_SYLLABLES, k=choose.randint(2, 4)) for _ in range(2)]
        names.add("-".join("".join(word) for word in words))
    return names


async def _publish(conf: str, names: Collection[str]) -> None:
    choose = random.Random(1)  # noqa: S311 (not a secret)
    changes = {
        canonicalize_name(name): ListedProject(
            name, choose.randrange(40_000_000), choose.randrange(1, 60), choose.randrange(10**7)
        )
        for name in names
    }
    async with open_mirror(loading.parse(conf, {})) as mirror:
        attempt = Attempt(Job(RunId("bench"), canonicalize_name(PROJECT), 0))
        await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
        await publish_root_index(changes, None, mirror.pages, replacing=None)


def _size(url: str, accept: str, encoding: str) -> int:
    headers = {"Accept": accept, "Accept-Encoding": encoding}
    with urllib.request.urlopen(urllib.request.Request(url, headers=headers)) as response:  # noqa: S310
        return len(response.read())


if __name__ == "__main__":
    main()
