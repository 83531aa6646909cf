"""Faults of upstream, and how the mirror survives them."""

from __future__ import annotations

import hashlib
import json
import re
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import AllowedRemoval, Outcome, Result
from frumious.simple.values import InvalidPage
from frumious.syncing.comparison import MassLoss
from frumious.upstream.addresses import HostRefused
from frumious.upstream.failures import TooLarge, UpstreamUnavailable
from frumious.upstream.upstream import StalePage
from tests.upstream import (
    BANDERSNATCH,
    Chunked,
    Edit,
    Endless,
    Fault,
    Gzip,
    Index,
    NoRange,
    Raw,
    Redirect,
    Reset,
    Server,
    Slow,
    Status,
    Together,
    Truncated,
    WrongBytes,
    wheel,
)

if TYPE_CHECKING:
    from tests.upstream import Action
    from tests.world import World

LARGE = 3_000_000


def large_file(world: World) -> str:
    """Upload a file that takes several chunks; return its sha256."""
    return world.index.add_file("demo", "demo-1.0.tar.gz", size=LARGE).content.sha256


def stored(world: World) -> list[str]:
    return [hashlib.sha256(body).hexdigest() for body in world.files().values()]


def lagging(world: World) -> set[str]:
    return set(json.loads(world.read("web/status.json"))["lagging"])


# Faults that pass


@pytest.mark.parametrize(
    "action",
    [
        Status(500),
        Status(502),
        Status(503),
        Status(504),
        Status(429, retry_after=0),
        Reset(),
        Truncated(10),
    ],
)
@pytest.mark.parametrize("match", ["/simple/", "/packages/"])
def test_a_transient_fault_is_retried_within_the_job(
    world: World, action: Action, match: str
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(action, match, times=2))

    assert world.sync("demo").error is None
    assert len(world.files()) == 2


def test_a_persistent_fault_is_retried_by_the_queue(world: World) -> None:
    world.upstream.faults.add(Fault(Status(503), "/simple/"))

    with pytest.raises(UpstreamUnavailable, match="503"):
        world.sync("demo")
    assert len(world.upstream.requests) == 4


def test_a_long_retry_after_is_passed_to_the_queue_at_once(world: World) -> None:
    world.upstream.faults.add(Fault(Status(429, retry_after=120), "/simple/"))

    with pytest.raises(UpstreamUnavailable) as caught:
        world.sync("demo")
    assert caught.value.retry_after == 120
    assert len(world.upstream.requests) == 1


def test_a_silent_server_is_a_transient_fault(world: World) -> None:
    world.configure("timeout = 0.2")
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Slow(delay=1), "/simple/", times=1))

    assert world.sync("demo").error is None


@pytest.mark.parametrize("path", ["/simple/", "/packages/"])
def test_a_trickling_response_is_ended_by_the_global_timeout(world: World, path: str) -> None:
    world.configure("timeout = 5\nglobal-timeout = 0.3")
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Slow(rate=10), path, times=1))

    started = time.monotonic()
    assert world.sync("demo").error is None

    assert time.monotonic() - started < 20  # at 10 bytes a second it takes far longer
    assert len(world.upstream.requests_for(path)) > 1


