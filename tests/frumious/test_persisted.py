"""Every object that a mirror with all features keeps: its headers, and what follows from damage."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

import pytest

from frumious.messaging.job_queue import JobQueue
from frumious.state.objects import LedgerCorrupt, NewerFormat
from frumious_lambda.auditor import continue_audit
from frumious_lambda.planner import Planner
from frumious_lambda.planner_event import PlannerEvent
from tests.snapshots import SnapshotReader
from tests.upstream import wheel
from tests.upstream.osv import ARCHIVE

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from tests.world import World

pytestmark = pytest.mark.timeout(300)  # ticks with all features take a while on a busy machine

HOUR: Final = 3600
OPTIONS: Final = "delete-after = 3\njson = true\nrelease-json = true"
LISTED: Final = b"app\none\ntwo\ngone\nabsent\nwaits\n"
SECTIONS: Final = """\
[plugins]
enabled = project_requirements
[allowlist]
requirements = s3://{bucket}/lists/requirements.txt
[closure]
closure = true
[cooldown]
days = 2
[advisories]
feed = {feed}
[changes]
name = pypi.example.org
"""


def tick(world: World, event: PlannerEvent | None = None) -> list[Exception]:
    """Let all functions do what they do at a tick; return what stopped one of them."""
    planner = Planner(JobQueue(world.queue_url))
    world.clock.advance(301)
    world.close()  # as in new processes
    errors: list[Exception] = []
    steps: list[Callable[[], object]] = [
        lambda: world.run(lambda mirror: planner.plan_and_send(event or PlannerEvent(), mirror)),
        lambda: world.work(last=True),
        world.finalize,
        lambda: world.run(lambda mirror: continue_audit(mirror, deadline=0)),
    ]
    for step in steps:
        try:
            step()
        except (LedgerCorrupt, NewerFormat) as error:
            errors.append(error)
    return errors


@pytest.fixture
def rich(world: World) -> World:
    """Return a mirror that keeps objects of all kinds."""
    world.s3.put_object(Bucket=world.bucket, Key="lists/requirements.txt", Body=LISTED)
    feed = f"{world.upstream.url}{ARCHIVE}"
    world.configure(
        f"{OPTIONS}\ndiff-file = /{world.bucket}/mirrored-files",
        SECTIONS.format(bucket=world.bucket, feed=feed),
    )
    world.index.osv.add("MAL-2026-1", "one", "6.6.6")
    world.index.upload(wheel("app", "1.0", requires=["lib"]))
    for name in ("lib", "two", "named", "gone"):
        world.index.upload(wheel(name, "1.0"))
    for version in ("1.0", "2.0", "6.6.6"):
        world.index.upload(wheel("one", version))
    now = datetime.fromtimestamp(world.clock.now(), UTC)
    world.index.upload(wheel("waits", "1.0"), upload_time=now)
    for _ in range(3):
        assert tick(world) == []
    tick(world, PlannerEvent(projects=["named"]))
    SnapshotReader.create(world)
    world.index.remove_release("one", "1.0")
    world.index.upload(wheel("two", "2.0"))
    world.index.remove_project("gone")
    for _ in range(2):
        tick(world)
    world.clock.advance(2 * HOUR)
    tick(world)
    world.run(lambda mirror: continue_audit(mirror, restart=True, deadline=0))
    return world


KINDS: Final = {
    "advisories": r"state/advisories/.+",
    "announced": r"state/announced\.json",
    "audit": r"state/audit\.json",
    "audited pages": r"state/audit/named/\d+-pages",
    "audited files": r"state/audit/named/\d+-\d+",
    "change feed": r"state/changes\.json",
    "closure": r"state/closure\.json",
    "cooldown": r"state/cooldown\.json",
    "deletions": r"state/deletions/.+",
    "lists": r"state/lists\.json",
    "losses": r"state/losses\.json",
    "needed": r"state/needed\.json",
    "notices": r"state/notices\.json",
    "removed": r"state/removed/.+",
    "requirements": r"state/requirements/.+",
    "runs": r"state/runs/.+",
    "kept pages": r"state/snapshots/.+",
    "tombstones": r"state/tombstones/.+",
    # Only people can repair these; the mirror waits, and says so.
    "cursor": r"state/cursor\.json",
    "named": r"state/named\.json",
    "selection": r"state/selection\.json",
    "snapshots": r"state/snapshots\.json",
}


REPAIRED_BY_PEOPLE: Final = {"cursor", "named", "selection", "snapshots"}
OF_ONE_PROJECT: Final = {"kept pages", "removed", "requirements"}

BODIES: Final[dict[str, Callable[[bytes], bytes]]] = {
    "empty": lambda _: b"",
    "cut off": lambda body: body[: len(body) // 2],
    "foreign": lambda _: b'{"version": 1, "projects": 7, "files": [7], "runs": 7, "serial": -1}',
    "older": lambda _: b'{"serial": 7}',
}


def damage(world: World, kinds: Iterable[str], change: Callable[[bytes], bytes]) -> None:
    """Damage one object of each kind: that of the project `one`, if each project has one."""
    for name in kinds:
        keys = [key for key in world.stored("state/") if re.fullmatch(KINDS[name], key)]
        key = next((key for key in keys if key.endswith("/one.json")), keys[-1])
        world.s3.put_object(Bucket=world.bucket, Key=key, Body=change(world.read(key)))


def check_others(world: World, version: str, *projects: str) -> list[Exception]:
    """Let a tick bring a new release of each project, and return what stopped a function."""
    before = world.files().keys()
    for name in projects:
        world.index.upload(wheel(name, version))
    errors = tick(world)
    for name in projects:
        assert version in world.page(name)["versions"], errors
    assert before <= world.files().keys()
    assert json.loads(world.read("web/status.json"))["serial"] == world.index.serial, errors
    return errors


def test_all_kinds_are_known(rich: World) -> None:
    keys = rich.stored("state/")
    for key in keys:
        assert any(re.fullmatch(kind, key) for kind in KINDS.values()), key
    kinds = {name for name in KINDS if any(re.fullmatch(KINDS[name], key) for key in keys)}
    assert kinds == KINDS.keys()


@pytest.mark.parametrize("body", BODIES)
def test_damage_of_all_that_is_made_again_stops_nothing(rich: World, body: str) -> None:
    damage(rich, KINDS.keys() - REPAIRED_BY_PEOPLE, BODIES[body])

    assert check_others(rich, "3.0", "app", "one", "two") == []
    assert check_others(rich, "4.0", "app", "one", "two") == []
    assert json.loads(rich.read("web/status.json"))["lagging"] == {}


def test_what_a_later_version_keeps_of_a_project_stops_that_project_alone(rich: World) -> None:
    damage(rich, OF_ONE_PROJECT, lambda _: b'{"version": 2}')
    rich.index.upload(wheel("one", "3.0"))

    check_others(rich, "3.0", "app", "two")


def test_each_page_says_how_long_it_may_be_kept(rich: World) -> None:
    kept: dict[str, set[str]] = {}
    for key in rich.stored():
        stored = rich.s3.head_object(Bucket=rich.bucket, Key=key)
        kind = "/".join(key.split("/")[:2]) if key.startswith("web/") else key.split("/", 1)[0]
        if key.startswith("web/changes/") and key != "web/changes/checkpoint":
            kind = "web/packages"  # what never changes, too
        if kind != "lists":  # the test's own
            kept.setdefault(kind, set()).add(stored.get("CacheControl", ""))

    page = {"public, max-age=20, s-maxage=30"}
    assert kept.pop("web/packages") == {"public, max-age=31536000, s-maxage=86400, immutable"}
    assert {name for name in kept if name.startswith("web/")} > {
        "web/changes", "web/gzip", "web/json", "web/pypi", "web/simple", "web/snapshot"
    }  # fmt: skip
    for name, found in kept.items():
        assert found == (page if name.startswith("web/") else {""}), name
