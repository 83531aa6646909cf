"""The index without the cooldown: it shows at once what the live index holds back."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from tests.upstream import wheel

if TYPE_CHECKING:
    from tests.world import World

DAY = 24 * 3600
SECTIONS = "[cooldown]\ndays = 7\nsimple-all = true"
OLD, NEW = "demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"


def uploaded(world: World, project: str, version: str, days: float = 0.0) -> None:
    """Upload a wheel some days ago."""
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel(project, version), upload_time=now - timedelta(days=days))


def page(world: World, project: str = "demo") -> dict[str, Any] | None:
    """Return the project's own page in the index without the cooldown; None: it has none."""
    key = f"web/simple-all/{project}/index.v1_json"
    return json.loads(world.read(key)) if key in world.stored(key) else None


def links(found: dict[str, Any] | None) -> dict[str, str]:
    """Return where the files of a page are: filename -> `live` or `own`."""
    kinds = {"../../packages/": "live", "../../simple-all/packages/": "own"}
    files = () if found is None else found["files"]
    return {
        each["filename"]: next(
            kind for start, kind in kinds.items() if each["url"].startswith(start)
        )
        for each in files
    }


def own(world: World) -> list[str]:
    """Return the names of the files that the index without the cooldown has for itself."""
    keys = world.stored("web/simple-all/packages/")
    return sorted(key.rpartition("/")[2] for key in keys)


def live(world: World) -> list[str]:
    """Return the names of the files below /packages/."""
    return sorted(key.rpartition("/")[2] for key in world.stored("web/packages/"))


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of a release that is old, and of one that waits."""
    uploaded(world, "demo", "1.0", days=30)
    uploaded(world, "demo", "2.0")
    uploaded(world, "other", "1.0", days=30)
    world.configure(sections=SECTIONS)
    world.mirror_run()
    return world


def test_what_waits_is_shown_there_and_nowhere_else(mirror: World) -> None:
    assert links(page(mirror)) == {OLD: "live", NEW: "own"}
    assert own(mirror) == [NEW, f"{NEW}.metadata"]
    assert live(mirror) == [OLD, f"{OLD}.metadata", *live(mirror)[2:]]
    assert [file["filename"] for file in mirror.page("demo")["files"]] == [OLD]
    assert page(mirror, "other") is None
    young = [key for key, body in mirror.contents().items() if b"demo-2.0" in body or "2.0" in key]
    assert all(key.startswith("web/simple-all/") for key in young if key.startswith("web/"))


def test_what_is_ripe_moves_to_the_live_index(mirror: World) -> None:
    requests = len(mirror.upstream.requests)
    mirror.clock.advance(8 * DAY)
    mirror.mirror_run()
    assert [file["filename"] for file in mirror.page("demo")["files"]] == [OLD, NEW]
    assert not mirror.stored("web/simple-all/")
    assert NEW in live(mirror)
    asked = [each.path for each in mirror.upstream.requests[requests:]]
    assert not [path for path in asked if path.endswith((".whl", ".metadata"))], "it is copied"