def test_a_page_that_does_not_exist_yet_is_retried_later(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/simple/", times=1))

    with pytest.raises(StalePage, match="no page of 'demo' yet"):
        world.sync("demo", serial=world.index.serial)
    assert world.sync("demo", serial=world.index.serial).outcome is Outcome.UPDATED


def test_a_project_that_left_after_its_job_was_planned_is_absent(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    planned = world.index.serial
    world.index.remove_project("demo")

    for serial in (planned, world.index.serial):  # a repair need not know what that event is
        assert world.sync("demo", serial=serial).outcome is Outcome.ABSENT


def test_a_project_that_was_created_and_removed_is_absent(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.remove_project("demo")

    result = world.sync("demo", serial=world.index.serial, allowed_removal=AllowedRemoval.PROJECT)

    assert result.outcome is Outcome.ABSENT


def test_a_serial_in_the_header_alone_is_accepted(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Edit(lambda page: page["meta"].pop("_last-serial"))))

    assert world.sync("demo").serial == world.index.serial


def test_at_the_last_delivery_an_unavailable_file_does_not_block_the_others(
    world: World,
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.upstream.faults.add(Fault(Status(503), re.compile("demo-2.0.*whl$")))
    world.plan(["demo"])

    (result,) = world.work(last=True)

    assert isinstance(result, Result)
    assert "503" in str(result.error)
    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-1.0-py3-none-any.whl"
    ]


def test_bytes_that_do_not_match_their_path_are_refused(world: World) -> None:
    world.index.add_file("demo", "demo-1.0.tar.gz", content=b"one")
    other = world.index.add_file("demo", "demo-2.0.tar.gz", content=b"two")

    def claim(page: dict[str, Any]) -> None:
        page["files"][0]["url"] = page["files"][1]["url"].replace("2.0", "1.0")

    world.upstream.faults.add(Fault(Edit(claim), "/simple/"))
    folder = other.path.rpartition("/")[0]
    world.upstream.faults.add(
        Fault(Raw(200, {}, b"one"), re.compile(re.escape(f"{folder}/demo-1.0.tar.gz")))
    )

    result = world.sync("demo")

    assert "blake2b-256" in str(result.error)
    assert list(world.files().values()) == [b"two"]


# Transfers that break off


@pytest.mark.parametrize("action", [Truncated(1_000_000), Reset(1_000_000)])
def test_an_interrupted_transfer_is_resumed(world: World, action: Action) -> None:
    sha256 = large_file(world)
    world.upstream.faults.add(Fault(action, "/packages/", times=1))

    assert world.sync("demo").error is None

    assert stored(world) == [sha256]
    first, second = world.upstream.requests_for("/packages/")
    assert second.headers["range"].startswith("bytes=")
    assert second.headers["if-range"]
    assert first.sent + second.sent < LARGE * 1.5


def test_a_transfer_restarts_if_the_server_cannot_resume(world: World) -> None:
    sha256 = large_file(world)
    world.upstream.faults.add(Fault(Truncated(1_000_000), "/packages/", times=1))
    world.upstream.faults.add(Fault(NoRange(), "/packages/"))

    assert world.sync("demo").error is None
    assert stored(world) == [sha256]


def test_a_file_that_always_breaks_off_is_left_out_and_the_others_are_stored(
    world: World,
) -> None:
    large_file(world)
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Truncated(0), re.compile("tar.gz$")))

    result = world.sync("demo")

    assert "broke off" in str(result.error)
    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-1.0-py3-none-any.whl"
    ]


def test_a_file_without_a_content_length_is_stored(world: World) -> None:
    sha256 = large_file(world)
    world.upstream.faults.add(Fault(Chunked(), "/packages/"))

    assert world.sync("demo").error is None
    assert stored(world) == [sha256]


# A mirror to download from


