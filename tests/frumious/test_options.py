"""Every option of [mirror] has its effect, and loses it when it is removed."""

from __future__ import annotations

import configparser
import hashlib
import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from frumious.config import loading
from frumious.config.reader import Reader
from frumious.model.jobs import AllowedRemoval, Outcome
from frumious.model.page_layout import PageLayout
from frumious.model.types import Key
from localcloud.environment import CHECKOUT
from tests.agreement import assert_agreement, pages_of
from tests.clients import read_by_pip
from tests.upstream import Edit, Fault, wheel

if TYPE_CHECKING:
    from tests.world import World

DEMO = wheel("demo", "1.0")
HTML = frozenset({"index.html", "index.v1_html"})
JSON = frozenset({"index.v1_json"})


@pytest.fixture(autouse=True)
def two_projects(world: World) -> None:
    world.index.upload(DEMO)
    world.index.add_file("Big.Name_x", "Big.Name_x-1.0.zip", size=10)


def pages(world: World, prefix: str = "web/simple/") -> frozenset[str]:
    return frozenset(key.removeprefix(prefix) for key in world.stored(prefix))


def downloads(world: World) -> int:
    return len(world.upstream.requests_for("/packages/"))


def manifest(world: World, key: str) -> dict[str, Any]:
    payload: dict[str, Any] = json.loads(world.read(key))
    return payload


def paths(*folders: str, forms: frozenset[str] = HTML | JSON) -> frozenset[str]:
    return frozenset(f"{folder}{form}" for folder in ("", *folders) for form in forms)


def test_with_hash_index_project_pages_are_stored_below_their_first_letter(world: World) -> None:
    world.configure("hash-index = true")

    world.mirror_run()

    assert pages(world) == paths("d/demo/", "b/big-name-x/")
    assert b'href="../../packages/' in world.read("web/simple/d/demo/index.html")
    assert b'href="demo/"' in world.read("web/simple/index.html")
    assert not world.dry_run().jobs


@pytest.mark.parametrize("way", [("", "hash-index = true"), ("hash-index = true", "")])
def test_with_hash_index_switched_the_pages_move_and_files_stay(
    world: World, way: tuple[str, str]
) -> None:
    before, after = way
    world.configure(f"{before}\nkeep_index_versions = 2")
    world.mirror_run()
    files = world.files()
    world.upstream.clear()

    world.configure(after)
    world.mirror_run()

    folders = ("d/demo/", "b/big-name-x/") if after else ("demo/", "big-name-x/")
    assert pages(world) == paths(*folders)
    assert world.files() == files
    assert downloads(world) == 0
    assert not world.dry_run().jobs


def test_an_interrupted_move_is_finished(world: World) -> None:
    world.mirror_run()
    before = {key: body for key, body in world.contents().items() if key.startswith("web/simple/d")}
    world.configure("hash-index = true")
    (run,) = world.plan()
    first = world.sync("demo", run=run.run)
    for key, body in before.items():  # as if killed before the old pages were deleted
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)

    repeated = world.sync("demo", run=run.run, resuming=True)

    assert repeated == first
    assert "web/simple/demo/index.v1_json" not in world.contents()


def test_a_removed_project_is_deleted_from_its_old_page_paths(world: World) -> None:
    world.mirror_run()
    world.configure("hash-index = true\nkeep_index_versions = 2")
    world.index.remove_project("demo")

    world.mirror_run()

    assert pages(world) >= paths("b/big-name-x/")
    assert not [key for key in pages(world) if "demo" in key]


def test_the_sweep_finds_projects_below_their_first_letter(world: World) -> None:
    world.configure("hash-index = true\nkeep_index_versions = 2\nsweep-days = 0.5")
    world.mirror_run()
    world.index.archive("demo")
    world.index.archive("big-name-x")
    world.clock.advance(13 * 3600)

    world.mirror_run()

    for page in ("d/demo", "b/big-name-x"):
        status = manifest(world, f"web/simple/{page}/index.v1_json")["project-status"]
        assert status["status"] == "archived"


