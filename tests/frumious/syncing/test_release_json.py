"""The legacy JSON of releases: stored for what the page shows, and fetched once for each change."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import Outcome
from frumious.syncing import release_copies
from frumious.syncing.delivery import RetryLater
from tests.clients import get
from tests.frumious.syncing.test_changes import CASES, Case
from tests.upstream import Edit, Fault, Raw, Status, sdist, wheel

if TYPE_CHECKING:
    from tests.world import World

OPTIONS = "json = true\nrelease-json = true\n"


def release(world: World, version: str) -> Any:
    return json.loads(world.read(f"web/pypi/demo/{version}/json"))


def versions(world: World) -> list[str]:
    """Return the versions that have a document, in the order of their names."""
    keys = (key.split("/") for key in world.stored("web/pypi/demo/"))
    return [parts[3] for parts in keys if len(parts) == 5]


def asked(world: World) -> list[str]:
    """Return the versions whose documents upstream was asked for, and forget the requests."""
    paths = (request.path.split("/") for request in world.upstream.requests_for("/pypi/demo/"))
    found = [parts[3] for parts in paths if len(parts) == 5]
    world.upstream.clear()
    return found


def assert_documents(world: World) -> None:
    """Check that each release on the page has upstream's document, and nothing else has one."""
    shown = {file["filename"] for file in world.page("demo")["files"]}
    wanted = {name.split("-")[1].removesuffix(".tar.gz") for name in shown}
    assert set(versions(world)) == wanted
    for version in wanted:
        response = get(f"{world.upstream.url}/pypi/demo/{version}/json")
        assert response.status == 200
        expected = json.loads(response.body)
        found = release(world, version)
        for document in (expected, found):  # what is the project's is of another time
            del document["last_serial"], document["info"]["name"]
        assert found == expected
        assert {file["filename"] for file in found["urls"]} <= shown


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_documents_follow_each_upstream_change(world: World, case: Case) -> None:
    world.configure(OPTIONS)
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    case.before(world.index)
    world.mirror_run()
    case.change(world.index)

    world.mirror_run(None if case.has_event else ["demo"])

    if case.outcome is Outcome.QUARANTINED:
        assert versions(world) == []
    else:
        assert_documents(world)


def test_upstream_is_asked_once_for_each_changed_release_and_never_for_the_latest(
    world: World,
) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0", "3.0"):
        world.index.upload(wheel("demo", version))
    world.mirror_run()
    assert asked(world) == ["2.0", "1.0"], "the newest first"

    world.index.upload(wheel("demo", "4.0"))
    world.mirror_run()
    assert asked(world) == []
    assert_documents(world)
    world.upstream.clear()

    world.index.yank("demo", "2.0", "broken")
    world.mirror_run()
    assert asked(world) == ["2.0"]
    assert release(world, "2.0")["info"]["yanked_reason"] == "broken"

    world.index.upload(sdist("demo", "1.0"))
    world.mirror_run()
    assert asked(world) == ["1.0"]

    world.index.journal("demo", "create")
    world.mirror_run()
    world.mirror_run(["demo"])
    assert asked(world) == []
    assert_documents(world)