def test_a_download_mirror_is_tried_first(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    with Server(world.index) as mirror:
        world.configure(f"download-mirror = {mirror.url}")

        world.sync("demo")

        assert len(mirror.requests_for("/packages/")) == 2
    assert not world.upstream.requests_for("/packages/")


@pytest.mark.parametrize("action", [Status(404), Status(503), WrongBytes(), Truncated(1)])
def test_files_missing_on_the_download_mirror_come_from_upstream(
    world: World, action: Action
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    with Server(world.index) as mirror:
        world.configure(f"download-mirror = {mirror.url}")
        mirror.faults.add(Fault(action))

        assert world.sync("demo").error is None


def test_without_fallback_the_download_mirror_is_the_only_source(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    with Server(Index()) as mirror:
        world.configure(f"download-mirror = {mirror.url}\ndownload-mirror-no-fallback = true")

        assert "404" in str(world.sync("demo").error)
    assert not world.upstream.requests_for("/packages/")


# Unexplained removals


def test_a_page_that_lost_most_of_its_files_is_not_published(world: World) -> None:
    for number in range(4):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=10)
    world.sync("demo")
    before = world.contents()
    world.upstream.faults.add(Fault(Edit(lambda page: page["files"].clear()), "/simple/"))

    with pytest.raises(MassLoss, match="4 of 4 files of 'demo'"):
        world.sync("demo", run="run-2")
    assert world.contents() == before


def test_a_project_that_upstream_seems_to_have_lost_is_not_removed(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    before = world.contents()
    world.upstream.faults.add(Fault(Status(404), "/simple/"))

    with pytest.raises(MassLoss):
        world.sync("demo", run="run-2")
    assert world.contents() == before


def lose_most_files(world: World) -> None:
    """Mirror four files, and let upstream remove three of them."""
    for number in range(4):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=10)
    world.mirror_run()
    for number in range(3):
        world.index.remove_file("demo", f"demo-{number}.tar.gz")


def test_a_removal_that_the_changelog_reported_is_followed(world: World) -> None:
    lose_most_files(world)

    finalized = world.mirror_run()

    assert [result.outcome for result in finalized.results] == [Outcome.UPDATED]
    assert len(world.files()) == 1


def test_a_404_of_a_recreated_project_is_not_trusted(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    before = world.files()
    world.index.remove_project("demo")
    world.index.upload(wheel("demo", "2.0"))
    world.upstream.faults.add(Fault(Status(404), "/simple/demo/"))

    world.mirror_run()

    assert world.files() == before
    assert lagging(world) == {"demo"}


def test_a_404_of_a_project_created_removed_and_recreated_is_not_trusted(world: World) -> None:
    world.index.add_project("other")
    world.mirror_run()
    world.index.add_project("demo")
    world.index.remove_project("demo")
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Status(404), "/simple/demo/"))

    world.mirror_run()

    assert lagging(world) == {"demo"}


def test_a_pending_removal_is_dropped_when_the_project_is_recreated(
    world: World,
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.index.remove_project("demo")
    world.upstream.faults.add(Fault(Status(503), "/simple/demo/"))
    world.mirror_run()
    world.upstream.faults.clear()
    before = world.files()
    world.index.upload(wheel("demo", "2.0"))

    world.upstream.faults.add(Fault(Status(404), "/simple/demo/"))
    for _ in range(2):  # planned because of the event, and as lagging
        world.mirror_run()
        assert world.files() == before
        world.retry()
    world.upstream.faults.clear()
    world.mirror_run()

    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-2.0-py3-none-any.whl"
    ]
    assert not lagging(world)


def test_a_lagging_project_keeps_its_allowed_removal_when_it_changes_again(world: World) -> None:
    lose_most_files(world)
    world.upstream.faults.add(Fault(Status(503), "/simple/demo/"))
    world.mirror_run()
    world.upstream.faults.clear()
    world.index.yank("demo", "3")

    world.mirror_run()

    assert len(world.files()) == 1
    assert not lagging(world)


def test_a_removal_can_be_confirmed_by_naming_the_project(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.upstream.faults.add(Fault(Status(404), "/simple/"))

    assert (
        world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT).outcome
        is Outcome.REMOVED
    )


def test_a_filter_may_drop_any_number_of_files(world: World) -> None:
    for number in range(4):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=10)
    world.sync("demo")
    world.configure(
        sections="[plugins]\nenabled = blocklist_release\n[blocklist]\npackages =\n  demo>=1"
    )

    assert len(world.sync("demo", run="run-2").removed) == 3


# Files that changed


def changed(world: World) -> bytes:
    """Mirror a file, then change its bytes upstream; return the old bytes."""
    world.index.add_file("demo", "demo-1.0.tar.gz", content=b"first")
    world.sync("demo")
    world.index.remove_file("demo", "demo-1.0.tar.gz")
    world.index.add_file("demo", "demo-1.0.tar.gz", content=b"second")
    return b"first"


def test_changed_bytes_under_a_filename_are_refused_and_reported(world: World) -> None:
    before = changed(world)

    result = world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.FILES)

    assert "other bytes" in str(result.error)
    assert list(world.files().values()) == [before]


