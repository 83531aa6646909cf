"""The index without the cooldown: it shows at once what the live index holds back."""

from __future__ import annotations

import json
import re
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.model.jobs import AllowedRemoval, Job
from frumious.model.types import RunId
from frumious.planning.named import delete
from frumious.syncing.comparison import MassLoss
from frumious.syncing.recovery import Attempt
from frumious.syncing.sync import sync_project
from frumious.syncing.transfer import Transfer
from tests.frumious.planning.test_advisories import run
from tests.upstream import Edit, Fault, wheel
from tests.upstream.osv import ARCHIVE
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

DAY = 24 * 3600
SECTIONS = "[cooldown]\ndays = 7\nsimple-all = true"
OLD, NEW = "demo-1.0-py3-none-any.whl", "demo-2.0-py3-none-any.whl"


def uploaded(world: World, project: str, version: str, days: float = 0.0) -> None:
    """Upload a wheel some days ago."""
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel(project, version), upload_time=now - timedelta(days=days))


def page(world: World, project: str = "demo") -> dict[str, Any] | None:
    """Return the project's own page in the index without the cooldown; None: it has none."""
    key = f"web/simple-all/{project}/index.v1_json"
    return json.loads(world.read(key)) if key in world.stored(key) else None


def links(found: dict[str, Any] | None) -> dict[str, str]:
    """Return where the files of a page are: filename -> `live` or `own`."""
    kinds = {"../../packages/": "live", "../../simple-all/packages/": "own"}
    files = () if found is None else found["files"]
    return {
        each["filename"]: next(
            kind for start, kind in kinds.items() if each["url"].startswith(start)
        )
        for each in files
    }


def own(world: World) -> list[str]:
    """Return the names of the files that the index without the cooldown has for itself."""
    keys = world.stored("web/simple-all/packages/")
    return sorted(key.rpartition("/")[2] for key in keys)


def live(world: World) -> list[str]:
    """Return the names of the files below /packages/."""
    return sorted(key.rpartition("/")[2] for key in world.stored("web/packages/"))


@pytest.fixture
def mirror(world: World) -> World:
    """Return a mirror of a release that is old, and of one that waits."""
    uploaded(world, "demo", "1.0", days=30)
    uploaded(world, "demo", "2.0")
    uploaded(world, "other", "1.0", days=30)
    world.configure(sections=SECTIONS)
    world.mirror_run()
    return world


def test_what_waits_is_shown_there_and_nowhere_else(mirror: World) -> None:
    assert links(page(mirror)) == {OLD: "live", NEW: "own"}
    assert own(mirror) == [NEW, f"{NEW}.metadata"]
    assert live(mirror) == [OLD, f"{OLD}.metadata", *live(mirror)[2:]]
    assert [file["filename"] for file in mirror.page("demo")["files"]] == [OLD]
    assert page(mirror, "other") is None
    young = [key for key, body in mirror.contents().items() if b"demo-2.0" in body or "2.0" in key]
    assert all(key.startswith("web/simple-all/") for key in young if key.startswith("web/"))


def test_what_is_ripe_moves_to_the_live_index(mirror: World) -> None:
    requests = len(mirror.upstream.requests)
    mirror.clock.advance(8 * DAY)
    mirror.mirror_run()
    assert [file["filename"] for file in mirror.page("demo")["files"]] == [OLD, NEW]
    assert not mirror.stored("web/simple-all/")
    assert NEW in live(mirror)
    asked = [each.path for each in mirror.upstream.requests[requests:]]
    assert not [path for path in asked if path.endswith((".whl", ".metadata"))], "it is copied"


def test_setting_and_removing_the_key_writes_no_other_page(mirror: World) -> None:
    before = mirror.contents()
    mirror.configure(sections=SECTIONS.replace("simple-all = true", ""))
    mirror.mirror_run()
    assert not mirror.stored("web/simple-all/")
    after = mirror.contents()
    pages = [key for key in before if "simple/other/" in key]
    assert len(pages) == 4, "three forms, and a compressed variant"
    assert {key: after[key] for key in pages} == {key: before[key] for key in pages}

    mirror.configure(sections=SECTIONS)
    mirror.mirror_run()
    assert mirror.stored("web/simple-all/") == [
        key for key in before if key.startswith("web/simple-all/")
    ]


def test_a_longer_cooldown_takes_files_back_without_another_download(mirror: World) -> None:
    mirror.clock.advance(8 * DAY)
    mirror.mirror_run()
    assert page(mirror) is None
    requests = len(mirror.upstream.requests)

    mirror.configure(sections=SECTIONS.replace("7", "20"))
    mirror.mirror_run()

    assert links(page(mirror)) == {OLD: "live", NEW: "own"}
    assert NEW in own(mirror)
    assert NEW not in live(mirror)
    paths = [each.path for each in mirror.upstream.requests[requests:]]
    assert not [path for path in paths if path.endswith((".whl", ".metadata"))]