def test_a_job_fetches_a_limited_number_and_later_jobs_go_on(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(release_copies, "_MAX_REQUESTS", 2)
    world.configure(OPTIONS)
    for minor in range(6):
        world.index.upload(wheel("demo", f"1.{minor}"))
    world.mirror_run()
    assert versions(world) == ["1.3", "1.4", "1.5"]

    world.index.yank("demo", "1.3")
    world.index.yank("demo", "1.4")
    world.index.yank("demo", "1.5")
    world.mirror_run()
    assert versions(world) == ["1.3", "1.4", "1.5"]
    assert asked(world) == ["1.4", "1.3", "1.4", "1.3"]

    for _ in range(2):
        world.mirror_run(["demo"])
    assert_documents(world)
    world.upstream.clear()

    world.mirror_run(["demo"])
    assert asked(world) == []


def test_outdated_documents_are_deleted_if_new_ones_have_to_wait(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0", "3.0"):
        world.index.upload(wheel("demo", version))
    world.mirror_run()
    monkeypatch.setattr(release_copies, "_MAX_REQUESTS", 1)

    world.index.yank("demo", "1.0")
    world.index.yank("demo", "2.0")
    world.mirror_run()

    assert versions(world) == ["2.0", "3.0"]


def test_a_document_names_only_files_that_the_page_shows(world: World) -> None:
    rules = (
        "[plugins]\nenabled =\n    exclude_platform\n    blocklist_release\n"
        "[blocklist]\nplatforms = windows\npackages = demo == 1.0\n"
    )
    world.configure(OPTIONS, rules)
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.index.upload(wheel("demo", "2.0", tag="py3-none-win_amd64"))
    world.index.upload(wheel("demo", "3.0", tag="py3-none-win_amd64"))
    world.mirror_run()

    assert versions(world) == ["2.0"]
    assert [file["filename"] for file in release(world, "2.0")["urls"]] == [
        "demo-2.0-py3-none-any.whl"
    ]

    world.configure(OPTIONS)
    world.mirror_run()
    assert_documents(world)

    world.configure(OPTIONS, rules)
    world.mirror_run()
    assert versions(world) == ["2.0"]


def test_releases_in_the_cooldown_have_no_document(world: World) -> None:
    world.configure(OPTIONS, "[cooldown]\ndays = 7\n")
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel("demo", "1.0"), upload_time=now - timedelta(days=8))
    world.index.upload(wheel("demo", "2.0"), upload_time=now)
    world.mirror_run()
    assert versions(world) == ["1.0"]

    world.clock.advance(8 * 24 * 3600)
    world.mirror_run()
    assert_documents(world)


def test_a_removed_project_loses_all_documents(world: World) -> None:
    world.configure(OPTIONS)
    for name in ("demo", "demo-more"):
        world.index.upload(wheel(name, "1.0"))
    world.mirror_run()
    world.index.remove_project("demo")

    world.mirror_run(confirmed_removals=1)

    assert world.stored("web/pypi/demo/") == []
    assert world.stored("web/pypi/demo-more/1.0/") != []


def test_documents_are_deleted_once_they_are_no_longer_configured(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    assert world.stored("web/pypi/") == []

    world.configure(OPTIONS)
    world.mirror_run()
    assert versions(world) == ["1.0"]

    world.configure("json = true")
    world.mirror_run()
    assert world.stored("web/pypi/") == ["web/pypi/demo/json"]
    assert "releases" not in world.page("demo")["meta"]["_frumious"]


def test_a_version_is_found_as_upstream_spells_it_and_as_it_is_normalised(world: World) -> None:
    world.configure(OPTIONS)
    world.index.add_file("demo", "demo-1.0-beta.tar.gz", version="1.0-beta")
    world.mirror_run()

    assert versions(world) == ["1.0-beta", "1.0b0"]
    assert release(world, "1.0-beta") == release(world, "1.0b0")


@pytest.mark.parametrize(
    "version", ["json", "..", "1.0/../../2.0", "1.0\n", "1.0 ", "x" * 200, "1.0%2F..", "not valid"]
)
def test_hostile_versions_never_become_keys(world: World, version: str) -> None:
    world.configure(OPTIONS)
    world.index.upload(wheel("demo", "1.0"))

    def edit(page: dict[str, Any]) -> None:
        page["versions"] = [version]

    world.upstream.faults.add(Fault(Edit(edit), match="/simple/demo/"))
    world.mirror_run()

    assert len(world.page("demo")["files"]) == 1
    assert set(versions(world)) <= {"1.0"}
    assert all(
        key.startswith(("web/pypi/demo/1.0/", "web/pypi/demo/json"))
        for key in world.stored("web/pypi/")
    )


@pytest.mark.parametrize("status", [404, 410])
def test_a_release_without_a_document_is_asked_for_once(world: World, status: int) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.upstream.faults.add(Fault(Status(status), match="/pypi/demo/1.0/json"))
    world.mirror_run()
    assert versions(world) == ["2.0"]
    assert asked(world) == ["1.0"]

    world.mirror_run(["demo"])
    assert asked(world) == []


@pytest.mark.parametrize(
    "body",
    [b"", b"[]", b'{"info": {"name": "demo"}}', b'{"info": {"name": "x", "version": "1.0"}}'],
)
def test_an_invalid_document_does_not_keep_the_page_back(world: World, body: bytes) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.upstream.faults.add(Fault(Raw(body=body), match="/pypi/demo/1.0/json"))

    world.mirror_run()

    assert len(world.page("demo")["files"]) == 2
    assert versions(world) == ["2.0"]


def test_a_stale_document_is_retried_later_and_left_out_at_last(world: World) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.mirror_run()
    stale = json.loads(get(f"{world.upstream.url}/pypi/demo/1.0/json").body)
    world.index.yank("demo", "1.0")
    fault = Fault(Raw(body=json.dumps(stale).encode()), match="/pypi/demo/1.0/json")
    world.upstream.faults.add(fault)

    world.plan()
    (disposition,) = world.work()
    assert isinstance(disposition, RetryLater)
    assert "stale" in disposition.reason
    assert versions(world) == ["1.0", "2.0"]

    world.start(world.dry_run(force=True))
    world.work(last=True)
    assert world.page("demo")["files"][0]["yanked"]
    assert versions(world) == ["2.0"], "the old document says that the release is not yanked"

    world.upstream.faults.remove(fault)
    world.mirror_run(["demo"])
    assert_documents(world)


def test_a_mirror_without_legacy_json_is_not_asked_for_that_of_releases(world: World) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.upstream.faults.add(Fault(Status(404), match="/pypi/demo/json"))

    world.mirror_run()
    world.mirror_run(["demo"])

    assert asked(world) == []
    assert versions(world) == []


def test_a_job_that_was_killed_leaves_no_document_that_nobody_knows(world: World) -> None:
    world.configure(OPTIONS)
    for version in ("1.0", "2.0"):
        world.index.upload(wheel("demo", version))
    world.mirror_run()
    before = world.read("web/pypi/demo/1.0/json")
    # A killed job stored what its page did not come to name.
    world.s3.put_object(Bucket=world.bucket, Key="web/pypi/demo/9.0/json", Body=b"{}")
    world.s3.put_object(Bucket=world.bucket, Key="web/pypi/demo/1.0/json", Body=b"{}")
    world.s3.delete_object(Bucket=world.bucket, Key="web/pypi/demo/2.0/json")

    world.sync("demo", resuming=True)

    assert world.read("web/pypi/demo/1.0/json") == before
    assert_documents(world)
