"""A cooldown together with advisories: neither delays the other."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import pytest

from tests.frumious.planning.test_advisories import DAY, files, listed, run, versions
from tests.upstream import wheel
from tests.upstream.osv import ARCHIVE

if TYPE_CHECKING:
    from tests.world import World


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of a release that is old, and of one that waits."""
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel("demo", "1.0"), upload_time=now - timedelta(days=30))
    world.index.upload(wheel("demo", "2.0"), upload_time=now)
    world.index.upload(wheel("good", "1.0"), upload_time=now - timedelta(days=30))
    feed = f"feed = {world.upstream.url}{ARCHIVE}"
    world.index.osv.add("MAL-2020-1", "gone-long-ago")
    sections = f"[advisories]\n{feed}\n[cooldown]\ndays = 7"
    world.configure("delete-after = 3", sections=sections)
    run(world)
    assert versions(world) == ["1.0"]
    return world


def test_malware_that_is_found_while_it_waits_never_appears(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(mirror)
    mirror.clock.advance(8 * DAY)
    run(mirror)
    run(mirror)
    assert versions(mirror) == ["1.0"]
    assert len(files(mirror)) == 2, "a wheel and its core metadata"

    mirror.index.osv.withdraw("MAL-2026-1")
    run(mirror)
    assert versions(mirror) == ["1.0", "2.0"]


def test_malware_leaves_at_once_and_what_waits_appears_in_its_time(mirror: World) -> None:
    mirror.index.osv.add("MAL-2026-1", "demo", "1.0")
    run(mirror)
    assert not files(mirror), "at once"

    mirror.clock.advance(7 * DAY)
    run(mirror)

    assert versions(mirror) == ["2.0"]
    assert listed(mirror) == ["demo", "good"]
