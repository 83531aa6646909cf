"""A job makes its project equal to upstream's, in spite of errors."""

from __future__ import annotations

import hashlib
import re
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import AllowedRemoval, Job, Outcome, Report, Result
from frumious.model.types import RunId
from frumious.state import inbox
from frumious.storage.protocol import StorageRefused, StorageUnavailable
from frumious.syncing.delivery import RetryLater
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.upstream import StalePage
from tests.servers import recording_proxy
from tests.upstream import Fault, Slow, Stale, Status, WrongBytes, WrongLength, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.mirror import Mirror
    from tests.upstream import Action
    from tests.world import World


def test_a_new_project_is_mirrored_completely(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(sdist("demo", "1.0"))

    result = world.sync("demo")

    assert result.outcome is Outcome.UPDATED
    assert result.serial == world.index.serial
    page = world.page("demo")
    assert page["meta"]["_last-serial"] == world.index.serial
    assert page["versions"] == ["1.0"]
    for file in page["files"]:
        key = "web/" + file["url"].removeprefix("../../")
        assert hashlib.sha256(world.read(key)).hexdigest() == file["hashes"]["sha256"]
        if file["core-metadata"]:  # not of the sdist
            metadata = world.read(f"{key}.metadata")
            assert hashlib.sha256(metadata).hexdigest() == file["core-metadata"]["sha256"]


def test_objects_carry_the_headers_that_clients_need(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")

    def head(key: str) -> tuple[str, str]:
        answer = world.s3.head_object(Bucket=world.bucket, Key=key)
        return answer["ContentType"], answer["CacheControl"]

    (wheel_key, *_) = world.files()
    page = "public, max-age=20, s-maxage=30"
    file = "public, max-age=31536000, s-maxage=86400, immutable"
    assert head("web/simple/demo/index.html") == ("text/html; charset=utf-8", page)
    assert head("web/simple/demo/index.v1_html") == ("application/vnd.pypi.simple.v1+html", page)
    assert head("web/simple/demo/index.v1_json") == ("application/vnd.pypi.simple.v1+json", page)
    assert head(wheel_key) == ("application/octet-stream", file)


def test_an_unchanged_project_costs_one_read_and_one_request_upstream(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.upstream.clear()

    async def sync_again(mirror: Mirror) -> tuple[Result, int]:
        mirror.storage.pop_request_count()
        attempt = Attempt(Job(RunId("run-2"), canonicalize_name("demo"), 0))
        result = await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
        return result, mirror.storage.pop_request_count()

    result, requests = world.run(sync_again)

    assert result.outcome is Outcome.UNCHANGED
    assert requests == 1
    assert len(world.upstream.requests) == 1


def test_a_job_that_waits_for_a_newer_page_costs_one_read(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    serial = world.index.serial + 1

    async def sync_again(mirror: Mirror) -> int:
        mirror.storage.pop_request_count()
        attempt = Attempt(Job(RunId("run-2"), canonicalize_name("demo"), serial))
        with pytest.raises(StalePage):
            await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
        return mirror.storage.pop_request_count()

    assert world.run(sync_again) == 1


def test_a_new_project_costs_one_put_a_file_four_pages_and_the_manifest(world: World) -> None:
    for number in range(5):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=100)
    world.sync("other")  # a process looks once how pages were laid out before

    async def sync(mirror: Mirror) -> int:
        mirror.storage.pop_request_count()
        job = Job(RunId("run-1"), canonicalize_name("demo"), 0)
        attempt = Attempt(job)
        result = await sync_project(attempt, mirror, Transfer.of(attempt, mirror))
        await inbox.record(mirror.storage, [Report(job, result)])
        return mirror.storage.pop_request_count()

    hashes_of_removed_files = 1
    assert world.run(sync) == 5 + 4 + 2 + hashes_of_removed_files


def test_a_job_done_twice_leaves_the_same_bucket_and_result(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    first = world.sync("demo")
    once = world.contents()

    second = world.sync("demo", resuming=True)

    assert second == first
    assert world.contents() == once


def test_only_new_files_are_downloaded(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.index.upload(wheel("demo", "2.0"))
    world.upstream.clear()

    result = world.sync("demo", run="run-2")

    fetched = [request.path for request in world.upstream.requests_for("/packages/")]
    assert sorted(path.rpartition("/")[2] for path in fetched) == [
        "demo-2.0-py3-none-any.whl",
        "demo-2.0-py3-none-any.whl.metadata",
    ]
    assert [key.rpartition("/")[2] for key in result.added] == [
        "demo-2.0-py3-none-any.whl",
        "demo-2.0-py3-none-any.whl.metadata",
    ]


def test_a_file_that_upstream_removed_is_deleted_from_pages_and_storage(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo")
    world.index.remove_release("demo", "1.0")

    result = world.sync("demo", run="run-2")

    assert len(result.removed) == 2  # the wheel and its metadata
    assert all("demo-2.0" in key for key in world.files())
    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-2.0-py3-none-any.whl"
    ]


def test_a_yank_reaches_json_and_html(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.index.yank("demo", "1.0", 'broken & "dangerous"')

    world.sync("demo", run="run-2")

    assert world.page("demo")["files"][0]["yanked"] == 'broken & "dangerous"'
    html = world.read("web/simple/demo/index.html").decode()
    assert 'data-yanked="broken &amp; &quot;dangerous&quot;"' in html


def test_a_project_that_upstream_deleted_is_removed(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.index.remove_project("demo")

    result = world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT)

    assert result.outcome is Outcome.REMOVED
    assert not [key for key in world.contents() if key.startswith("web/")]
    assert world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT) == result, (
        "twice is the same"
    )
    assert world.sync("demo", run="run-3").outcome is Outcome.ABSENT


def test_an_interrupted_removal_is_finished(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    files = world.files()
    world.index.remove_project("demo")
    world.sync("demo", run="run-2", allowed_removal=AllowedRemoval.PROJECT)
    for key, body in files.items():  # as if the job had died before it deleted the files
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)

    world.sync("demo", run="run-3")

    assert not world.files()


def test_a_quarantined_project_has_a_page_with_its_status_and_no_file(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    world.index.quarantine_project("demo")

    result = world.sync("demo", run="run-2")

    assert result.outcome is Outcome.QUARANTINED
    assert not world.files()
    assert world.page("demo")["project-status"]["status"] == "quarantined"
    html = world.read("web/simple/demo/index.html").decode()
    assert '<meta name="pypi:project-status" content="quarantined">' in html


def test_a_project_that_exists_nowhere_is_absent(world: World) -> None:
    assert world.sync("no-such-project").outcome is Outcome.ABSENT
    assert not world.contents()


def test_a_stale_page_is_retried_later(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    before = world.index.serial
    world.index.upload(wheel("demo", "2.0"))
    world.upstream.faults.add(Fault(Stale(before), "/simple/"))

    with pytest.raises(StalePage, match=str(world.index.serial)):
        world.sync("demo", serial=world.index.serial)
    assert not world.contents()


def test_a_page_never_goes_back_to_an_older_serial(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    before = world.index.serial
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo")
    contents = world.contents()
    world.upstream.faults.add(Fault(Stale(before), "/simple/"))

    with pytest.raises(StalePage):
        world.sync("demo", run="run-2")
    assert world.contents() == contents


def test_wrong_bytes_are_downloaded_once_more(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(WrongBytes(), "/packages/", times=1))

    assert world.sync("demo").error is None
    assert len(world.files()) == 2


@pytest.mark.parametrize("action", [WrongBytes(), WrongLength(5), WrongLength(-5)])
def test_a_file_with_wrong_bytes_is_not_stored_and_the_others_are(
    world: World, action: Action
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    bad = world.index.files_named("demo-2.0-py3-none-any.whl")[0]
    world.upstream.faults.add(Fault(action, re.compile(f"{re.escape(bad.path)}$")))

    result = world.sync("demo")

    assert result.error is not None
    assert "demo-2.0-py3-none-any.whl" in result.error
    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-1.0-py3-none-any.whl"
    ]
    assert not [key for key in world.files() if key.endswith(bad.path)]

    world.upstream.faults.clear()
    assert world.sync("demo", run="run-2").error is None, "the repaired file is stored"
    assert len(world.page("demo")["files"]) == 2


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "RequestTimeout"),
        (400, "ExpiredToken"),
        (403, "RequestTimeTooSkewed"),
        (409, "OperationAborted"),
        (503, "SlowDown"),
    ],
)
def test_a_temporary_refusal_of_s3_costs_no_file(world: World, status: int, code: str) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    with recording_proxy.RecordingProxy(world.s3.meta.endpoint_url) as proxy:
        world.configure(sections=f"[s3]\nendpoint_url = {proxy.url}\nregion_name = eu-central-1\n")
        proxy.faults.append(recording_proxy.Fault("PUT", status, code, count=2))

        assert world.sync("demo").error is None

    assert len(world.page("demo")["files"]) == 2
    assert [fault.count for fault in proxy.faults] == [0]


@contextmanager
def s3_refuses(world: World, fault: recording_proxy.Fault, options: str = "") -> Iterator[None]:
    with recording_proxy.RecordingProxy(world.s3.meta.endpoint_url) as proxy:
        s3 = f"[s3]\nendpoint_url = {proxy.url}\nregion_name = eu-central-1\n"
        world.configure(options, s3)
        proxy.faults.append(fault)
        yield
        world.configure()


def names_on_page(world: World) -> list[str]:
    return [file["filename"] for file in world.page("demo")["files"]]


@pytest.mark.parametrize(
    ("status", "code"), [(413, ""), (400, "EntityTooLarge"), (400, "KeyTooLongError")]
)
def test_a_file_that_the_storage_cannot_take_costs_no_other(
    world: World, status: int, code: str
) -> None:
    for version in ("1.0", "2.0", "3.0"):
        world.index.upload(wheel("demo", version))
    with s3_refuses(world, recording_proxy.Fault("PUT", status, code, 99, "demo-2.0")):
        result = world.sync("demo")

        assert str(status) in str(result.error)
        assert names_on_page(world) == ["demo-1.0-py3-none-any.whl", "demo-3.0-py3-none-any.whl"]

    assert world.sync("demo", run="run-2").error is None
    assert len(names_on_page(world)) == 3


def test_a_file_that_the_storage_does_not_take_for_now_costs_no_other(world: World) -> None:
    for version in ("1.0", "2.0", "3.0"):
        world.index.upload(wheel("demo", version))
    with s3_refuses(world, recording_proxy.Fault("PUT", 503, "SlowDown", 999, "demo-2.0")):
        world.plan(["demo"])
        (later,) = world.work()
        assert isinstance(later, RetryLater)

        world.plan(["demo"])
        (result,) = world.work(last=True)

        assert isinstance(result, Result)
        assert "503" in str(result.error)
        assert names_on_page(world) == ["demo-1.0-py3-none-any.whl", "demo-3.0-py3-none-any.whl"]


def test_a_storage_that_takes_nothing_is_given_up_early(world: World) -> None:
    for number in range(200):
        world.index.add_file("demo", f"demo-{number}.tar.gz", size=1000)
    fault = recording_proxy.Fault("PUT", 503, "SlowDown", 10**6, "/packages/")
    with s3_refuses(world, fault):
        world.plan(["demo"])

        (result,) = world.work(last=True)

        assert isinstance(result, Result)
        assert result.outcome is Outcome.FAILED
        assert fault.count > 10**6 - 400, "each file is tried a few times"


def test_many_files_that_the_storage_does_not_take_cost_no_other_between_them(
    world: World,
) -> None:
    for number in range(42):
        refused = "+refused" if number % 2 else ""
        world.index.add_file("demo", f"demo-{number}{refused}.tar.gz", size=100)
    fault = recording_proxy.Fault("PUT", 503, "SlowDown", 999, "refused")
    with s3_refuses(world, fault, "downloads = 1"):
        world.plan(["demo"])

        (result,) = world.work(last=True)

        assert isinstance(result, Result)
        assert "and 20 more files" in str(result.error)
        assert len(names_on_page(world)) == 21


def test_a_file_under_way_is_stored_although_another_one_fails(world: World) -> None:
    world.index.add_file("demo", "demo-1.0.tar.gz", size=300_000)
    world.index.add_file("demo", "demo-2.0.tar.gz", size=1000)
    large = world.index.files_named("demo-1.0.tar.gz")[0]
    world.upstream.faults.add(Fault(Slow(rate=100_000), large.path))
    with s3_refuses(world, recording_proxy.Fault("PUT", 503, "SlowDown", 99, "demo-2.0")):
        with pytest.raises(StorageUnavailable):
            world.sync("demo")

        assert [key for key in world.files() if key.endswith(large.path)]


def test_a_failing_upstream_is_retried_later(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.upstream.faults.add(Fault(Status(503), "/simple/"))

    with pytest.raises(UpstreamUnavailable, match="503"):
        world.sync("demo")


def test_files_stored_by_an_earlier_attempt_are_not_downloaded_again(world: World) -> None:
    world.index.add_file("demo", "demo-1.0.tar.gz", size=1000)
    world.index.add_file("demo", "demo-2.0.tar.gz", size=1000)
    last = world.index.files_named("demo-2.0.tar.gz")[0]
    world.upstream.faults.add(Fault(Status(503), last.path))
    with pytest.raises(UpstreamUnavailable):
        world.sync("demo")
    world.upstream.faults.clear()
    world.upstream.clear()
    already = world.files()

    world.sync("demo", resuming=True)

    fetched = [request.path for request in world.upstream.requests_for("/packages/")]
    assert fetched == [
        path
        for path in (f"/{key.removeprefix('web/')}" for key in world.files())
        if f"web{path}" not in already
    ]


def test_a_file_above_the_put_limit_is_sent_as_a_multipart_upload(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frumious.storage.s3.storage.LARGEST_PUT", 1_000_000)
    file = world.index.add_file("demo", "demo-1.0.tar.gz", size=40_000_000)

    world.sync("demo")

    (body,) = world.files().values()
    assert hashlib.sha256(body).hexdigest() == file.content.sha256


def test_a_large_file_with_wrong_bytes_is_never_completed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frumious.storage.s3.storage.LARGEST_PUT", 1_000_000)
    world.index.add_file("demo", "demo-1.0.tar.gz", size=40_000_000)
    world.upstream.faults.add(Fault(WrongBytes(), "/packages/"))

    result = world.sync("demo")

    assert result.error is not None
    assert not world.files()
    assert not world.s3.list_multipart_uploads(Bucket=world.bucket).get("Uploads")


def test_a_missing_bucket_is_reported(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.bucket = "no-such-bucket"
    world.configure()

    with pytest.raises(StorageRefused, match="no-such-bucket"):
        world.sync("demo")


def test_root_uri_makes_file_urls_absolute(world: World) -> None:
    world.configure("root_uri = https://files.example/mirror/")
    world.index.upload(wheel("demo", "1.0"))

    world.sync("demo")

    url = world.page("demo")["files"][0]["url"]
    assert url.startswith("https://files.example/mirror/packages/")
    assert world.sync("demo", run="run-2").outcome is Outcome.UNCHANGED


def test_a_changed_configuration_renders_the_page_again(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.sync("demo")
    world.configure(
        sections="[plugins]\nenabled =\n  blocklist_release\n[blocklist]\npackages =\n  demo>=2"
    )

    result = world.sync("demo", run="run-2")

    assert [file["filename"] for file in world.page("demo")["files"]] == [
        "demo-1.0-py3-none-any.whl"
    ]
    assert world.page("demo")["versions"] == ["1.0"]
    assert len(result.removed) == 2