def test_changed_bytes_under_a_filename_are_stored_if_allowed(world: World) -> None:
    changed(world)
    world.configure("allow-changed-files = true")

    assert world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.FILES).error is None
    assert list(world.files().values()) == [b"second"]


def test_a_stored_file_with_a_bad_upstream_entry_is_kept(world: World) -> None:
    world.index.add_file("demo", "demo-1.0.tar.gz", size=10)
    world.index.add_file("demo", "demo-2.0.tar.gz", size=10)
    world.sync("demo")
    world.index.yank("demo", "2.0")

    def spoil(page: dict[str, Any]) -> None:
        page["files"][0]["hashes"] = {"sha256": "no digest"}

    world.upstream.faults.add(Fault(Edit(spoil), "/simple/"))

    result = world.sync("demo", run="run-2")

    assert "sha256" in str(result.error)
    assert len(world.files()) == 2
    assert {file["filename"] for file in world.page("demo")["files"]} == {
        "demo-1.0.tar.gz",
        "demo-2.0.tar.gz",
    }


@pytest.mark.parametrize(
    "spoiled",
    [
        {"hashes": {"sha256": "no digest"}},
        {"url": "ftp://example.org/demo-1.0.tar.gz"},
        {"size": -1},
        {"hashes": {"md5": "0" * 32}},
    ],
    ids=str,
)
def test_so_is_it_when_the_configuration_changes_at_the_same_time(
    world: World, spoiled: dict[str, Any]
) -> None:
    for version in ("1.0", "2.0"):
        world.index.add_file("demo", f"demo-{version}.tar.gz", size=10)
    world.index.add_file("demo", "demo-1.0.zip", version="1.0", size=10)
    world.sync("demo")

    def spoil(page: dict[str, Any]) -> None:
        page["files"][0].update(spoiled)

    world.upstream.faults.add(Fault(Edit(spoil), "/simple/"))
    world.configure(
        "root_uri = https://pypi.example.org",
        "[plugins]\nenabled = exclude_platform\n  blocklist_release\n"
        "[blocklist]\npackages = demo==2.0",
    )

    result = world.sync("demo", run="run-2")

    assert result.error
    shown = {file["filename"]: file["url"] for file in world.page("demo")["files"]}
    assert shown.keys() == {"demo-1.0.tar.gz", "demo-1.0.zip"}, "the filters still decide"
    assert all(url.startswith("https://pypi.example.org/packages/") for url in shown.values())
    assert {key.rpartition("/")[2] for key in world.files()} == shown.keys()

    world.upstream.faults.clear()
    assert world.sync("demo", run="run-3").error is None
    assert {file["filename"] for file in world.page("demo")["files"]} == shown.keys()


# Places that must not be reached


def test_a_file_on_a_host_that_is_not_allowed_is_left_out(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    with Server(world.index, files_host="localhost") as upstream:
        world.master = upstream.url
        world.configure()

        assert "allowed-hosts" in str(world.sync("demo").error)
        assert not upstream.requests_for("/packages/")

        world.configure(f"allowed-hosts = {upstream.files_url.removeprefix('http://')}")
        assert world.sync("demo", run="run-2").error is None


@pytest.mark.parametrize(
    "to",
    [
        "http://169.254.169.254/latest/meta-data/",
        "http://localhost:1/",
        "file:///etc/passwd",
        "ftp://127.0.0.1/",
        "http://[::1]/",
    ],
)
def test_a_redirect_to_a_host_that_is_not_allowed_is_not_followed(world: World, to: str) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Redirect(to), "/simple/"))

    with pytest.raises(HostRefused, match=re.escape(to)):
        world.sync("demo")


def test_a_redirect_within_upstream_is_followed(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(
        Fault(Redirect(f"{world.upstream.url}/simple/demo/"), "/simple/", times=1)
    )

    assert world.sync("demo").error is None


def test_endless_redirects_are_a_fault(world: World) -> None:
    world.upstream.faults.add(Fault(Redirect(), "/simple/"))

    with pytest.raises(UpstreamUnavailable, match="redirects"):
        world.sync("demo")


# Answers that are too much


def test_an_endless_page_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frumious.upstream.upstream.MAX_PAGE_BYTES", 1_000_000)
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Endless(), "/simple/"))

    with pytest.raises(TooLarge, match="1000000 bytes"):
        world.sync("demo")