@pytest.mark.parametrize("happens", ["release", "quarantine", "project", "deleted"])
def test_what_leaves_the_mirror_leaves_both(mirror: World, happens: str) -> None:
    match happens:
        case "release":
            mirror.index.remove_release("demo", "2.0")
        case "quarantine":
            mirror.index.quarantine_project("demo")
        case "project":
            mirror.index.remove_project("demo")
        case _:
            mirror.run(lambda opened: delete(opened, [canonicalize_name("demo")]))
    mirror.mirror_run()

    assert page(mirror) is None
    assert not mirror.stored("web/simple-all/")
    assert (OLD in live(mirror)) == (happens == "release")


def test_yanks_are_shown_at_once(mirror: World) -> None:
    mirror.index.yank("demo", "2.0", "broken")
    mirror.mirror_run()
    found = page(mirror)
    assert found is not None
    assert {each["filename"]: each["yanked"] for each in found["files"]} == {
        OLD: False,
        NEW: "broken",
    }


def test_malware_leaves_both_at_once_and_comes_back(world: World) -> None:
    uploaded(world, "demo", "1.0", days=30)
    uploaded(world, "demo", "2.0")
    world.index.osv.add("MAL-2020-1", "gone-long-ago")
    feed = f"[advisories]\nfeed = {world.upstream.url}{ARCHIVE}\n"
    world.configure("delete-after = 3", sections=f"{feed}{SECTIONS}")
    run(world)
    assert NEW in own(world)

    world.index.osv.add("MAL-2026-1", "demo", "2.0")
    run(world)
    assert page(world) is None
    assert not own(world)

    world.index.osv.withdraw("MAL-2026-1")
    run(world)
    assert links(page(world)) == {OLD: "live", NEW: "own"}

    world.index.osv.add("MAL-2026-2", "demo")
    run(world)
    assert not world.stored("web/simple-all/")
    assert not [name for name in live(world) if name.startswith("demo")]


def test_a_name_has_the_same_bytes_in_both(world: World) -> None:
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.configure(sections=SECTIONS)
    world.index.add_file("demo", NEW, content=b"first", upload_time=now)
    world.mirror_run()
    (key,) = world.stored("web/simple-all/packages/")
    world.index.remove_file("demo", NEW)
    world.index.add_file("demo", NEW, content=b"second", upload_time=now)
    world.mirror_run()
    assert world.read(key) == b"first"

    world.clock.advance(8 * DAY)
    world.mirror_run()
    assert NEW not in live(world)
    assert [file["filename"] for file in world.page("demo")["files"]] == []
    lagging = json.loads(world.read("web/status.json"))["lagging"]["demo"]
    assert lagging["reason"] == "upstream changed a published file"


def test_bytes_of_a_file_that_left_before_it_was_ripe_are_known(world: World) -> None:
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.configure(sections=SECTIONS)
    uploaded(world, "demo", "1.0", days=30)
    world.index.add_file("demo", NEW, content=b"first", upload_time=now)
    world.mirror_run()
    world.index.remove_file("demo", NEW)
    world.mirror_run()
    assert not world.stored("web/simple-all/")

    world.index.add_file("demo", NEW, content=b"second", upload_time=now)
    world.mirror_run()
    world.clock.advance(8 * DAY)
    world.mirror_run()
    assert NEW not in live(world)
    assert NEW not in own(world)


def test_upstream_may_not_lose_what_waits_without_an_event(world: World) -> None:
    world.configure(sections=SECTIONS)
    for version in ("1.0", "2.0", "3.0"):
        uploaded(world, "demo", version)
    world.mirror_run()
    before = own(world)
    world.upstream.faults.add(Fault(Edit(lambda found: found.update(files=[])), "/simple/demo/"))

    with pytest.raises(MassLoss):
        world.sync("demo", run="run-2")
    assert own(world) == before


def test_what_waits_counts_for_the_size_of_the_mirror(mirror: World) -> None:
    sizes = [len(mirror.read(key)) for key in mirror.stored("web/") if key.endswith(".whl")]
    assert len(sizes) == 3
    assert mirror.cursor().bytes_ == sum(sizes)
    mirror.configure(sections=f"{SECTIONS}\n[budget]\nmax-mirror-size = {sum(sizes) + 10}")
    uploaded(mirror, "demo", "3.0")
    mirror.mirror_run()
    assert links(page(mirror)) == {OLD: "live", NEW: "own"}
    assert not [name for name in own(mirror) if "3.0" in name]


@pytest.mark.parametrize(
    ("options", "prefix"),
    [("root_uri = https://files.test/pypi", "https://files.test/pypi/"), ("", "../../")],
)
def test_links_lead_to_where_files_are(world: World, options: str, prefix: str) -> None:
    uploaded(world, "demo", "1.0", days=30)
    uploaded(world, "demo", "2.0")
    world.configure(options, sections=SECTIONS)
    world.mirror_run()
    stored = {*world.stored("web/")}
    for form in ("index.html", "index.v1_html", "index.v1_json"):
        body = world.read(f"web/simple-all/demo/{form}").decode()
        found = {f"web/{each}" for each in re.findall(rf'"{re.escape(prefix)}([^"#]+)', body)}
        assert {key.rpartition("/")[2] for key in found} == {OLD, NEW}
        assert found <= stored