@pytest.mark.parametrize(("form", "forms"), [("HTML", HTML), ("JSON", JSON)])
def test_only_the_configured_page_format_is_served(
    world: World, form: str, forms: frozenset[str]
) -> None:
    world.configure(f"simple-format = {form}")

    world.mirror_run()
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()

    assert pages(world) == paths("demo/", "big-name-x/", forms=forms)
    assert not world.dry_run().jobs


@pytest.mark.parametrize(
    "forms", [("ALL", "HTML", "JSON", "ALL"), ("HTML", "ALL", "JSON", "HTML")], ids="-".join
)
def test_switching_the_page_format_deletes_pages_of_the_old_format(
    world: World, forms: tuple[str, ...]
) -> None:
    world.configure(f"simple-format = {forms[0]}")
    world.mirror_run()
    files = world.files()
    world.upstream.clear()

    for form in forms[1:]:
        world.configure(f"simple-format = {form}")
        world.mirror_run()

        expected = {"ALL": HTML | JSON, "HTML": HTML, "JSON": JSON}[form]
        assert pages(world) == paths("demo/", "big-name-x/", forms=expected)
        manifests = paths("demo/", "big-name-x/", forms=JSON) if form == "HTML" else set()
        assert pages(world, "state/simple/") == manifests
        assert not world.dry_run().jobs
    assert world.files() == files
    assert downloads(world) == 0


def test_a_removed_project_leaves_the_html_pages_too(world: World) -> None:
    world.configure("simple-format = HTML")
    world.mirror_run()
    world.index.remove_project("demo")

    world.mirror_run()

    assert pages(world) == paths("big-name-x/", forms=HTML)
    assert pages(world, "state/simple/") == paths("big-name-x/", forms=JSON)


def test_the_diff_file_names_the_pages_that_readers_get(world: World) -> None:
    options = f"hash-index = true\nsimple-format = JSON\ndiff-file = /{world.bucket}/diff"
    world.configure(options)

    world.mirror_run()

    named = world.read("diff").decode().split()
    assert {path for path in named if "/simple/" in path} == {
        f"/{world.bucket}/web/{folder}/{page}/index.v1_json"
        for folder in ("simple", "gzip/simple")
        for page in ("b/big-name-x", "d/demo")
    }


def test_without_release_files_the_pages_link_to_upstream_s_files(world: World) -> None:
    world.configure("release-files = false")

    world.mirror_run()

    assert not world.files()
    assert not world.stored("web/integrity/")
    assert downloads(world) == 0
    (file,) = world.page("demo")["files"]
    assert file["url"].startswith(world.upstream.files_url)
    assert file["core-metadata"]  # upstream has it next to the file
    for page in pages_of(world, "demo"):
        (found,) = read_by_pip(page)
        assert found.url == file["url"]
    assert manifest(world, "web/status.json")["files"] == 0
    assert not world.dry_run().jobs


def test_without_release_files_links_lead_to_root_uri(world: World) -> None:
    world.configure("release-files = false\nroot_uri = https://files.example")

    world.mirror_run()

    (file,) = world.page("demo")["files"]
    assert re.fullmatch(r"https://files\.example/packages/.*/demo-1\.0-.*\.whl", file["url"])
    assert file["core-metadata"] is False  # unknown, so it is not claimed


def test_release_files_can_be_switched_off_and_on(world: World) -> None:
    world.mirror_run()
    files = world.files()

    world.configure("release-files = false")
    world.mirror_run()
    assert not world.files()

    world.configure()
    world.mirror_run()
    assert world.files() == files
    assert_agreement(world, "demo")
    assert not world.dry_run().jobs


def test_a_project_without_release_files_is_removed_without_a_trace(world: World) -> None:
    world.configure("release-files = false")
    world.sync("demo")
    world.index.remove_project("demo")

    result = world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT)

    assert (result.outcome, result.removed) == (Outcome.REMOVED, ())
    assert not world.stored("web/")


