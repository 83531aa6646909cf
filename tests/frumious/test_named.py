"""Projects that people name: `delete` keeps them away, `sync` keeps them past the filters."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.plans import Reason
from frumious.planning import named
from frumious.planning.plan import plan_deletions
from tests.frumious.cli.test_cli import configured, frumious
from tests.upstream import Fault, Stale, Status, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server
    from tests.world import World

DAY = 24 * 3600
ALLOWLIST = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n"


@pytest.fixture
def conf(upstream: Server, tmp_path: Path) -> Path:
    """A mirror.conf for a folder; removed files stay for three days."""
    path = tmp_path / "mirror.conf"
    path.write_text(
        f"[mirror]\ndirectory = {tmp_path}/mirror\nmaster = {upstream.url}\n"
        "allow-non-https = true\nworkers = 4\n"
    )
    return path


def run(conf: Path, *arguments: str, code: int = 0) -> str:
    done = frumious("-c", str(conf), *arguments)
    assert done.returncode == code, done.stderr
    return done.stdout + done.stderr


def stored(conf: Path) -> set[str]:
    """Return the projects whose pages and files a folder has."""
    web = conf.parent / "mirror/web"
    pages = {path.name for path in (web / "simple").iterdir() if path.is_dir()}
    files = (path for path in (web / "packages").rglob("*.whl"))
    assert {path.name.partition("-")[0] for path in files} == pages
    root = json.loads((web / "simple/index.v1_json").read_text())
    assert {project["name"] for project in root["projects"]} == pages
    return pages


def planned(conf: Path, *arguments: str) -> dict[str, Any]:
    shown = frumious("-c", str(conf), "plan", "--json", *arguments).stdout
    summary = json.loads(shown)
    projects: dict[str, Any] = summary["updated"] | summary["removed"]
    return projects


def delete(world: World, *names: str) -> None:
    """Delete as a command does that is killed before it removes anything."""
    projects = named.parse_names(names)
    world.run(lambda mirror: named.delete(mirror, projects))


def request(world: World, *names: str) -> None:
    projects = named.parse_names(names)
    world.run(lambda mirror: named.request(mirror, projects))
    world.mirror_run([*names])


def pages(world: World) -> set[str]:
    keys = world.stored("web/simple/")
    return {key.split("/")[2] for key in keys if key.count("/") > 2}


def test_a_deleted_project_leaves_at_once_and_stays_away(index: Index, conf: Path) -> None:
    for name in ("bad", "good"):
        index.upload(wheel(name, "1.0"))
    run(conf, "mirror")

    shown = run(conf, "delete", "Bad", "--dry-run")
    assert "bad: 1 file, " in shown
    assert stored(conf) == {"bad", "good"}

    shown = run(conf, "delete", "Bad")
    assert "bad: 1 file, " in shown
    assert "bad: removed (deleted by name)" in shown
    assert "'frumious sync bad' brings back" in shown
    assert stored(conf) == {"good"}
    assert json.loads(run(conf, "status", "--json"))["deleted"] == ["bad"]

    index.upload(wheel("bad", "2.0"))
    assert planned(conf) == {}
    assert "bad" not in planned(conf, "--force-check")
    run(conf, "mirror")
    run(conf, "mirror", "--force-check")
    assert stored(conf) == {"good"}
    assert "bad: the mirror does not have it" in run(conf, "delete", "bad")


def test_deletions_are_reported_as_json(index: Index, conf: Path) -> None:
    index.upload(wheel("bad", "1.0"))
    run(conf, "mirror")

    shown = json.loads(run(conf, "delete", "bad", "nobody", "--dry-run", "--json"))

    assert shown["projects"]["bad"]["files"] == 1
    assert shown["projects"]["bad"]["bytes"] > 0
    assert shown["projects"]["nobody"]["problem"] == "the mirror does not have it"

    done = json.loads(run(conf, "-q", "delete", "bad", "--json"))

    assert done["projects"]["removed"] == 1


def test_sync_brings_a_deleted_project_back(index: Index, conf: Path) -> None:
    index.upload(wheel("bad", "1.0"))
    run(conf, "mirror")
    run(conf, "delete", "bad")

    run(conf, "sync", "bad")
    assert stored(conf) == {"bad"}

    index.upload(wheel("bad", "2.0"))
    run(conf, "mirror")
    assert len([*(conf.parent / "mirror/web/packages").rglob("*.whl")]) == 2


def test_what_was_synced_past_the_filters_stays_until_it_is_deleted(
    index: Index, conf: Path
) -> None:
    conf.write_text(conf.read_text() + f"{ALLOWLIST}  good\n")
    for name in ("good", "extra"):
        index.upload(wheel(name, "1.0"))
    run(conf, "mirror")
    run(conf, "sync", "extra")

    run(conf, "mirror", "--force-check")
    assert stored(conf) == {"good", "extra"}
    assert "Requested by name: extra\n" in run(conf, "status")
    assert planned(conf) == {}
    index.upload(wheel("extra", "2.0"))
    assert planned(conf) == {"extra": "changed upstream"}
    run(conf, "mirror")
    assert len([*(conf.parent / "mirror/web/packages").rglob("extra-*.whl")]) == 2

    run(conf, "delete", "extra")
    run(conf, "mirror", "--force-check")
    assert stored(conf) == {"good"}


def test_sync_does_not_wait_for_a_name_that_upstream_lacks(index: Index, conf: Path) -> None:
    conf.write_text(conf.read_text() + f"{ALLOWLIST}  good\n")
    index.upload(wheel("good", "1.0"))
    run(conf, "mirror")

    assert "goood: neither upstream nor the mirror has it" in run(conf, "sync", "goood", code=1)
    index.upload(wheel("goood", "1.0"))  # by somebody who waits for such slips
    run(conf, "mirror")

    assert stored(conf) == {"good"}


@pytest.mark.parametrize("change", ["removal", "release"])
def test_a_requested_project_does_not_come_from_a_stale_cache(world: World, change: str) -> None:
    world.index.upload(wheel("demo", "1.0"))
    stale = world.upstream.faults.add(Fault(Stale(world.index.serial), "/simple/demo/"))
    if change == "removal":
        world.index.remove_project("demo")
    else:
        world.index.upload(wheel("demo", "2.0"))

    request(world, "demo")

    assert pages(world) == set()
    world.upstream.faults.remove(stale)
    world.clock.advance(DAY)
    world.mirror_run()
    assert pages(world) == (set() if change == "removal" else {"demo"})
    assert json.loads(world.read("web/status.json"))["lagging"] == {}


def test_a_request_needs_the_changelog_only_for_pages_that_are_new(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("other", "1.0"))
    world.index._first_serial += 20_000
    world.index.upload(wheel("new", "1.0"))
    world.upstream.requests.clear()

    request(world, "new", "demo", "other")

    asked = [request.rpc for request in world.upstream.requests if request.rpc]
    assert pages(world) == {"demo", "new", "other"}
    assert asked.count("changelog_since_serial") == 0
    assert asked.count("changelog_last_serial") <= 3


@pytest.mark.parametrize(
    ("before", "after", "mirrored"),
    [
        ("good\n  bad", "bad\n  good", {"good"}),
        ("good\n  bad", "good", {"good"}),
        ("", "good", {"good"}),
        ("", "good\n  bad", {"good", "bad"}),
    ],
    ids=["as before", "taken out", "all before", "now named"],
)
def test_the_configuration_asks_for_a_deleted_project_when_it_names_it_in_another_way(
    world: World, before: str, after: str, mirrored: set[str]
) -> None:
    world.configure("max-removals = 100% 9", f"{ALLOWLIST}  {before}\n" if before else "")
    for name in ("bad", "good"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    delete(world, "bad")
    world.mirror_run()
    assert pages(world) == {"good"}

    world.configure("max-removals = 100% 9", f"{ALLOWLIST}  {after}\n")
    world.mirror_run()

    assert pages(world) == mirrored


def test_an_entry_that_was_taken_out_asks_for_the_project_when_it_is_put_back(
    world: World,
) -> None:
    both = f"{ALLOWLIST}  bad\n  good\n"
    world.configure(sections=both)
    for name in ("bad", "good"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    delete(world, "bad")
    world.mirror_run()

    world.configure(sections=f"{ALLOWLIST}  good\n")
    world.mirror_run()
    world.configure(sections=both)
    world.mirror_run()

    assert pages(world) == {"good", "bad"}


def test_what_a_killed_delete_left_is_removed_by_the_next_run(world: World) -> None:
    for name in ("bad", "good"):
        world.index.upload(wheel(name, "1.0"))
    world.configure("max-removals = 0% 0")
    world.mirror_run()
    delete(world, "bad")

    assert world.dry_run().reasons == {"bad": Reason.DELETED}
    world.mirror_run()

    assert pages(world) == {"good"}
    assert not world.dry_run().jobs


def test_a_job_that_was_sent_before_the_deletion_does_not_bring_the_project_back(
    world: World,
) -> None:
    world.index.upload(wheel("bad", "1.0"))
    world.mirror_run()
    world.index.upload(wheel("bad", "2.0"))
    world.plan()
    delete(world, "bad")

    world.work(last=True)
    world.finalize()

    assert not pages(world)
    assert not world.files()


def test_a_plan_that_was_made_before_the_deletion_does_not_bring_the_project_back(
    world: World,
) -> None:
    world.index.upload(wheel("bad", "1.0"))
    plan = world.dry_run()
    delete(world, "bad")

    assert world.start(plan)
    world.work(last=True)
    world.finalize()

    assert not pages(world)
    assert not world.files()


def test_the_daily_comparison_keeps_deleted_projects_away_and_requested_ones(
    world: World,
) -> None:
    world.configure(sections=f"{ALLOWLIST}  good\n  bad\n")
    for name in ("bad", "good", "extra"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    request(world, "extra")
    delete(world, "bad")
    world.mirror_run()

    for _ in range(3):
        world.clock.advance(DAY)
        world.index.yank("bad", "1.0")
        world.mirror_run()

    assert pages(world) == {"good", "extra"}


def test_a_cursor_from_before_does_not_bring_deleted_projects_back(world: World) -> None:
    for name in ("bad", "good"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    delete(world, "bad")
    world.mirror_run()
    world.s3.delete_object(Bucket=world.bucket, Key="state/cursor.json")

    world.mirror_run()

    assert pages(world) == {"good"}


def test_files_that_wait_for_their_deletion_go_with_the_deleted_project(world: World) -> None:
    world.configure("delete-after = 3")
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("bad", version))
    world.mirror_run()
    world.index.remove_release("bad", "1.0")
    world.mirror_run()
    assert len(world.files()) == 4, "with core metadata"

    delete(world, "bad")
    world.mirror_run()

    assert not world.files()


def test_deleted_projects_no_longer_lag(world: World) -> None:
    world.index.upload(wheel("bad", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/packages/", project="bad"))
    assert world.mirror_run().lagging == 1
    delete(world, "bad")

    assert world.mirror_run().lagging == 0


def test_a_damaged_list_of_named_projects_stops_the_run_instead_of_bringing_them_back(
    world: World, tmp_path: Path
) -> None:
    conf = configured(world, tmp_path)
    world.index.upload(wheel("bad", "1.0"))
    world.mirror_run()
    delete(world, "bad")
    world.start(plan_deletions(["bad"]))
    world.work(last=True)
    world.finalize()
    world.s3.put_object(Bucket=world.bucket, Key="state/named.json", Body=b"{")
    world.index.upload(wheel("bad", "2.0"))

    done = frumious("-c", conf, "mirror")

    assert done.returncode == 1
    assert "'state/named.json' is damaged" in done.stderr
    assert "frumious doctor --repair" in done.stderr
    assert not pages(world)
