"""pip, uv and curl read compressed pages from the edge."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.clients import JSON, served
from tests.upstream import wheel

if TYPE_CHECKING:
    from tests.world import World

PLAIN_PAGE = "web/simple/demo/index.v1_json"
VARIANT = "web/gzip/simple/demo/index.v1_json"
PIP = [sys.executable, "-m", "pip", "install", "--no-cache-dir", "--disable-pip-version-check"]
UV = [str(Path(sys.executable).with_name("uv")), "pip", "install", "--no-cache"]


@pytest.mark.parametrize("missing", [PLAIN_PAGE, VARIANT])
@pytest.mark.parametrize("installer", [PIP, UV], ids=["pip", "uv"])
def test_installers_read_the_variant_or_the_page(
    world: World, tmp_path: Path, installer: list[str], missing: str
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.s3.delete_object(Bucket=world.bucket, Key=missing)  # so that it must be the other one
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PIP_", "UV_")) and not name.upper().endswith("_PROXY")
    }
    with served(world) as url:
        installed = subprocess.run(
            [*installer, "--index-url", f"{url}/simple/", "--target", tmp_path, "demo"],
            env={**environment, "PIP_CONFIG_FILE": os.devnull, "UV_NO_CONFIG": "1"},
            capture_output=True,
            text=True,
            check=False,
        )
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
