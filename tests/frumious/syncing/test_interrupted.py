"""Every next job of a project finishes what an interrupted job left undone.

Each test creates the bucket's contents in the middle of a job.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import AllowedRemoval, Job
from frumious.model.types import RunId
from frumious.storage.protocol import Conflict
from frumious.upstream.upstream import StalePage
from tests.upstream import Edit, Fault, Stale, wheel

if TYPE_CHECKING:
    from frumious.model.types import Key
    from tests.world import World


def restore(world: World, files: dict[Key, bytes]) -> None:
    """Store files again, as if they had not yet been deleted."""
    for key, body in files.items():
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)


def names(world: World) -> set[str]:
    return {key.rpartition("/")[2] for key in world.files()}


def test_files_that_one_job_failed_to_delete_are_deleted_by_the_next(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-1")
    before = world.files()
    world.index.remove_release("demo", "2.0")
    world.sync("demo", run="run-2")
    restore(world, before)

    world.index.upload(wheel("demo", "3.0"))
    world.sync("demo", run="run-3")

    assert names(world) == {
        f"demo-{version}-py3-none-any.whl{suffix}"
        for version in ("1.0", "3.0")
        for suffix in ("", ".metadata")
    }


def test_a_file_that_was_removed_and_restored_is_not_deleted(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-1")
    before = world.files()
    world.index.quarantine_release("demo", "2.0")
    world.sync("demo", run="run-2")
    world.index.clear_release_quarantine("demo", "2.0")

    world.sync("demo", run="run-3")

    assert world.files() == before


def test_files_of_a_removed_project_are_deleted_although_it_was_recreated(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo", run="run-1")
    before = world.files()
    world.index.remove_project("demo")
    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT)
    restore(world, before)

    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT, resuming=True)

    assert names(world) == {"demo-2.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl.metadata"}


def test_a_file_restored_after_a_removal_is_kept_while_the_page_names_it(
    world: World,
) -> None:
    json_page = "web/simple/demo/index.v1_json"
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-1")
    world.configure(sections="[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = demo")
    world.sync("demo", run="run-2")  # leaves a tombstone
    world.configure()
    world.sync("demo", run="run-3")
    before = world.files()
    world.index.remove_release("demo", "1.0")

    def publish(_page: dict[str, Any]) -> None:
        """Replace the page, so that the job's write conflicts."""
        world.s3.put_object(Bucket=world.bucket, Key=json_page, Body=world.read(json_page) + b"\n")

    world.upstream.faults.add(Fault(Edit(publish), "/simple/demo/"))
    job = Job(
        RunId("run-4"),
        canonicalize_name("demo"),
        0,
        allowed_removal=AllowedRemoval.FILES,
        recovering=True,
    )
    with pytest.raises(Conflict):
        world.attempt(job)

    assert world.files() == before


def test_pages_without_a_manifest_are_removed_with_their_project(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.s3.delete_object(Bucket=world.bucket, Key="web/simple/demo/index.v1_json")

    world.index.remove_project("demo")
    world.sync("demo", allowed_removal=AllowedRemoval.PROJECT, resuming=True)

    assert not [key for key in world.contents() if key.startswith("web/simple/")]


def test_html_of_an_interrupted_job_is_not_replaced_by_an_older_one(world: World) -> None:
    json_page = "web/simple/demo/index.v1_json"
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-1")
    world.index.quarantine_release("demo", "2.0")
    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.FILES)
    older, serial = world.read(json_page), world.index.serial
    world.index.clear_release_quarantine("demo", "2.0")
    world.sync("demo", run="run-3", serial=serial)
    world.s3.put_object(Bucket=world.bucket, Key=json_page, Body=older)

    world.upstream.faults.add(Fault(Stale(serial), "/simple/demo/"))
    shown = world.read("web/simple/demo/index.html")
    with pytest.raises(StalePage):
        world.sync("demo", run="run-3", serial=serial, resuming=True)

    assert world.read("web/simple/demo/index.html") == shown
    named = re.findall(r'href="../../([^#"]+)', shown.decode())
    assert len(named) == 2
    assert {f"web/{path}" for path in named} <= world.files().keys()


def test_html_of_an_interrupted_job_is_rewritten(world: World) -> None:
    json_page = "web/simple/demo/index.v1_json"
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo", run="run-1")
    before, shown = world.read(json_page), world.read("web/simple/demo/index.html")
    world.index.archive("demo")  # without an event
    world.sync("demo", run="run-2")
    world.s3.put_object(Bucket=world.bucket, Key=json_page, Body=before)
    world.index.unarchive("demo")

    world.sync("demo", run="run-2", resuming=True)

    assert world.read("web/simple/demo/index.html") == shown


def test_a_stored_file_is_not_mistaken_for_one_with_another_hash(world: World) -> None:
    def spoil(page: dict[str, Any]) -> None:
        page["files"][0]["hashes"] = {"sha256": "0" * 64}

    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    for form in ("index.html", "index.v1_html", "index.v1_json"):
        world.s3.delete_object(Bucket=world.bucket, Key=f"web/simple/demo/{form}")

    world.upstream.faults.add(Fault(Edit(spoil), "/simple/demo/"))
    world.sync("demo", resuming=True)

    assert world.page("demo")["files"] == []


def test_metadata_that_no_page_names_is_deleted(world: World) -> None:
    def spoil(page: dict[str, Any]) -> None:
        page["files"][0]["core-metadata"] = {"sha256": "0" * 64}

    world.configure("allow-changed-files = true")
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo", run="run-1")
    world.index.journal("demo", "docs")
    world.upstream.faults.add(Fault(Edit(spoil), "/simple/demo/"))
    world.sync("demo", run="run-2")

    assert world.page("demo")["files"][0]["core-metadata"] is False
    assert names(world) == {"demo-1.0-py3-none-any.whl"}


def test_a_project_whose_removal_was_interrupted_leaves_the_root_index(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("other", "1.0"))
    world.mirror_run()
    world.index.remove_project("demo")
    world.sync("demo", run="run-lost", allowed_removal=AllowedRemoval.PROJECT)  # leaves no result

    world.mirror_run()

    listed = json.loads(world.read("web/simple/index.v1_json"))["projects"]
    assert [project["name"] for project in listed] == ["other"]


def test_a_killed_job_reports_its_files_although_its_project_is_not_selected_any_more(
    world: World,
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    added = world.sync("demo", run="run-1").added
    blocked = "[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = demo"
    world.configure(sections=blocked)

    result = world.sync("demo", run="run-1", resuming=True)

    assert (result.added, set(result.added)) == (added, set(world.files()))
