"""Migration of bandersnatch's mirrors in moto; tests/bandersnatch runs bandersnatch itself."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.upstream import wheel

if TYPE_CHECKING:
    from tests.world import World


def begun_by_another(world: World, *, json_pages: bool) -> None:
    """Reduce a mirror to what bandersnatch writes: pages, files and status, without state."""
    world.mirror_run()
    ours = [key for key in world.stored() if key.startswith("state/") or key == "web/status.json"]
    if not json_pages:
        ours += [key for key in world.stored("web/simple/") if key.endswith("v1_json")]
    for key in ours:
        world.s3.delete_object(Bucket=world.bucket, Key=key)
    world.close()
    world.upstream.clear()


def test_a_mirror_of_html_pages_is_migrated_without_downloading_its_files(world: World) -> None:
    for name in ("one", "two"):
        world.index.upload(wheel(name, "1.0"))
    begun_by_another(world, json_pages=False)
    world.index.upload(wheel("one", "2.0"))

    world.mirror_run()

    fetched = {
        request.path.rpartition("/")[2] for request in world.upstream.requests_for("/packages/")
    }
    assert {name.removesuffix(".metadata") for name in fetched} == {"one-2.0-py3-none-any.whl"}
    assert len(world.page("one")["files"]) == 2
    assert world.read("status") == str(world.index.serial).encode()


@pytest.mark.parametrize("options", ["", "max-losses = 0% 0 0GiB"])
def test_projects_removed_before_the_migration_are_removed(world: World, options: str) -> None:
    world.index.upload(wheel("one", "1.0"))
    begun_by_another(world, json_pages=True)
    world.s3.put_object(Bucket=world.bucket, Key="todo", Body=b"1\none 1\n")
    world.index.upload(wheel("one", "2.0"))
    world.index.remove_release("one", "1.0")
    world.configure(options)

    world.mirror_run()

    assert world.page("one")["versions"] == ["2.0"]
    assert json.loads(world.read("web/status.json"))["lagging"] == {}
    assert "todo" not in world.contents()
