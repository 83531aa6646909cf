"""pip, uv and curl read compressed pages from the edge."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.clients import JSON, served
from tests.installers import PIP, UV, install
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world import World

PLAIN_PAGE = "web/simple/demo/index.v1_json"
VARIANT = "web/gzip/simple/demo/index.v1_json"


@pytest.mark.parametrize("missing", [PLAIN_PAGE, VARIANT])
@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_installers_read_the_variant_or_the_page(
    world: World, tmp_path: Path, installer: tuple[str, ...], missing: str
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.s3.delete_object(Bucket=world.bucket, Key=missing)  # so that it must be the other one
    with served(world) as url:
        installed = install(installer, url, tmp_path, "demo")
    assert installed.returncode == 0, installed.stderr
    assert (tmp_path / "demo" / "__init__.py").exists()


@pytest.mark.parametrize("page", ["simple/", "simple/demo/"])
@pytest.mark.parametrize("options", [["--compressed"], []])
def test_curl_reads_the_same_with_and_without_compression(
    world: World, page: str, options: list[str]
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    with served(world) as url:
        command = ["curl", "--silent", "--fail", "--noproxy", "*", "-H", f"Accept: {JSON}"]
        body = subprocess.run(
            [*command, *options, f"{url}/{page}"], capture_output=True, check=True
        ).stdout
    received, stored = json.loads(body), json.loads(world.read(f"web/{page}index.v1_json"))
    for each in (received, stored):
        each["meta"].pop("_frumious", None)
    assert received == stored
