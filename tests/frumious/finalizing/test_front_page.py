"""The page for people at `/`: when it is written, and what its file promises to browsers."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import TYPE_CHECKING

import pytest

from frumious.finalizing import front_page
from frumious.model import layout

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

PAGE = front_page.PAGE.decode()
OWN = b"<h1>Our mirror</h1>"


def write(world: World, body: bytes) -> None:
    world.s3.put_object(Bucket=world.bucket, Key=layout.FRONT_PAGE, Body=body)


def upgrade(world: World) -> None:
    """Make the next tick the first one of another version."""
    status = json.loads(world.read(layout.STATUS_JSON))
    status["front_page"] = "earlier"
    world.s3.put_object(
        Bucket=world.bucket, Key=layout.STATUS_JSON, Body=json.dumps(status).encode()
    )


def count_requests(world: World) -> int:
    """Return how many requests to the storage a tick makes."""

    async def count(mirror: Mirror) -> int:
        return mirror.storage.pop_request_count()

    world.run(count)
    world.finalize()
    return world.run(count)


def test_the_first_tick_writes_the_page(world: World) -> None:
    world.finalize()
    assert world.read(layout.FRONT_PAGE) == front_page.PAGE
    head = world.s3.head_object(Bucket=world.bucket, Key=layout.FRONT_PAGE)
    assert head["ContentType"] == "text/html; charset=utf-8"


def test_another_version_replaces_the_page(world: World) -> None:
    world.finalize()
    write(world, front_page.PAGE.replace(b"Find", b"Search"))
    upgrade(world)
    world.finalize()
    assert world.read(layout.FRONT_PAGE) == front_page.PAGE


def test_an_operators_own_page_stays(world: World) -> None:
    write(world, OWN)
    world.finalize()
    assert world.read(layout.FRONT_PAGE) == OWN
    upgrade(world)
    world.finalize()
    assert world.read(layout.FRONT_PAGE) == OWN


def test_a_tick_that_has_nothing_to_do_makes_no_request_for_the_page(world: World) -> None:
    first, second, third = (count_requests(world) for _ in range(3))
    assert first > second == third
    world.s3.delete_object(Bucket=world.bucket, Key=layout.FRONT_PAGE)
    assert count_requests(world) == second
    assert layout.FRONT_PAGE not in world.stored()


@pytest.mark.parametrize(("tag", "directive"), [("script", "script-src"), ("style", "style-src")])
def test_browsers_run_only_the_code_of_the_file(tag: str, directive: str) -> None:
    """Whoever changes the script or the style copies the hash from this test's message."""
    [code] = re.findall(rf"<{tag}>(.*?)</{tag}>", PAGE, re.DOTALL)
    digest = base64.b64encode(hashlib.sha256(code.encode()).digest()).decode()
    assert f"{directive} 'sha256-{digest}';" in PAGE


def test_the_page_has_no_other_code_and_no_foreign_resource() -> None:
    assert not re.findall(r"""\s(?:style|on\w+)\s*=\s*["']""", PAGE.split("<script>")[0])
    assert not re.findall(r"<(?:script|link|img|iframe)\b[^>]*(?:src|href)=\"(?!data:)", PAGE)
    assert not re.findall(r"innerHTML|outerHTML|insertAdjacent|document\.write", PAGE)
