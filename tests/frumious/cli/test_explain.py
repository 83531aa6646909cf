"""`frumious explain`: which filter keeps what out."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from tests.frumious.cli.test_cli import configured, frumious
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.world import World

FILTERS = """
[plugins]
enabled =
  blocklist_project
  prerelease_release
  exclude_platform
  size_project_metadata
[blocklist]
packages = other
platforms = py3.8
[size_project_metadata]
max_package_size = 1M
"""


def test_each_file_is_explained(world: World, tmp_path: Path) -> None:
    conf = configured(world, tmp_path, FILTERS)
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(sdist("demo", "2.0a1"))
    world.index.add_file("demo", "demo-1.0-cp38-cp38-win32.whl", size=100)

    whole = frumious("-c", conf, "explain", "Demo")
    one = frumious("-c", conf, "explain", "demo", "demo-1.0-py3-none-any.whl", "--json")
    unknown = frumious("-c", conf, "explain", "demo", "demo-7.0.zip")

    assert whole.returncode == 0, whole.stderr
    assert sorted(whole.stdout.splitlines()) == [
        "  demo-1.0-cp38-cp38-win32.whl: kept out by exclude_platform",
        "  demo-1.0-py3-none-any.whl: selected",
        "  demo-2.0a1.tar.gz: kept out by prerelease_release",
        "demo: selected, with 1 of 3 files",
    ]
    assert one.returncode == 0
    assert json.loads(one.stdout) == {
        "project": "demo",
        "excluded_by": "",
        "private": False,
        "files": {"demo-1.0-py3-none-any.whl": ""},
        "reported": {},
    }
    assert unknown.returncode == 1
    assert "demo-7.0.zip: kept out by upstream, which has no such file" in unknown.stdout


def test_a_project_that_is_kept_out_is_explained(world: World, tmp_path: Path) -> None:
    conf = configured(world, tmp_path, FILTERS)
    world.index.add_file("large", "large-1.0.tar.gz", size=2_000_000)
    for name, reason in (
        ("other", "blocklist_project"),
        ("large", "size_project_metadata"),
        ("nothing", "upstream, which has no such project"),
    ):
        done = frumious("-c", conf, "explain", name)
        assert done.returncode == 1
        assert done.stdout == f"{name}: kept out by {reason}\n", done.stderr


def test_a_file_that_waits_is_explained(world: World, tmp_path: Path) -> None:
    conf = configured(world, tmp_path, "[cooldown]\ndays = 7\nnot-after = 2099-12-31\n")
    uploaded = datetime.fromtimestamp(world.clock.now(), UTC).replace(microsecond=0)
    world.index.upload(wheel("demo", "1.0"), upload_time=uploaded)
    world.index.upload(wheel("demo", "2.0"), upload_time=datetime(2100, 1, 1, tzinfo=UTC))

    text = frumious("-c", conf, "explain", "demo").stdout.splitlines()
    payload = json.loads(frumious("-c", conf, "explain", "demo", "--json").stdout)

    until = f"{uploaded + timedelta(days=7):%Y-%m-%dT%H:%M:%SZ}"
    old, new = "demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"
    assert sorted(text) == [
        f"  {old}: kept out by cooldown until {until}",
        f"  {new}: kept out by cooldown for good: uploaded after not-after, or nobody knows when",
        "demo: selected, with 0 of 2 files",
    ]
    assert payload["held_back"] == {old: until, new: None}
    assert "simple_all" not in payload


def test_what_the_index_without_the_cooldown_shows_is_named(world: World, tmp_path: Path) -> None:
    blocked = "[plugins]\nenabled = blocklist_release\n[blocklist]\npackages = demo == 2.0\n"
    cooldown = f"[cooldown]\ndays = 7\nsimple-all = true\n{blocked}"
    conf = configured(world, tmp_path, cooldown)
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version), upload_time=now)

    text = frumious("-c", conf, "explain", "demo").stdout
    payload = json.loads(frumious("-c", conf, "explain", "demo", "--json").stdout)

    assert payload["simple_all"] == ["demo-1.0-py3-none-any.whl"]
    assert text.count("; /simple-all/ has it") == 1