def test_an_index_without_files_links_to_upstream(world: World) -> None:
    uploaded(world, "demo", "1.0", days=30)
    uploaded(world, "demo", "2.0")
    world.configure("release-files = false", sections=SECTIONS)
    world.mirror_run()
    found = page(world)
    assert found is not None
    assert [each["filename"] for each in found["files"]] == [OLD, NEW]
    assert all(each["url"].startswith(world.upstream.url) for each in found["files"])
    assert not own(world)
    world.clock.advance(8 * DAY)
    world.mirror_run()
    assert page(world) is None


def test_projects_of_which_nothing_waits_cost_no_request_more(world: World) -> None:
    counts: list[int] = []
    for sections in (SECTIONS.replace("simple-all = true", ""), SECTIONS):
        world.configure(sections=sections)
        world.run(count)
        project = f"old{len(counts)}"
        uploaded(world, project, "1.0", days=30)
        world.sync(project)
        world.index.yank(project, "1.0")
        world.sync(project, run="run-2")
        counts.append(world.run(count))
    assert counts[0] == counts[1]


async def count(mirror: Mirror) -> int:
    """Return how many requests were made to the storage since the last call."""
    return mirror.storage.pop_request_count()


class Killed(BaseException):
    """The process dies."""


@pytest.mark.parametrize("later", ["run-3", "run-4"], ids=["again", "of-another-run"])
@pytest.mark.parametrize("days", ["20", "7"])
@pytest.mark.parametrize("number", range(2, 16, 3))
def test_a_killed_job_is_finished_by_the_next_one(
    mirror: World, number: int, days: str, later: str
) -> None:
    """The job takes a file back (20 days), or finds one ripe; it dies at a write of many."""
    mirror.clock.advance(8 * DAY)
    if days == "20":
        mirror.sync("demo", run="run-2")
        mirror.configure(sections=SECTIONS.replace("7", days))
    writes, broken = 0, list[str]()

    def kill(request: Any, **_: Any) -> None:
        nonlocal writes
        if request.method in {"PUT", "DELETE", "POST"}:
            writes += 1
            if writes == number:
                raise Killed

    def check(request: Any, **_: Any) -> None:
        if request.method in {"PUT", "DELETE", "POST"}:
            broken.extend(unstored(mirror))

    with suppress(Killed):
        mirror.run(lambda opened: during(opened, kill, lambda: job(opened, "run-3")))
    assert not unstored(mirror)
    mirror.run(lambda opened: during(opened, check, lambda: job(opened, later, again=True)))
    assert not broken
    assert not unstored(mirror)
    assert links(page(mirror)) == ({OLD: "live", NEW: "own"} if days == "20" else {})
    assert (NEW in live(mirror)) == (days == "7")
    assert (NEW in own(mirror)) == (days == "20")


@pytest.mark.parametrize("removal", [AllowedRemoval.FILES, AllowedRemoval.PROJECT])
def test_html_of_a_killed_job_goes_with_what_it_shows(
    world: World, removal: AllowedRemoval
) -> None:
    uploaded(world, "demo", "1.0", days=30)
    uploaded(world, "demo", "2.0")
    world.configure(sections=SECTIONS)

    def kill(request: Any, **_: Any) -> None:
        if request.method == "PUT" and request.url.endswith("/simple-all/demo/index.v1_json"):
            raise Killed

    with suppress(Killed):
        world.run(lambda opened: during(opened, kill, lambda: job(opened, "run-1")))
    pages = ["web/simple-all/demo/index.html", "web/simple-all/demo/index.v1_html"]
    assert [*world.stored("web/simple-all/demo/")] == pages
    if removal is AllowedRemoval.PROJECT:
        world.index.remove_project("demo")
    else:
        world.index.remove_release("demo", "2.0")
    world.run(lambda opened: job(opened, "run-2", again=True, removal=removal))
    assert not world.stored("web/simple-all/demo/")


async def job(
    mirror: Mirror,
    run: str,
    *,
    again: bool = False,
    removal: AllowedRemoval = AllowedRemoval.NOTHING,
) -> None:
    planned = Job(RunId(run), canonicalize_name("demo"), 0, allowed_removal=removal)
    attempt = Attempt(planned, resuming=again, unreported=again)
    await sync_project(attempt, mirror, Transfer.of(attempt, mirror))


async def during(mirror: Mirror, hook: Any, work: Any) -> None:
    with before_requests_to_s3(mirror, hook):
        await work()


def unstored(world: World) -> list[str]:
    """Return what pages of both indexes name, and what is not stored."""
    stored = {*world.stored("web/")}
    named = [
        (key, f"web/{url.removeprefix('../../')}")
        for key in stored
        if key.startswith(("web/simple/demo/", "web/simple-all/demo/"))
        for url in re.findall(r'"(\.\./\.\./[^"#]+)', world.read(key).decode())
    ]
    return [f"{page} names {key}" for page, key in named if key not in stored]