def test_a_gzip_bomb_is_refused(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("frumious.upstream.upstream.MAX_PAGE_BYTES", 1_000_000)
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Together([Endless(), Gzip()]), "/simple/"))

    with pytest.raises((TooLarge, UpstreamUnavailable)):
        world.sync("demo")


def test_a_compressed_page_is_read(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Gzip(), "/simple/"))

    assert world.sync("demo").error is None


def test_an_endless_file_is_cut_off(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Together([Chunked(), Endless()]), re.compile("whl$")))

    assert "more than" in str(world.sync("demo").error)
    assert not [key for key in world.files() if key.endswith("whl")]


def test_another_project_s_page_is_refused(world: World) -> None:
    world.index.upload(wheel("other", "1.0"))
    world.upstream.faults.add(
        Fault(Redirect(f"{world.upstream.url}/simple/other/"), "/simple/demo/")
    )

    with pytest.raises(InvalidPage, match="'other'"):
        world.sync("demo")


def test_a_login_page_is_not_a_project_page(world: World) -> None:
    page = Raw(200, {"Content-Type": "text/html"}, b"<html><h1>Sign in</h1><form></form></html>")
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.upstream.faults.add(Fault(page, "/simple/"))

    with pytest.raises((InvalidPage, MassLoss)):
        world.sync("demo", run="run-2")


# Metadata, provenance and legacy JSON


def test_provenance_is_mirrored_and_linked(world: World) -> None:
    world.configure("root_uri = https://mirror.example")
    provenance = {"version": 1, "attestation_bundles": []}
    world.index.upload(wheel("demo", "1.0"), provenance=provenance)

    world.sync("demo")

    key = "integrity/demo/1.0/demo-1.0-py3-none-any.whl/provenance"
    (file,) = world.page("demo")["files"]
    assert file["provenance"] == f"https://mirror.example/{key}"
    assert json.loads(world.read(f"web/{key}")) == provenance
    head = world.s3.head_object(Bucket=world.bucket, Key=f"web/{key}")
    assert head["ContentType"] == "application/vnd.pypi.integrity.v1+json"


def test_provenance_urls_stay_upstream_s_if_the_mirror_has_no_url(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"), provenance={"version": 1})

    world.sync("demo")

    (file,) = world.page("demo")["files"]
    assert file["provenance"].startswith(world.upstream.url)
    assert [key for key in world.contents() if key.startswith("web/integrity/")]


def test_provenance_is_deleted_with_its_file(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    world.sync("demo")
    world.index.remove_project("demo")

    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT)

    assert not [key for key in world.contents() if key.startswith("web/")]


def test_the_legacy_json_is_stored_if_configured(world: World) -> None:
    world.configure("json = true")
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")

    assert json.loads(world.read("web/pypi/demo/json"))["info"]["version"] == "1.0"
    assert world.read("web/json/demo") == world.read("web/pypi/demo/json")


def test_an_empty_project_has_a_page_and_no_legacy_json(world: World) -> None:
    world.configure("json = true")
    world.index.add_project("demo")

    assert world.sync("demo").error is None
    assert world.page("demo")["files"] == []
    assert "web/pypi/demo/json" not in world.contents()


# Mirrors of mirrors


@pytest.mark.parametrize("etag", [True, False])
def test_a_bandersnatch_mirror_can_be_the_upstream(world: World, *, etag: bool) -> None:
    world.upstream.personality = replace(BANDERSNATCH, etag=etag)
    world.index.upload(wheel("demo", "1.0"))
    world.index.yank("demo", "1.0", "bad")

    result = world.sync("demo")

    assert result.error is None
    assert result.serial == world.index.serial
    assert world.page("demo")["files"][0]["yanked"] is True
    assert world.sync("demo", run="run-2").outcome is Outcome.UNCHANGED