@pytest.mark.parametrize(
    ("digest_name", "fragment"), [("md5", "md5"), ("sha256", "sha256"), ("sha512", "sha256")]
)
def test_links_carry_the_configured_digest_if_it_exists(
    world: World, digest_name: str, fragment: str
) -> None:
    def offer_md5(page: dict[str, Any]) -> None:
        page["files"][0]["hashes"]["md5"] = hashlib.md5(DEMO.content).hexdigest()  # noqa: S324

    world.upstream.faults.add(Fault(Edit(offer_md5), "/simple/demo/"))
    world.configure(f"digest_name = {digest_name}")

    world.sync("demo")

    hashes = world.page("demo")["files"][0]["hashes"]
    assert set(hashes) == {"md5", "sha256"}
    assert f"#{fragment}={hashes[fragment]}".encode() in world.read("web/simple/demo/index.html")


def test_the_configured_number_of_index_versions_is_kept(world: World) -> None:
    world.configure("keep_index_versions = 2")
    for number in range(2, 5):
        world.mirror_run()
        world.index.upload(wheel("demo", f"{number}.0"))
    world.mirror_run()

    versions = sorted(pages(world, "web/simple/demo/versions/"))
    assert len(versions) == 2 * 3
    name = re.compile(r"index_(\d+)_\d{4}-\d\d-\d\dT\d{6}\.\d{6}Z\.(html|v1_html|v1_json)")
    assert all(name.fullmatch(version) for version in versions)
    for form in HTML | JSON:
        newest = max(one for one in versions if one.endswith(form.removeprefix("index")))
        page = world.read(f"web/simple/demo/{form}")
        assert world.read(f"web/simple/demo/versions/{newest}") == page
    head = world.s3.head_object(Bucket=world.bucket, Key=f"web/simple/demo/versions/{versions[-1]}")
    assert head["ContentType"] == "application/vnd.pypi.simple.v1+json"


def test_a_job_done_twice_keeps_one_version(world: World) -> None:
    world.configure("keep_index_versions = 9")
    world.sync("demo")
    once = world.contents()

    world.sync("demo", resuming=True)

    assert world.contents() == once


def test_index_versions_are_deleted_with_their_project(world: World) -> None:
    world.configure("keep_index_versions = 2")
    world.sync("demo")
    world.configure()  # those that are there stay, and go all the same
    world.index.remove_project("demo")

    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT)

    assert not world.stored("web/simple/")


@pytest.mark.parametrize("other", ["Big.Name_x", "Big.Name-x"])
def test_cleanup_deletes_pages_under_other_names(world: World, other: str) -> None:
    leftover = Key(f"web/simple/{other}/index.html")
    world.s3.put_object(Bucket=world.bucket, Key=leftover, Body=b"")
    world.sync("big-name-x")
    assert leftover in world.stored()

    world.configure("cleanup = true")
    world.sync("big-name-x", run="run-2")

    assert leftover not in world.stored()
    assert pages(world) == {f"big-name-x/{form}" for form in HTML | JSON}


def test_stored_paths_can_be_parsed_back() -> None:
    for name in ("html json", "hashed html json", "html", "hashed html", "json", "hashed json"):
        layout = PageLayout.named(name)
        assert layout.name == name
        for project in ("demo", "d", "big-name-x"):
            assert layout.project_of(layout.manifest(project)) == project
            assert layout.project_of(Key(f"{layout.versions(project)}index_1_x.v1_json")) is None
            assert layout.manifest(project) < layout.after_manifest(project)
        assert layout.project_of(layout.root_manifest) is None


def test_every_key_is_documented() -> None:
    ini = configparser.RawConfigParser()
    ini.read_string("[mirror]\ndirectory = /data\n")
    reader = Reader(ini)
    loading._config(reader, {})
    text = (CHECKOUT / "docs/configuration.md").read_text()

    keys = {key for section in ("mirror", "s3", "swift") for key in reader._known[section]}
    assert not [key for key in sorted(keys) if f"`{key}`" not in text]
