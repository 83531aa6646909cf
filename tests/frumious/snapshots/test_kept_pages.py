"""A snapshot shows the pages of its time, and their files stay, whatever happens to the project."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.snapshots import SnapshotReader
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.upstream import Index
    from tests.world import World

OLD = "demo-1.0-py3-none-any.whl"
NEW = "demo-2.0-py3-none-any.whl"


@pytest.fixture
def mirrored(world: World) -> World:
    """Return a mirror of a project with two releases."""
    world.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    return world


def yank(index: Index) -> None:
    index.yank("demo", "1.0", "it is <b>bad</b>")


def upload(index: Index) -> None:
    index.upload(wheel("demo", "3.0"))


def remove(index: Index) -> None:
    index.remove_release("demo", "1.0")


def remove_all(index: Index) -> None:
    index.remove_project("demo")


def recreate(index: Index) -> None:
    index.remove_project("demo")
    index.upload(sdist("demo", "0.1"))


def archive(index: Index) -> None:
    index.archive("demo")


CHANGES = (upload, yank, remove, remove_all, recreate, archive)


@pytest.mark.parametrize("change", CHANGES)
def test_a_snapshot_does_not_change(mirrored: World, change: Callable[[Index], None]) -> None:
    before = SnapshotReader.create(mirrored).forms()
    snapshot = SnapshotReader(mirrored, "monday")
    assert not snapshot.own, "it shares the pages"

    change(mirrored.index)
    mirrored.mirror_run(["demo"] if change is archive else None)

    assert snapshot.forms() == before
    assert not snapshot.missing()
    assert len(snapshot.own) == 3
    for _ in range(2):
        mirrored.index.upload(sdist("demo", "5.0"))
        mirrored.mirror_run()
        mirrored.index.remove_project("demo")
        mirrored.mirror_run()
    assert snapshot.forms() == before
    assert not snapshot.missing()
    assert mirrored.stored("web/integrity/"), "nor does provenance leave"


def test_each_snapshot_shows_its_own_time(mirrored: World) -> None:
    readers, pages = list[SnapshotReader](), []
    for number in range(3):
        readers.append(SnapshotReader.create(mirrored, f"day-{number}"))
        pages.append(readers[-1].forms())
        mirrored.index.upload(wheel("demo", f"3.{number}"))
        mirrored.index.remove_release("demo", ("1.0", "2.0", "3.0")[number])
        mirrored.mirror_run()

    assert [each.forms() for each in readers] == pages
    assert not any(each.missing() for each in readers)
    assert len({*map(str, pages)}) == 3


def test_a_project_that_did_not_exist_has_no_files_in_the_snapshot(mirrored: World) -> None:
    snapshot = SnapshotReader.create(mirrored)
    mirrored.index.upload(wheel("young", "1.0"))
    mirrored.mirror_run()

    assert mirrored.page("young")["files"]
    assert snapshot.page("young") == {
        "meta": {"api-version": "1.0"},
        "name": "young",
        "files": [],
    }
    assert b"<a " not in (snapshot.forms("young")["index.html"] or b"<a ")


def test_a_page_that_does_not_change_is_shared(mirrored: World) -> None:
    snapshot = SnapshotReader.create(mirrored)
    mirrored.index.upload(wheel("other", "1.0"))
    mirrored.mirror_run()
    mirrored.mirror_run(["demo"], force=True)

    assert not [key for key in snapshot.own if "/demo/" in key]


def test_files_go_where_no_snapshot_shows_them(mirrored: World) -> None:
    mirrored.index.upload(wheel("demo", "3.0"))
    mirrored.mirror_run()
    mirrored.index.remove_release("demo", "3.0")
    mirrored.mirror_run()
    snapshot = SnapshotReader.create(mirrored)
    mirrored.index.upload(wheel("demo", "4.0"))
    mirrored.mirror_run()
    mirrored.index.remove_release("demo", "4.0")
    mirrored.index.remove_release("demo", "1.0")
    mirrored.mirror_run()

    stored = {key.rpartition("/")[2] for key in mirrored.files()}
    assert stored == {OLD, f"{OLD}.metadata", NEW, f"{NEW}.metadata"}
    assert snapshot.files() == {OLD, NEW}
