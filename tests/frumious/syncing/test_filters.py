"""Filters that decide by a project's page or legacy JSON: both ways, at the next run."""

from __future__ import annotations

import json
import random
import re
from typing import TYPE_CHECKING

import pytest

from frumious.model.jobs import Outcome
from frumious.planning.absent_names import absent_names
from frumious.planning.retry import confirm_losses
from frumious.upstream.upstream import StalePage
from tests.upstream import HTML_ONLY, Chunked, Fault, Stale, wheel

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

DAY = 24 * 3600
SMALL = "[plugins]\nenabled = size_project_metadata\n[size_project_metadata]\nmax_package_size = 1"
LATEST = "[plugins]\nenabled = latest_release\n[latest_release]\nkeep = 1"
TYPED = (
    "[plugins]\nenabled = regex_release_file_metadata\n"
    "[regex_release_file_metadata]\nnot-null:release_file.packagetype = sdist"
)


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of a project with two releases."""
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    return world


def versions(world: World) -> list[str]:
    found: list[str] = world.page("demo")["versions"]
    return found


def test_a_filter_of_releases_is_followed_both_ways(mirror: World) -> None:
    mirror.configure(sections=LATEST)
    mirror.mirror_run()
    assert versions(mirror) == ["2.0"]
    assert len(mirror.files()) == 2, "a wheel and its core metadata"

    mirror.configure()
    mirror.mirror_run()
    assert versions(mirror) == ["1.0", "2.0"]
    assert len(mirror.files()) == 4


def test_a_project_that_a_filter_excludes_by_its_page_leaves_and_comes_back(mirror: World) -> None:
    mirror.configure(sections=SMALL)
    mirror.mirror_run()
    assert not mirror.stored("web/simple/demo/")
    assert not mirror.files()
    assert json.loads(mirror.read("web/simple/index.v1_json"))["projects"] == []
    assert json.loads(mirror.read("web/status.json"))["lagging"] == {}

    mirror.configure()
    mirror.mirror_run()
    assert versions(mirror) == ["1.0", "2.0"]


def test_an_excluded_project_is_not_stored_and_does_not_lag(world: World) -> None:
    world.configure(sections=SMALL)
    world.index.upload(wheel("demo", "1.0"))
    finalized = world.mirror_run()
    assert [result.outcome for result in finalized.results] == [Outcome.EXCLUDED]
    assert not finalized.lagging
    assert not world.files()
    world.index.upload(wheel("demo", "2.0"))
    assert world.mirror_run().freshness.serial == world.index.serial


@pytest.mark.parametrize("stored", [True, False])
def test_a_comparison_does_not_ask_again_for_what_a_filter_excludes(
    world: World,
    stored: bool,  # noqa: FBT001
) -> None:
    if stored:
        world.index.upload(wheel("demo", "1.0"))
        world.mirror_run()
    world.configure(sections=SMALL)
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    world.upstream.clear()

    world.clock.advance(2 * DAY)
    world.mirror_run()
    assert world.upstream.requests_for("/simple/"), "compared"
    assert not world.upstream.requests_for("/simple/demo/")

    world.s3.put_object(Bucket=world.bucket, Key="state/excluded.json", Body=b"{")
    world.clock.advance(2 * DAY)
    world.mirror_run()
    assert len(world.upstream.requests_for("/simple/demo/")) == 1
    world.index.upload(wheel("demo", "3.0"))
    world.mirror_run()
    assert len(world.upstream.requests_for("/simple/demo/")) == 2, "it may be small enough now"
    world.clock.advance(2 * DAY)
    world.mirror_run()
    assert len(world.upstream.requests_for("/simple/demo/")) == 2
    world.configure()
    world.mirror_run()
    assert versions(world) == ["1.0", "2.0", "3.0"][0 if stored else 1 :]


def test_a_project_that_somebody_names_is_stored_although_filters_exclude_it(world: World) -> None:
    world.configure(sections=SMALL)
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run(["demo"])
    assert versions(world) == ["1.0"]


def test_what_filters_exclude_counts_as_lost(mirror: World) -> None:
    mirror.configure("max-losses = 0% 0 0GiB", SMALL)
    mirror.mirror_run()
    assert versions(mirror) == ["1.0", "2.0"], "nothing goes until somebody confirms"
    assert "demo" in json.loads(mirror.read("web/status.json"))["lagging"]

    async def confirm(opened: Mirror) -> None:
        await confirm_losses(opened, 2)

    mirror.run(confirm)
    mirror.mirror_run()
    assert not mirror.stored("web/simple/demo/")


def test_the_legacy_json_is_requested_only_for_a_filter_that_needs_it(mirror: World) -> None:
    assert not mirror.upstream.requests_for("/pypi/demo/json")
    mirror.configure(sections=TYPED)
    mirror.mirror_run()
    assert len(mirror.upstream.requests_for("/pypi/demo/json")) == 1
    assert mirror.page("demo")["files"] == []


def test_a_listed_project_that_a_filter_excludes_is_not_reported_as_absent(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.configure(
        sections="[plugins]\nenabled =\n  allowlist_project\n  regex_project_metadata\n"
        "[allowlist]\npackages =\n  demo\n  dem\n"
        "[regex_project_metadata]\ninfo.name = other"
    )
    world.mirror_run()
    assert [*world.run(lambda mirror: absent_names(mirror, ()))] == ["dem"]


def test_legacy_json_that_is_mirrored_too_is_requested_once(world: World) -> None:
    world.configure("json = true", TYPED)
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    assert len(world.upstream.requests_for("/pypi/demo/json")) == 1
    assert json.loads(world.read("web/pypi/demo/json"))["info"]["name"] == "demo"


def test_legacy_json_from_an_old_cache_decides_nothing(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    serial = world.index.serial
    world.index.upload(wheel("demo", "2.0"))
    world.configure(sections=TYPED)
    world.upstream.faults.add(Fault(Stale(serial), "/pypi/demo/json", times=1))
    with pytest.raises(StalePage, match="the legacy JSON of 'demo' is older than its page"):
        world.sync("demo")
    assert world.sync("demo").outcome is Outcome.UPDATED


@pytest.mark.parametrize("announced", [True, False])
def test_a_file_without_a_size_is_stopped_at_the_limit(world: World, *, announced: bool) -> None:
    world.configure(sections="[plugins]\nenabled = max_file_size\n[budget]\nmax-file-size = 100K")
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0", filling=random.randbytes(3_000_000)))
    world.upstream.personality = HTML_ONLY
    if not announced:
        world.upstream.faults.add(Fault(Chunked(), match=re.compile(r"2\.0.*\.whl$")))

    world.mirror_run()

    (filename,) = [file["filename"] for file in world.page("demo")["files"]]
    assert filename == "demo-1.0-py3-none-any.whl"
    assert not [key for key in world.files() if "2.0" in key]
