"""Cooldowns of pip and uv work with the mirror: they ignore what was uploaded of late."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import pytest

from tests.clients import JSON, served
from tests.frumious.planning.test_migration import begun_by_another
from tests.installers import PIP, UV, install
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world import World

PAGE = "web/simple/demo/index.v1_json"
installers = pytest.mark.parametrize(
    "installer",
    [(PIP, "--uploaded-prior-to=2026-02-01T00:00:00Z"), (UV, "--exclude-newer=2026-02-01")],
    ids=["pip", "uv"],
)


def upload_releases(world: World) -> None:
    """Upload 1.0 in January and 2.0 in March."""
    for version, month in (("1.0", 1), ("2.0", 3)):
        time = datetime(2026, month, 5, tzinfo=UTC)
        world.index.upload(wheel("demo", version), upload_time=time)


def installed_version(world: World, folder: Path, installer: tuple[tuple[str, ...], str]) -> str:
    command, cooldown = installer
    with served(world) as url:
        done = install(command, url, folder, cooldown, "demo")
    if done.returncode:
        return done.stderr
    return (folder / "demo" / "__init__.py").read_text()


@installers
def test_installers_take_the_newest_release_before_their_cooldown(
    world: World, tmp_path: Path, installer: tuple[tuple[str, ...], str]
) -> None:
    upload_releases(world)
    world.mirror_run()

    assert installed_version(world, tmp_path, installer) == '__version__ = "1.0"\n'


def reduce_json(world: World) -> None:
    """Reduce the JSON pages to what bandersnatch's have, but for the times that old ones lack."""
    page = world.page("demo")
    for file in page["files"]:
        del file["upload-time"]
    page["meta"] = {"api-version": "1.0", "_last-serial": str(page["meta"]["_last-serial"])}
    root = {"meta": {"api-version": "1.0"}, "projects": [{"name": "demo"}]}
    for key, body in {PAGE: page, "web/simple/index.v1_json": root}.items():
        world.s3.put_object(
            Bucket=world.bucket, Key=key, Body=json.dumps(body).encode(), ContentType=JSON
        )


@installers
@pytest.mark.parametrize("pages", ["JSON without upload times", "HTML alone"])
def test_the_first_run_after_a_migration_completes_the_pages(
    world: World, tmp_path: Path, installer: tuple[tuple[str, ...], str], pages: str
) -> None:
    upload_releases(world)
    begun_by_another(world, json_pages=pages != "HTML alone")
    for key in world.stored("web/gzip/"):
        world.s3.delete_object(Bucket=world.bucket, Key=key)
    if pages != "HTML alone":
        reduce_json(world)
    assert "__version__" not in installed_version(world, tmp_path, installer)

    world.mirror_run()

    assert installed_version(world, tmp_path, installer) == '__version__ = "1.0"\n'
    assert not world.upstream.requests_for("/packages/")
