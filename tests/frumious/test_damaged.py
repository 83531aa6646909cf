"""Damaged objects of the mirror's own: what can be made again is, and no file is lost."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, Final

import pytest

from frumious.model import layout
from frumious.model.types import Key
from frumious.state.objects import NewerFormat
from frumious.upstream.upstream import StalePage
from tests.upstream import Fault, Stale, Status, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world import World

FOREIGN: Final = [
    b"",
    b"null",
    b"[" * 100_000,
    b'{"version": 1, "serial": -1, "projects": [{"name": 7}], "meta": 7, "runs": [7], "jobs": 7}',
    b'{"serial": 7}',
]


def damages(body: bytes) -> Iterator[bytes]:
    """Yield the object cut off, and foreign ones; the fuzzers have more."""
    yield body[:-1]
    yield from FOREIGN


def write(world: World, key: str, body: bytes) -> None:
    world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)


def tick(world: World) -> None:
    world.clock.advance(301)
    world.plan()
    world.work(last=True)
    world.finalize()


def status(world: World) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(world.read("web/status.json"))
    return payload


def names(world: World) -> set[str]:
    return {
        entry["name"] for entry in json.loads(world.read("web/simple/index.v1_json"))["projects"]
    }


@pytest.fixture
def mirror(world: World) -> World:
    """A mirror of three projects, which names what it changes in a diff-file."""
    world.configure(f"diff-file = /{world.bucket}/mirrored-files")
    for name in ("one", "two", "three"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    return world


def check(world: World, key: str) -> None:
    """Damage an object in all ways; after each, all projects are in step with the next tick."""
    for number, body in enumerate(damages(world.read(key)), start=2):
        before = world.files().keys()
        write(world, key, body)
        world.index.upload(wheel("one", f"{number}.0"))

        tick(world)

        assert f"{number}.0" in world.page("one")["versions"]
        assert world.files().keys() > before
        assert status(world)["lagging"] == {}
        assert status(world)["serial"] == world.index.serial
        assert world.read("status") == str(world.index.serial).encode()
        assert names(world) == {"one", "two", "three"}
        assert world.cursor().runs == ()


@pytest.mark.parametrize("key", ["web/status.json", "status", "web/simple/index.html"])
def test_damaged_reports_are_made_again(mirror: World, key: str) -> None:
    check(mirror, key)


def test_a_damaged_status_counts_the_mirror_again(mirror: World) -> None:
    sizes = {name: status(mirror)[name] for name in ("projects", "files", "bytes")}
    write(mirror, "web/status.json", b"{")

    mirror.finalize()

    assert {name: status(mirror)[name] for name in sizes} == sizes


@pytest.mark.parametrize(
    "change",
    [{"resets": "7"}, {"resets": None}, {"updated": "2026-01-01T00:00:00.5+02:00"}],
    ids=str,
)
def test_a_value_of_another_form_in_status_json_stops_no_tick(
    mirror: World, change: dict[str, Any]
) -> None:
    write(mirror, "web/status.json", json.dumps({**status(mirror), **change}).encode())

    mirror.finalize()
    mirror.clock.advance(600)
    mirror.finalize()

    assert (status(mirror)["resets"], status(mirror)["projects"]) == (0, 3)
    assert status(mirror)["updated"].endswith("Z")


def test_a_damaged_root_index_is_made_again_from_the_pages(mirror: World) -> None:
    check(mirror, "web/simple/index.v1_json")


def test_a_damaged_root_index_does_not_stop_the_comparison(mirror: World) -> None:
    write(mirror, "web/simple/index.v1_json", b"{")
    mirror.clock.advance(25 * 3600)

    tick(mirror)

    assert names(mirror) == {"one", "two", "three"}
    serials = json.loads(mirror.read("web/simple/index.v1_json"))["projects"]
    assert all(entry["_last-serial"] for entry in serials)


def test_a_damaged_manifest_is_made_again_from_upstream(mirror: World) -> None:
    key = "web/simple/one/index.v1_json"
    check(mirror, key)

    assert mirror.stored("state/damaged/web/simple/one/")


@pytest.mark.parametrize("html", [True, False])
def test_files_are_neither_lost_nor_fetched_again_after_damage(
    mirror: World, *, html: bool
) -> None:
    before = mirror.files()
    write(mirror, "web/simple/one/index.v1_json", b"{")
    if not html:
        mirror.s3.delete_object(Bucket=mirror.bucket, Key="web/simple/one/index.html")
    mirror.upstream.clear()

    mirror.mirror_run(["one"])

    assert mirror.files() == before
    assert len(mirror.page("one")["files"]) == 1
    assert not mirror.upstream.requests_for("/packages/")


def test_files_that_are_lost_with_their_json_page_are_fetched_again(mirror: World) -> None:
    before = mirror.files()
    for key in before:
        mirror.s3.delete_object(Bucket=mirror.bucket, Key=key)
    write(mirror, "web/simple/one/index.v1_json", b"{")

    mirror.mirror_run(["one"])

    assert mirror.files() == {key: body for key, body in before.items() if "/one-" in key}


def test_a_damaged_manifest_is_no_reason_to_remove_a_project(mirror: World) -> None:
    before = mirror.files()
    write(mirror, "web/simple/one/index.v1_json", b"{")
    mirror.upstream.faults.add(Fault(Status(404), "/simple/one/"))

    mirror.mirror_run(["one"])  # no event allows it

    assert "one" in status(mirror)["lagging"]
    assert mirror.files() == before


@pytest.mark.parametrize("options", ["", "simple-format = JSON\ncompress-pages = false"])
def test_a_page_that_was_damaged_does_not_come_back_older_from_a_cache(
    world: World, options: str
) -> None:
    world.configure(options)
    world.index.upload(wheel("one", "1.0"))
    world.mirror_run()
    before = world.index.serial
    world.index.upload(wheel("one", "2.0"))  # which no planner knows
    world.plan(["one"])
    world.work()  # and no finalizer reads what it has brought
    for key in world.stored("web/simple/one/index.v1_json"):
        write(world, key, b"{")
    for serial in 0, before:
        world.upstream.faults.add(Fault(Stale(before), "/simple/"))
        with pytest.raises(StalePage):
            world.sync("one", serial=serial)
        world.upstream.faults.clear()

    world.sync("one", serial=before)

    assert world.page("one")["versions"] == ["1.0", "2.0"]


def test_a_removal_is_finished_although_the_page_that_names_the_file_is_damaged(
    mirror: World,
) -> None:
    mirror.index.upload(wheel("one", "2.0"))
    mirror.mirror_run()
    before = mirror.files()
    mirror.index.remove_release("one", "1.0")
    mirror.mirror_run()
    for key, body in before.items():  # as if the job had been killed after it wrote HTML
        write(mirror, key, body)
    write(mirror, "web/simple/one/index.v1_json", b"{")

    mirror.clock.advance(2 * 3600)
    mirror.mirror_run()

    assert mirror.files() == {key: body for key, body in before.items() if "one-1.0" not in key}


def test_a_manifest_of_another_project_is_made_again(mirror: World) -> None:
    write(mirror, "web/simple/one/index.v1_json", mirror.read("web/simple/two/index.v1_json"))

    mirror.mirror_run(["one"])

    assert mirror.page("one")["name"] == "one"
    assert len(mirror.files()) == 6, "the other project's files stay, too"


@pytest.mark.parametrize("what", ["tombstones", "removed"])
def test_what_is_kept_of_removed_files_may_be_damaged(mirror: World, what: str) -> None:
    mirror.index.remove_file("one", "one-1.0-py3-none-any.whl")
    tick(mirror)
    if what == "tombstones":
        mirror.index.remove_project("one")
        tick(mirror)
    key = f"state/{what}/one.json"
    for number, body in enumerate(damages(mirror.read(key)), start=2):
        write(mirror, key, body)
        mirror.mirror_run(["one"])  # which reads it, as the project may have been removed
        mirror.index.upload(wheel("one", f"{number}.0"))
        tick(mirror)
        assert f"{number}.0" in mirror.page("one")["versions"]
        mirror.index.remove_file("one", f"one-{number}.0-py3-none-any.whl")
        write(mirror, key, body)
        tick(mirror)
        assert status(mirror)["lagging"] == {}
    assert mirror.stored(f"state/damaged/{what}/")


@pytest.mark.parametrize("what", ["plan", "progress", "inbox"])
def test_a_damaged_run_or_result_is_done_once_more(mirror: World, what: str) -> None:
    bodies = damages(b'{"version": 1, "reports": [], "pending": {"four": ""}, "jobs": {"a": 1}}')
    for number, body in enumerate(bodies, start=2):
        mirror.index.upload(wheel("one", f"{number}.0"))
        mirror.index.upload(wheel("two", f"{number}.0"))
        (run,) = mirror.plan()
        mirror.work(last=True)
        if what == "inbox":
            for key in mirror.stored("state/inbox/"):
                write(mirror, key, body)
        else:
            write(mirror, getattr(layout, what)(run.run), body)
        mirror.finalize()
        mirror.clock.advance(mirror.config.run_deadline + 1)

        mirror.finalize()
        mirror.retry()
        tick(mirror)

        assert f"{number}.0" in mirror.page("one")["versions"]
        assert status(mirror)["lagging"] == {}
        assert status(mirror)["serial"] == mirror.index.serial


def test_a_report_that_is_damaged_costs_no_other_of_its_batch(mirror: World) -> None:
    mirror.index.upload(wheel("one", "2.0"))
    mirror.plan()
    mirror.work(last=True)
    (key,) = mirror.stored("state/inbox/")
    payload = json.loads(mirror.read(key))
    bad = json.loads(json.dumps(payload["reports"][0]))
    nasty: list[dict[str, Any]] = [
        {"project": "two"},
        {"name": "two"},
        {"serial": -1},
        {"serial": 2**70},
        {"bytes": -1},
        {"added": ["state/cursor.json"]},
        {"added": ["web/a\nb"]},
        {"outcome": "?"},
    ]
    payload["reports"] += [{**bad, "result": {**bad["result"], **each}} for each in nasty]
    write(mirror, key, json.dumps(payload).encode())

    finalized = mirror.finalize()

    assert [report.job.project for report in finalized.reports] == ["one"]
    assert mirror.stored("state/damaged/inbox/")
    assert mirror.stored("state/inbox/") == []


def test_results_of_a_later_version_are_left_to_it(mirror: World) -> None:
    mirror.index.upload(wheel("one", "2.0"))
    mirror.plan()
    write(mirror, "state/inbox/newer.json", b'{"version": 2, "reports": []}')

    mirror.work(last=True)
    finalized = mirror.finalize()

    assert [report.job.project for report in finalized.reports] == ["one"]
    assert mirror.stored("state/inbox/") == [Key("state/inbox/newer.json")]


@pytest.mark.parametrize("what", ["plan", "progress"])
def test_a_run_of_a_later_version_is_left_to_it(mirror: World, what: str) -> None:
    mirror.index.upload(wheel("one", "2.0"))
    (run,) = mirror.plan()
    write(mirror, getattr(layout, what)(run.run), b'{"version": 2}')
    mirror.clock.advance(121)

    with pytest.raises(NewerFormat, match="run the version that wrote it"):
        mirror.finalize()

    assert mirror.cursor().runs


def test_a_diff_file_that_was_cut_off_names_whole_paths(mirror: World) -> None:
    for name in ("one", "two"):
        mirror.index.upload(wheel(name, "2.0"))
    mirror.plan()
    mirror.work(last=True)
    for body in damages(mirror.read("mirrored-files")):
        write(mirror, "mirrored-files", body)
        mirror.finalize()
