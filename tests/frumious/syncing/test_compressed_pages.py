"""Compressed variants of project pages: written before the JSON page, gone with the project."""

from __future__ import annotations

import gzip
import json
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import AllowedRemoval, Outcome
from frumious.simple import gzipped
from frumious.upstream.upstream import StalePage
from tests.agreement import missing_files
from tests.upstream import Edit, Fault, Stale, wheel

if TYPE_CHECKING:
    from tests.world import World

PAGE = "web/simple/demo/index.v1_json"
VARIANT = "web/gzip/simple/demo/index.v1_json"


def test_a_page_has_a_variant_with_its_headers(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")

    assert gzip.decompress(world.read(VARIANT)) == world.read(PAGE)
    variant = world.s3.head_object(Bucket=world.bucket, Key=VARIANT)
    page = world.s3.head_object(Bucket=world.bucket, Key=PAGE)
    assert variant.get("ContentEncoding") == "gzip"
    assert not page.get("ContentEncoding")
    assert variant["ContentType"] == page["ContentType"]
    assert variant["CacheControl"] == page["CacheControl"]


def test_the_same_page_always_has_the_same_variant() -> None:
    page = b"page" * 1_000_000
    assert gzipped.compress(page) == gzipped.compress(page)
    assert gzipped.decompress(gzipped.compress(page)) == page
    assert gzipped.compress(page)[4:8] == b"\0" * 4  # the time


def test_a_variant_cannot_take_more_memory_than_a_page() -> None:
    with pytest.raises(zlib.error, match="more than 1000 bytes"):
        gzipped.decompress(gzipped.compress(b"page" * 1_000_000), max_size=1000)


def test_files_and_state_are_not_compressed(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()

    compressed = [key for key in world.stored() if "gz" in key]
    assert all(key.startswith("web/gzip/simple/") for key in compressed)
    for key in world.files():
        head = world.s3.head_object(Bucket=world.bucket, Key=key)
        assert head.get("ContentEncoding") is None


def test_a_removed_project_has_no_variant(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.index.remove_project("demo")
    world.sync("demo", allowed_removal=AllowedRemoval.PROJECT)

    assert VARIANT not in world.stored()


def test_a_variant_names_no_file_that_was_removed(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-1")
    page = world.read(PAGE)
    world.index.remove_release("demo", "2.0")
    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.FILES)

    assert not missing_files(world)
    assert world.read(PAGE) != page
    assert gzip.decompress(world.read(VARIANT)) == world.read(PAGE)


def test_a_page_of_an_earlier_version_gets_its_variant_with_the_next_job(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.s3.delete_object(Bucket=world.bucket, Key=VARIANT)
    page = world.page("demo")
    del page["meta"]["_frumious"]["compressed"]
    world.s3.put_object(Bucket=world.bucket, Key=PAGE, Body=json.dumps(page).encode())

    assert not world.dry_run().jobs  # an update of Frumious alone republishes nothing
    assert world.sync("demo", run="run-2").outcome is Outcome.UPDATED

    assert gzip.decompress(world.read(VARIANT)) == world.read(PAGE)
    assert world.sync("demo", run="run-3").outcome is Outcome.UNCHANGED


def test_without_html_a_variant_of_an_interrupted_job_is_not_replaced_by_an_older_one(
    world: World,
) -> None:
    world.configure("simple-format = JSON")
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo", run="run-1")
    older, serial = world.read(PAGE), world.index.serial
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-2")
    shown = world.read(VARIANT)
    world.s3.put_object(Bucket=world.bucket, Key=PAGE, Body=older)  # killed before it

    world.upstream.faults.add(Fault(Stale(serial), "/simple/demo/"))
    with pytest.raises(StalePage):
        world.sync("demo", run="run-2", serial=serial, resuming=True)

    assert world.read(VARIANT) == shown


def test_a_damaged_variant_stops_nobody(world: World) -> None:
    world.configure("simple-format = JSON")
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo", run="run-1")
    world.s3.put_object(Bucket=world.bucket, Key=VARIANT, Body=b"no gzip")

    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo", run="run-2", resuming=True)

    assert gzip.decompress(world.read(VARIANT)) == world.read(PAGE)


def test_a_refused_write_of_the_page_is_done_again_with_its_variant(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo", run="run-1")
    world.index.upload(wheel("demo", "2.0"))

    def publish(_page: dict[str, Any]) -> None:
        world.s3.put_object(Bucket=world.bucket, Key=PAGE, Body=world.read(PAGE) + b"\n")

    world.upstream.faults.add(Fault(Edit(publish), "/simple/demo/", times=1))
    world.sync("demo", run="run-2")

    assert gzip.decompress(world.read(VARIANT)) == world.read(PAGE)
    assert "demo-2.0-py3-none-any.whl" in world.read(PAGE).decode()


@pytest.mark.parametrize("form", ["ALL", "JSON"])
def test_switched_off_variants_are_deleted_and_switched_on_ones_written(
    world: World, form: str
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.configure(f"simple-format = {form}")
    world.mirror_run()
    with_variants = world.contents()
    assert VARIANT in with_variants

    world.configure(f"simple-format = {form}\ncompress-pages = false")
    world.mirror_run()
    assert not [key for key in world.stored() if key.startswith("web/gzip/")]
    assert not world.dry_run().jobs

    world.configure(f"simple-format = {form}")
    world.mirror_run()
    web = {key for key in with_variants if key.startswith("web/")}
    assert {key for key in world.stored() if key.startswith("web/")} == web
    assert gzip.decompress(world.read(VARIANT)) == world.read(PAGE)


def test_without_json_there_is_a_variant_of_the_root_index_alone(world: World) -> None:
    world.configure("simple-format = HTML")
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()

    assert [key for key in world.stored() if key.startswith("web/gzip/")] == [
        "web/gzip/simple/index.html",
        "web/gzip/simple/index.v1_html",
    ]
