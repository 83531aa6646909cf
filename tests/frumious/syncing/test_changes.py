"""After every change upstream, the next job makes the mirror equal, and it is always consistent."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.jobs import AllowedRemoval, Outcome
from tests.agreement import assert_agreement, missing_files, pages_of
from tests.clients import JSON, get, read_by_pip
from tests.upstream import HTML_ONLY, Edit, Fault, sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Callable

    from frumious.mirror import Mirror
    from frumious.model.jobs import Result
    from tests.upstream import Index
    from tests.world import World

OLD = "demo-1.0-py3-none-any.whl"
NEW = "demo-2.0-py3-none-any.whl"


@dataclass(frozen=True)
class Case:
    """A change upstream of a project with the releases 1.0 and 2.0."""

    change: Callable[[Index], object]
    outcome: Outcome = Outcome.UPDATED
    before: Callable[[Index], object] = lambda index: None
    has_event: bool = True  # in the changelog


def yank_both(index: Index) -> None:
    index.yank("demo", "1.0")
    index.yank("demo", "2.0", 'it is <b>"bad"</b> & ugly')


def remove_all_files(index: Index) -> None:
    index.remove_file("demo", OLD)
    index.remove_file("demo", NEW)


def recreate(index: Index) -> None:
    """Delete the project, and let another user create it before the mirror notices."""
    index.remove_project("demo")
    index.upload(wheel("demo", "0.1", requires_python=">=3.12"))


CASES = {
    "a new release": Case(lambda index: index.upload(wheel("demo", "3.0"))),
    "a new file of an old release": Case(lambda index: index.upload(sdist("demo", "1.0"))),
    "yanks": Case(yank_both),
    "an un-yank": Case(lambda index: index.unyank("demo", "2.0"), before=yank_both),
    "a file is removed": Case(lambda index: index.remove_file("demo", OLD)),
    "all files are removed": Case(remove_all_files),
    "a release is removed": Case(lambda index: index.remove_release("demo", "1.0")),
    "the project is quarantined": Case(
        lambda index: index.quarantine_project("demo", "it is <bad>"), Outcome.QUARANTINED
    ),
    "the project's quarantine is cleared": Case(
        lambda index: index.clear_project_quarantine("demo"),
        before=lambda index: index.quarantine_project("demo"),
    ),
    "a release is quarantined": Case(lambda index: index.quarantine_release("demo", "2.0")),
    "a release's quarantine is cleared": Case(
        lambda index: index.clear_release_quarantine("demo", "2.0"),
        before=lambda index: index.quarantine_release("demo", "2.0"),
    ),
    "the project is deleted and recreated at once": Case(recreate),
    "the project is archived": Case(
        lambda index: index.archive("demo", "no <longer> kept"), has_event=False
    ),
    "the project is unarchived": Case(
        lambda index: index.unarchive("demo"),
        before=lambda index: index.archive("demo"),
        has_event=False,
    ),
    "the project is deprecated": Case(lambda index: index.deprecate("demo"), has_event=False),
    "the name is spelled in another way": Case(
        lambda index: index.rename("DEMO"), Outcome.UNCHANGED, has_event=False
    ),
    "core metadata is added later": Case(
        lambda index: index.backfill_metadata("demo", "demo-1.0.tar.gz", b"Metadata-Version: 2.1"),
        before=lambda index: index.upload(sdist("demo", "1.0")),
        has_event=False,
    ),
    "an owner is added": Case(lambda index: index.journal("demo", "create")),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_the_mirror_follows_each_upstream_change(world: World, case: Case) -> None:
    world.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    world.index.upload(wheel("demo", "2.0"))
    case.before(world.index)
    world.mirror_run()
    case.change(world.index)

    outcome = run_and_watch(world, None if case.has_event else ["demo"]).outcome

    assert outcome is case.outcome
    assert_agreement(world, "demo")
    roots = json.loads(world.read("web/simple/index.v1_json"))["projects"]
    listed = [(root["name"], root["_last-serial"]) for root in roots]
    quarantined = outcome is Outcome.QUARANTINED
    assert listed == ([] if quarantined else [("demo", world.index.serial)])
    named = {
        f"web{path}{suffix}"
        for each in read_by_pip(pages_of(world, "demo")[0])
        for path in [each.without_host.url]
        for suffix in ([""] if each.metadata is None else ["", ".metadata"])
    }
    assert set(world.stored("web/packages/")) == named, "nothing is left over"
    assert len(world.stored("web/integrity/")) == sum(
        "provenance" in file for file in world.page("demo")["files"]
    )


def run_and_watch(world: World, names: list[str] | None) -> Result:
    """Run once, and check at each step that every file that a page names exists."""

    def look(**_: object) -> None:
        assert not missing_files(world)

    watch(world, look)
    (result,) = world.mirror_run(names).results
    assert result.error is None
    assert not missing_files(world)
    return result


def watch(world: World, look: Callable[..., None]) -> None:
    """Call `look` before each request that writes one of demo's pages, or deletes anything."""

    def watched(request: Any, **_: object) -> None:
        if request.method == "POST" or (
            request.method == "PUT" and "/web/simple/demo/" in request.url
        ):
            look(method=request.method, url=request.url)

    async def register(mirror: Mirror) -> None:
        bucket = mirror.storage._bucket  # type: ignore[attr-defined]
        bucket.signed_put._is_possible = False  # boto3 makes all requests
        bucket.client.meta.events.register("before-send.s3", watched)

    world.run(register)


