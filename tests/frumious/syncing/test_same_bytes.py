"""The same bytes under the same name, whatever upstream says later and by which hash."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import AllowedRemoval, Outcome
from tests.upstream import Edit, Fault

if TYPE_CHECKING:
    from tests.world import World

NAME = "demo-1.0.tar.gz"
HASHES = ["sha256", "sha512", "sha3_256", "blake2b", "sha1", "md5"]
WEAK = ["sha1", "md5"]


def digest(name: str, content: bytes) -> str:
    return hashlib.new(name, content, usedforsecurity=False).hexdigest()


def publish(world: World, content: bytes, *names: str) -> None:
    """Let upstream list one file with these hashes."""
    if world.index.project("demo") is not None:
        for listed in world.index.project("demo").files:  # type: ignore[union-attr]
            world.index.remove_file("demo", listed.file.filename)
    file = world.index.add_file("demo", NAME, content=content)
    hashes = {name: digest(name, content) for name in names}

    def edit(page: dict[str, Any]) -> None:
        page["files"][0]["hashes"] = hashes

    world.upstream.faults.clear()
    world.upstream.faults.add(Fault(Edit(edit), "/simple/demo/"))
    assert file.content.sha256 == digest("sha256", content)


def stored(world: World) -> list[bytes]:
    return [body for key, body in world.files().items() if key.endswith(NAME)]


@pytest.mark.parametrize("after", HASHES)
@pytest.mark.parametrize("before", HASHES)
def test_other_bytes_are_refused_whichever_hash_upstream_names(
    world: World, before: str, after: str
) -> None:
    world.configure("allow-weak-hashes = true")
    publish(world, b"first", before)
    world.sync("demo")
    publish(world, b"second", after)

    result = world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.FILES)

    assert "other bytes" in str(result.error)
    assert stored(world) == [b"first"]
    world.configure("allow-weak-hashes = true\nallow-changed-files = true")
    world.sync("demo", run="run-3", allowed_removal=AllowedRemoval.FILES)
    assert stored(world) == [b"second"]


@pytest.mark.parametrize("name", HASHES)
def test_sha256_is_published_whichever_hash_upstream_names(world: World, name: str) -> None:
    world.configure("allow-weak-hashes = true")
    publish(world, b"first", name)

    world.sync("demo")

    sha256 = digest("sha256", b"first")
    assert world.page("demo")["files"][0]["hashes"] == {
        name: digest(name, b"first"),
        "sha256": sha256,
    }
    assert f"#sha256={sha256}" in world.read("web/simple/demo/index.html").decode()

    world.upstream.clear()
    assert world.sync("demo", run="run-2").outcome is Outcome.UNCHANGED
    world.index.journal("demo", "create")
    world.sync("demo", run="run-3")
    assert world.page("demo")["files"][0]["hashes"]["sha256"] == sha256
    assert not world.upstream.requests_for("/packages/"), "it is computed once"


def test_sha256_is_published_for_core_metadata(world: World) -> None:
    metadata = b"Name: demo"
    world.index.add_file("demo", NAME, core_metadata=metadata)

    def edit(page: dict[str, Any]) -> None:
        page["files"][0]["core-metadata"] = {"sha512": digest("sha512", metadata)}

    world.upstream.faults.add(Fault(Edit(edit), "/simple/demo/"))

    world.sync("demo")

    published = world.page("demo")["files"][0]["core-metadata"]
    assert published["sha256"] == digest("sha256", metadata)


def test_sha256_of_a_file_that_an_earlier_version_stored_is_computed(world: World) -> None:
    publish(world, b"first", "sha512")
    world.sync("demo")
    page = world.page("demo")
    del page["files"][0]["hashes"]["sha256"]
    key = "web/simple/demo/index.v1_json"
    world.s3.put_object(Bucket=world.bucket, Key=key, Body=json.dumps(page).encode())
    world.index.journal("demo", "create")

    world.sync("demo", run="run-2")

    assert world.page("demo")["files"][0]["hashes"]["sha256"] == digest("sha256", b"first")
    assert stored(world) == [b"first"]


@pytest.mark.parametrize("names", [["md5"], ["sha1"], ["md5", "sha1"]])
def test_weak_hashes_alone_are_refused(world: World, names: list[str]) -> None:
    publish(world, b"first", *names)

    assert "allow-weak-hashes" in str(world.sync("demo").error)
    assert world.page("demo")["files"] == []
    assert not world.files()

    world.configure("allow-weak-hashes = true")
    assert world.sync("demo", run="run-2").error is None
    assert stored(world) == [b"first"]


def test_core_metadata_with_a_weak_hash_alone_is_not_advertised(world: World) -> None:
    world.index.add_file("demo", NAME, core_metadata=b"Name: demo")

    def edit(page: dict[str, Any]) -> None:
        page["files"][0]["core-metadata"] = {"md5": digest("md5", b"Name: demo")}

    world.upstream.faults.add(Fault(Edit(edit), "/simple/demo/"))

    assert world.sync("demo").error is None

    assert world.page("demo")["files"][0]["core-metadata"] is False


def test_a_release_s_variants_may_change_and_are_not_immutable(world: World) -> None:
    name = "demo-1.0-variants.json"
    world.index.add_file("demo", name, version="1.0", content=b"{}")
    world.sync("demo")
    world.index.remove_file("demo", name)
    changed = world.index.add_file("demo", name, version="1.0", content=b'{"a": 1}')

    result = world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.FILES)

    assert result.error is None
    assert list(world.files().values()) == [b'{"a": 1}'], "the old ones are deleted"
    head = world.s3.head_object(Bucket=world.bucket, Key=f"web{changed.path}")
    assert "immutable" not in head["CacheControl"]


def take_away(world: World) -> None:
    """Mirror a file, then a page without it."""
    world.index.add_file("demo", NAME, content=b"first")
    world.index.add_file("demo", "demo-2.0.tar.gz", content=b"other")
    world.mirror_run()
    world.index.remove_file("demo", NAME)
    world.mirror_run()


def test_a_file_that_was_taken_away_comes_back_only_with_its_bytes(world: World) -> None:
    take_away(world)
    assert not stored(world)
    world.index.add_file("demo", "demo-3.0.tar.gz")
    world.mirror_run()  # a job in between
    world.index.add_file("demo", NAME, content=b"second")

    (result,) = world.mirror_run().results

    assert "other bytes" in str(result.error)
    assert not stored(world)
    world.index.remove_file("demo", NAME)
    world.index.add_file("demo", NAME, content=b"first")
    world.retry()
    (result,) = world.mirror_run().results
    assert result.error is None
    assert stored(world) == [b"first"]


def test_a_file_that_was_taken_away_may_come_back_otherwise_if_allowed(world: World) -> None:
    take_away(world)
    world.index.add_file("demo", NAME, content=b"second")
    world.configure("allow-changed-files = true")

    world.mirror_run()

    assert stored(world) == [b"second"]


@pytest.mark.parametrize("quarantine", [False, True])
def test_a_project_that_was_removed_comes_back_only_with_its_bytes(
    world: World, *, quarantine: bool
) -> None:
    world.index.add_file("demo", NAME, content=b"first")
    world.mirror_run()
    if quarantine:
        world.index.quarantine_project("demo")
    else:
        world.index.remove_project("demo")
    world.mirror_run()
    if quarantine:
        world.index.clear_project_quarantine("demo")
        world.index.remove_file("demo", NAME)
    world.index.add_file("demo", NAME, content=b"second")
    world.index.add_file("demo", "demo-2.0.tar.gz", content=b"other")

    (result,) = world.mirror_run().results

    assert "other bytes" in str(result.error)
    assert list(world.files().values()) == [b"other"]


def test_removed_files_are_looked_up_only_if_there_are_any(world: World) -> None:
    world.index.add_file("demo", NAME)
    world.sync("demo")
    world.index.add_file("demo", "demo-2.0.tar.gz")

    world.sync("demo", run="run-2")

    assert not world.stored("state/removed/")
    assert "removed_files" not in world.page("demo")["meta"]["_frumious"]


METADATA = b"Metadata-Version: 2.1\nName: demo\nVersion: 1.0\n"
OTHER_METADATA = METADATA + b"Requires-Dist: malware\n"


def metadata(world: World) -> list[bytes]:
    return [body for key, body in world.files().items() if key.endswith(".metadata")]


def with_metadata_hash(world: World, name: str, content: bytes) -> None:
    """Let upstream state one hash of the core metadata."""

    def edit(page: dict[str, Any]) -> None:
        for file in page["files"]:
            if file["filename"] == NAME:
                file["core-metadata"] = {name: digest(name, content)}

    world.upstream.faults.clear()
    world.upstream.faults.add(Fault(Edit(edit), "/simple/demo/"))


@pytest.mark.parametrize("after", ["sha256", "sha512", "md5"])
def test_other_core_metadata_is_refused_whichever_hash_upstream_names(
    world: World, after: str
) -> None:
    world.index.add_file("demo", NAME, core_metadata=METADATA)
    world.mirror_run()
    before = world.page("demo")["files"]
    world.index.backfill_metadata("demo", NAME, OTHER_METADATA)
    with_metadata_hash(world, after, OTHER_METADATA)
    world.index.add_file("demo", "demo-2.0.tar.gz")

    (result,) = world.mirror_run().results

    assert "other bytes" in str(result.error)
    assert metadata(world) == [METADATA]
    assert world.page("demo")["files"][:1] == before
    assert "demo-2.0.tar.gz" in {file["filename"] for file in world.page("demo")["files"]}


def test_other_core_metadata_is_taken_if_allowed(world: World) -> None:
    world.index.add_file("demo", NAME, core_metadata=METADATA)
    world.mirror_run()
    world.index.backfill_metadata("demo", NAME, OTHER_METADATA)
    world.index.journal("demo", "create")
    world.configure("allow-changed-files = true")

    (result,) = world.mirror_run().results

    assert result.error is None
    assert metadata(world) == [OTHER_METADATA]


@pytest.mark.parametrize("taken", ["metadata", "file", "project"])
def test_core_metadata_that_was_taken_away_comes_back_only_with_its_bytes(
    world: World, taken: str
) -> None:
    world.index.add_file("demo", NAME, content=b"first", core_metadata=METADATA)
    world.index.add_file("demo", "demo-2.0.tar.gz", content=b"other")
    world.mirror_run()
    if taken == "metadata":
        lack = Edit(lambda page: page["files"][0].update({"core-metadata": False}))
        world.upstream.faults.add(Fault(lack, "/simple/demo/"))
        world.index.journal("demo", "create")
    elif taken == "file":
        world.index.remove_file("demo", NAME)
    else:
        world.index.remove_project("demo")
    world.mirror_run()
    assert not metadata(world)
    world.upstream.faults.clear()
    if taken == "metadata":
        world.index.backfill_metadata("demo", NAME, OTHER_METADATA)
        world.index.journal("demo", "create")
    else:
        world.index.add_file("demo", NAME, content=b"first", core_metadata=OTHER_METADATA)

    (result,) = world.mirror_run().results

    assert "other bytes" in str(result.error)
    assert not metadata(world)
    files = {file["filename"]: file for file in world.page("demo")["files"]}
    assert files[NAME]["core-metadata"] is False
    assert stored(world) == [b"first"]

    world.index.backfill_metadata("demo", NAME, METADATA)
    world.retry()
    (result,) = world.mirror_run().results
    assert result.error is None
    assert metadata(world) == [METADATA]
