"""Upload times of an upstream that changes or loses them, or has absurd ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.feed_reader import read_feed
from tests.upstream import Edit, Fault, wheel

if TYPE_CHECKING:
    from tests.world import World

COOLDOWN = "[cooldown]\ndays = 7\n"


def uploaded(world: World, project: str, version: str, days: float) -> None:
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel(project, version), upload_time=now - timedelta(days=days))


def set_times(world: World, version: str, time: str | None) -> None:
    """Let upstream state another upload time of a version of all projects."""

    def edit(page: dict[str, Any]) -> None:
        for file in page.get("files", ()):
            if f"-{version}-" in file["filename"]:
                file["upload-time"] = time

    world.upstream.faults.add(Fault(Edit(edit), "/simple/"))


def versions(world: World, project: str) -> set[str]:
    return set(world.page(project)["versions"])


def status(world: World) -> Any:
    return json.loads(world.read("web/status.json"))


def listed(world: World) -> set[str]:
    page = json.loads(world.read("web/simple/index.v1_json"))
    return {project["name"] for project in page["projects"]}


@pytest.mark.parametrize("time", ["{now}", "2999-01-01T00:00:00Z", "yesterday", None])
def test_other_upload_times_take_no_file_away_that_readers_have(
    world: World, time: str | None
) -> None:
    world.configure(sections=COOLDOWN)
    for project in ("one", "two"):
        uploaded(world, project, "1.0", days=30)
        uploaded(world, project, "2.0", days=1)
    world.mirror_run()
    before = world.page("one")["files"]
    now = datetime.fromtimestamp(world.clock.now(), UTC).isoformat()
    set_times(world, "1.0", time and time.format(now=now))
    for project in ("one", "two"):
        world.index.journal(project, "create")

    world.mirror_run()

    assert versions(world, "one") == versions(world, "two") == {"1.0"}
    assert world.page("one")["files"] == before
    world.clock.advance(7 * 24 * 3600)
    world.mirror_run()
    assert versions(world, "one") == versions(world, "two") == {"1.0", "2.0"}


def test_other_bytes_have_another_upload_time(world: World) -> None:
    world.configure("allow-changed-files = true", COOLDOWN)
    old = datetime.fromtimestamp(world.clock.now(), UTC) - timedelta(days=30)
    world.index.add_file("one", "one-1.0.tar.gz", content=b"first", upload_time=old)
    world.mirror_run()
    assert len(world.page("one")["files"]) == 1
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.remove_file("one", "one-1.0.tar.gz")
    world.index.add_file("one", "one-1.0.tar.gz", content=b"second", upload_time=now)

    world.mirror_run()

    assert world.page("one")["files"] == []


def test_a_file_that_no_time_ripens_is_the_affair_of_that_file(world: World) -> None:
    world.configure(sections=COOLDOWN)
    uploaded(world, "one", "1.0", days=30)
    uploaded(world, "one", "2.0", days=30)
    uploaded(world, "two", "2.0", days=30)
    set_times(world, "2.0", "9999-12-31T23:59:59Z")

    world.mirror_run()

    assert status(world)["lagging"] == {}
    assert listed(world) == {"one", "two"}
    assert versions(world, "one") == {"1.0"}
    assert world.page("two")["files"] == []


def test_an_upload_time_that_is_a_long_text_holds_no_project_up(world: World) -> None:
    world.configure(sections="[changes]\nname = pypi.example.org\n")
    world.index.upload(wheel("one", "1.0"))
    set_times(world, "1.0", "2026-01-01T00:00:00Z " + "x" * 100)

    world.mirror_run()

    assert status(world)["lagging"] == {}
    assert listed(world) == {"one"}
    feed = read_feed(lambda path: world.read(f"web/changes/{path}"))
    assert len(feed.entries) == 1