def test_files_are_stored_before_pages_and_deleted_after_them(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    world.mirror_run()
    steps: list[tuple[str, frozenset[str]]] = []

    def note(*, method: str, url: str) -> None:
        files = {key.rpartition("/")[2] for key in world.stored("web/packages/")}
        if method == "POST":
            steps.append(("delete", frozenset(files)))
        else:
            steps.append((url.rpartition("/")[2], frozenset(files)))

    watch(world, note)
    world.index.upload(wheel("demo", "2.0"))
    world.index.remove_release("demo", "1.0")
    world.plan()
    world.work()

    both = frozenset({OLD, f"{OLD}.metadata", NEW, f"{NEW}.metadata"})
    assert steps == [
        ("index.html", both),
        ("index.v1_html", both),
        ("index.v1_json", both),
        ("delete", both),
    ]
    assert {key.rpartition("/")[2] for key in world.stored("web/packages/")} == both - {
        OLD,
        f"{OLD}.metadata",
    }


def test_a_deleted_project_is_removed_and_can_be_recreated_by_another_owner(world: World) -> None:
    world.configure("json = true")
    world.index.upload(wheel("demo", "1.0"), provenance={"version": 1})
    world.mirror_run()
    world.index.remove_project("demo")

    assert run_and_watch(world, None).outcome is Outcome.REMOVED
    assert get(f"{world.upstream.url}/simple/demo/", JSON).status == 404
    readable = [key for key in world.stored("web/") if "/simple/index." not in key]
    assert sorted(readable) == ["web/index.html", "web/last-modified", "web/status.json"]
    assert json.loads(world.read("web/simple/index.v1_json"))["projects"] == []

    world.index.upload(sdist("Demo", "7.0"))

    assert run_and_watch(world, None).outcome is Outcome.UPDATED
    assert_agreement(world, "demo")
    assert len(world.stored("web/packages/")) == 1


def test_a_project_without_files_is_mirrored_until_it_has_one(world: World) -> None:
    world.configure("json = true")
    world.index.add_project("demo")

    assert run_and_watch(world, None).outcome is Outcome.UPDATED
    assert_agreement(world, "demo")
    assert get(f"{world.upstream.url}/pypi/demo/json").status == 404
    assert "web/pypi/demo/json" not in world.stored()

    world.index.upload(wheel("demo", "1.0"))
    run_and_watch(world, None)
    assert_agreement(world, "demo")
    assert world.read("web/pypi/demo/json") == get(f"{world.upstream.url}/pypi/demo/json").body

    world.index.quarantine_project("demo")  # the page stays, the legacy JSON does not
    run_and_watch(world, None)
    assert_agreement(world, "demo")
    assert "web/pypi/demo/json" not in world.stored()
    assert "web/json/demo" not in world.stored()


def test_a_retry_finishes_deletions_even_if_another_file_is_refused(
    world: World,
) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.index.add_file("demo", "demo-3.0\\bad.tar.gz", version="3.0")
    world.sync("demo")
    files = world.files()
    world.index.remove_release("demo", "1.0")
    world.sync("demo", run="run-2")
    for key, body in files.items():  # as if it had died before it deleted the files
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)

    world.sync("demo", run="run-2")

    assert not [key for key in world.files() if OLD in key]


def test_a_project_whose_removal_left_no_result_leaves_the_root_index(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    world.index.remove_project("demo")
    world.sync(
        "demo", run="lost", serial=world.index.serial, allowed_removal=AllowedRemoval.PROJECT
    )

    finalized = world.mirror_run()

    assert [result.outcome for result in finalized.results] == [Outcome.ABSENT]
    assert json.loads(world.read("web/simple/index.v1_json"))["projects"] == []


@pytest.mark.parametrize("md5", [None, "0" * 32])
def test_a_file_whose_bytes_changed_upstream_is_kept_and_its_yank_followed(
    world: World, md5: str | None
) -> None:
    if md5:  # a weak hash that agrees proves nothing
        spoil = Edit(lambda page: page["files"][0]["hashes"].update(md5=md5))
        world.upstream.faults.add(Fault(spoil, "/simple/demo/"))
    world.index.add_file("demo", "demo-1.0.tar.gz", content=b"first")
    world.mirror_run()
    world.index.remove_file("demo", "demo-1.0.tar.gz")
    world.index.add_file("demo", "demo-1.0.tar.gz", content=b"second", yanked="it is bad")

    world.mirror_run()

    assert list(world.files().values()) == [b"first"]
    assert {each.yanked for page in pages_of(world, "demo") for each in read_by_pip(page)} == {
        "it is bad"
    }


def test_an_upstream_without_serials_is_followed_and_unchanged_pages_cost_nothing(
    world: World,
) -> None:
    world.upstream.personality = HTML_ONLY
    world.index.upload(wheel("demo", "1.0"))
    world.sync("demo")
    before = world.contents()

    assert world.sync("demo", run="run-2").outcome is Outcome.UNCHANGED
    assert world.contents() == before

    world.index.yank("demo", "1.0", "it is bad")
    assert world.sync("demo", run="run-3").outcome is Outcome.UPDATED
    assert world.page("demo")["files"][0]["yanked"] == "it is bad"


def test_a_release_comes_back_after_its_quarantine(world: World) -> None:
    world.index.upload(wheel("demo", "1.0"))
    world.index.upload(wheel("demo", "2.0"))
    world.mirror_run()
    before = world.page("demo")["files"]
    world.index.quarantine_release("demo", "2.0")
    world.mirror_run()
    assert [file["filename"] for file in world.page("demo")["files"]] == [OLD]

    world.index.clear_release_quarantine("demo", "2.0")
    world.mirror_run()

    assert world.page("demo")["files"] == before
    assert not missing_files(world)
