"""Jobs that are killed or overtaken, and pages of other programs: snapshots stay as they are."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.snapshots import SnapshotReader
from tests.upstream import wheel
from tests.world import before_requests_to_s3

if TYPE_CHECKING:
    from frumious.mirror import Mirror
    from tests.world import World

OLD = "demo-1.0-py3-none-any.whl"


class Killed(BaseException):
    """The process is no more."""


@pytest.fixture
def mirrored(world: World) -> World:
    world.index.upload(wheel("demo", "1.0"))
    world.mirror_run()
    return world


def sync_until(world: World, write: int) -> bool:
    """Do a job that is killed before its nth write or deletion; return whether it was."""
    writes = 0

    def kill(request: Any, **_: object) -> None:
        nonlocal writes
        writes += request.method in {"PUT", "POST"}
        if writes == write:
            raise Killed

    async def opened(mirror: Mirror) -> Any:
        return before_requests_to_s3(mirror, kill)

    with world.run(opened):
        try:
            world.sync("demo", run="run-2", resuming=write > 1)
        except Killed:
            return True
    return False


def test_a_snapshot_stays_the_same_whenever_a_job_is_killed(mirrored: World) -> None:
    snapshot = SnapshotReader.create(mirrored)
    before = snapshot.forms()
    mirrored.index.remove_release("demo", "1.0")
    mirrored.index.upload(wheel("demo", "2.0"))

    write = 1
    while sync_until(mirrored, write):
        assert snapshot.forms() == before, f"killed before write {write}"
        assert not snapshot.missing()
        write += 1

    assert write > 8, "before what is stored, kept, shown, published and deleted"
    assert snapshot.forms() == before
    assert len(snapshot.own) == 3
    assert OLD not in mirrored.read("web/simple/demo/index.html").decode()


def test_a_job_that_loses_the_race_keeps_what_was_live(mirrored: World) -> None:
    """Another job publishes between the job's first look at the page and its own page."""
    snapshot = SnapshotReader.create(mirrored)
    before = snapshot.page()
    mirrored.index.upload(wheel("demo", "2.0"))
    page = "web/simple/demo/index.v1_json"
    kept = mirrored.read(page)
    raced: list[bool] = []

    def race(request: Any, **_: object) -> None:
        if request.method == "PUT" and request.url.endswith(page) and not raced:
            raced.append(True)
            mirrored.s3.put_object(Bucket=mirrored.bucket, Key=page, Body=kept + b"\n")

    async def opened(mirror: Mirror) -> Any:
        return before_requests_to_s3(mirror, race)

    with mirrored.run(opened):
        mirrored.sync("demo", run="run-2")

    assert raced
    assert snapshot.page() == before
    assert not snapshot.missing()
    assert "2.0" in mirrored.page("demo")["versions"]


def test_a_snapshot_keeps_pages_of_bandersnatch_that_are_html_alone(mirrored: World) -> None:
    for key in mirrored.stored("web/"):
        if key.endswith("v1_json"):
            mirrored.s3.delete_object(Bucket=mirrored.bucket, Key=key)
    snapshot = SnapshotReader.create(mirrored)
    mirrored.index.upload(wheel("demo", "2.0"))
    mirrored.mirror_run(["demo"])

    assert snapshot.files() == {OLD}
    assert not snapshot.missing()
    html = (snapshot.forms()["index.html"] or b"").decode()
    assert f">{OLD}</a>" in html
    assert 'href="../../packages/' in html


def test_nothing_is_published_while_nobody_knows_which_snapshots_there_are(
    mirrored: World,
) -> None:
    before = mirrored.read("web/simple/demo/index.html")
    mirrored.s3.put_object(Bucket=mirrored.bucket, Key="state/snapshots.json", Body=b"{")
    mirrored.index.upload(wheel("demo", "2.0"))

    (result,) = mirrored.mirror_run().results

    assert result.error is not None
    assert mirrored.read("web/simple/demo/index.html") == before
    mirrored.s3.delete_object(Bucket=mirrored.bucket, Key="state/snapshots.json")
    mirrored.mirror_run(["demo"])
    assert "2.0" in mirrored.page("demo")["versions"]
