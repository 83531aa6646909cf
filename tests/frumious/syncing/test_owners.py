"""One project never touches another project's files, whatever its page lists.

`victim` owns a file; the page of the other project, which somebody hostile controls, lists it.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import AllowedRemoval
from frumious.simple.values import InvalidPage
from tests.agreement import missing_files
from tests.upstream import Edit, Fault, File, Raw

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.world import World

NAMES = [
    "victim-1.0-py3-none-any.whl",
    "victim-1.0-1-py3-none-any.whl",
    "victim-1.0.tar.gz",
    "victim-1.0-1.tar.gz",
    "victim-beta1-2.tar.gz",
    "victim-1.0-py2.7.egg",
    "victim-1.0.win32-py2.7.exe",
    "victim-1.0.tar.bz2",
    "victim.zip",
    "setup.exe",
]
# Projects whose names are at the beginning of some of those filenames too.
HOSTILE = ["hostile", "victim-1-0", "victim-1", "victim-beta1", "victim-1-0-1"]


@pytest.fixture(params=NAMES)
def file(world: World, request: pytest.FixtureRequest) -> File:
    """Mirror a file of `victim` that has core metadata and provenance."""
    file = world.index.add_file(
        "victim",
        request.param,
        version="1.0",
        core_metadata=b"Name: victim",
        provenance={"version": 1},
    )
    world.sync("victim")
    return file


def list_file(
    world: World, project: str, file: File, changes: Mapping[str, Any], *, path: str = ""
) -> None:
    """Let the project's page list a file at its owner's path; with `changes` of the entry."""
    if world.index.project(project) is None:
        world.index.add_file(project, f"{project.replace('-', '_')}-7.0.tar.gz")
    entry = {
        "filename": (path or file.path).rpartition("/")[2],
        "url": f"{world.upstream.url}{path or file.path}",
        "hashes": {"sha256": file.content.sha256},
        "yanked": False,
        **changes,
    }
    edit = Edit(lambda page: page["files"].append(entry))
    world.upstream.faults.add(Fault(edit, f"/simple/{project}/"))
    world.index.journal(project, "create")


def sync_and_drop(world: World, project: str) -> None:
    """Mirror the hostile page, then a page without the file, then remove the project."""
    for run in ("run-2", "run-3"):
        world.sync(project, run=run, allowed_removal=AllowedRemoval.FILES)
        assert not missing_files(world)
        world.upstream.faults.clear()
        world.index.journal(project, "create")
    world.index.remove_project(project)
    world.sync(project, run="run-4", allowed_removal=AllowedRemoval.PROJECT)


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_file_that_another_project_lists_and_drops_stays_as_it_is(
    world: World, file: File, hostile: str
) -> None:
    before = world.contents()
    other_metadata = {"core-metadata": {"sha256": file.content.sha256}}
    list_file(world, hostile, file, other_metadata)
    # The metadata's bytes are the file's own.
    world.index.backfill_metadata("victim", file.filename, b"".join(file.content.read()))

    sync_and_drop(world, hostile)

    after = world.contents()
    assert {key: after.get(key) for key in before} == before


@pytest.mark.parametrize("hostile", HOSTILE)
def test_a_file_of_another_project_is_not_reported_as_removed(
    world: World, file: File, hostile: str
) -> None:
    list_file(world, hostile, file, {})
    world.sync(hostile, run="run-2")
    world.upstream.faults.clear()
    world.index.journal(hostile, "create")

    result = world.sync(hostile, run="run-3", allowed_removal=AllowedRemoval.FILES)

    assert not [key for key in result.removed if key.endswith(file.filename)]


@pytest.mark.parametrize("hostile", HOSTILE)
def test_the_owner_removes_its_file_although_another_project_lists_it(
    world: World, file: File, hostile: str
) -> None:
    list_file(world, hostile, file, {})
    world.sync(hostile, run="run-2")
    world.index.remove_file("victim", file.filename)

    world.sync("victim", run="run-3", allowed_removal=AllowedRemoval.FILES)

    assert world.page("victim")["files"] == []
    assert not missing_files(world), "no page names a file that is gone"


@pytest.mark.parametrize("hostile", ["hostile", "victim-1-0"])
def test_core_metadata_is_not_replaced_by_a_file_of_that_name(world: World, hostile: str) -> None:
    file = world.index.add_file(
        "victim", "victim-1.0-py3-none-any.whl", core_metadata=b"Name: victim"
    )
    world.sync("victim")
    before = world.contents()
    list_file(world, hostile, file, {}, path=f"{file.path}.metadata")
    # Upstream serves the wheel's own bytes there, so that they fit the path.
    world.index.backfill_metadata("victim", file.filename, b"".join(file.content.read()))

    world.sync(hostile, run="run-2")

    after = world.contents()
    assert {key: after.get(key) for key in before} == before


@pytest.mark.parametrize("name", NAMES[:3] + NAMES[7:8])
def test_a_file_whose_name_says_its_project_is_deleted(world: World, name: str) -> None:
    world.index.add_file("victim", name, version="1.0")
    world.sync("victim")
    world.index.remove_file("victim", name)

    result = world.sync("victim", run="run-2", allowed_removal=AllowedRemoval.FILES)

    assert len(result.removed) == 1
    assert not world.files()


@pytest.mark.parametrize("name", ["my-victim-1.0.tar.gz", "my-victim-1.0-py2.7.egg"])
def test_a_file_whose_name_allows_other_projects_is_deleted_if_none_has_it(
    world: World, name: str
) -> None:
    world.index.add_file("my-victim", name, version="1.0")
    world.index.add_file("my", "my-1.0.tar.gz")
    world.sync("my-victim")
    world.sync("my")
    world.index.remove_file("my-victim", name)

    world.sync("my-victim", run="run-2", allowed_removal=AllowedRemoval.FILES)

    assert [key.rpartition("/")[2] for key in world.files()] == ["my-1.0.tar.gz"]


def test_a_page_does_not_show_a_file_with_another_project_s_name(world: World) -> None:
    file = world.index.add_file("victim", "victim-1.0.tar.gz")
    world.sync("victim")
    list_file(world, "hostile", file, {})

    world.sync("hostile", run="run-2")

    shown = [each["filename"] for each in world.page("hostile")["files"]]
    assert shown == ["hostile-7.0.tar.gz"]


@pytest.mark.parametrize("info", [{"name": "victim"}, {}, {"name": 7}])
def test_legacy_json_of_another_project_is_not_stored(world: World, info: dict[str, Any]) -> None:
    world.configure("json = true")
    world.index.add_file("hostile", "hostile-1.0.tar.gz")
    body = json.dumps({"info": info, "releases": {}, "urls": []}).encode()
    served = Raw(200, {"Content-Type": "application/json"}, body)
    world.upstream.faults.add(Fault(served, "/pypi/hostile/json"))

    with pytest.raises(InvalidPage):
        world.sync("hostile")

    assert not world.stored("web/pypi/")
