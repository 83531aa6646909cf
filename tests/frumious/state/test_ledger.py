"""The ledger's files: errors name damaged, missing or newer files, and how to repair them."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from packaging.utils import canonicalize_name

from frumious.model import layout
from frumious.model.jobs import Job, Report, failure
from frumious.model.types import Key, RunId
from frumious.state import inbox
from frumious.state.objects import LedgerCorrupt, NewerFormat

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from frumious.mirror import Mirror
    from tests.world import World

RUN = RunId("20260101T000000.000000-abc-000")
READS: dict[Key, Callable[[Mirror], Awaitable[Any]]] = {
    layout.CURSOR: lambda mirror: mirror.ledger.cursor(),
    layout.LAGGING: lambda mirror: mirror.ledger.lagging(),
    layout.SELECTION: lambda mirror: mirror.ledger.selected(),
    layout.NAMED: lambda mirror: mirror.ledger.named(),
    layout.plan(RUN): lambda mirror: mirror.ledger.plan(RUN),
    layout.progress(RUN): lambda mirror: mirror.ledger.progress(RUN),
}
JUNK = [
    b"",
    b"{",
    b"\xff\xfe",
    b"[]",
    b"null",
    b"7",
    b'"text"',
    b'{"version": 1, "serial": "many", "runs": [7], "projects": [7], "jobs": 7, "pending": 7}',
    b'{"version": 1, "serial": 1, "runs": 7, "projects": {"a": 7}, "jobs": {"a": "b"}}',
    b'{"version": 1, "runs": 7, "projects": {"A/..": {"serial": 7}}, "jobs": {"A/..": 7}}',
]


@pytest.mark.parametrize("body", JUNK)
@pytest.mark.parametrize("key", READS)
def test_a_damaged_file_is_named_with_what_to_do(world: World, key: Key, body: bytes) -> None:
    world.s3.put_object(Bucket=world.bucket, Key=key, Body=body)

    with pytest.raises(LedgerCorrupt, match="is damaged") as damaged:
        world.run(READS[key])
    assert repr(key) in str(damaged.value)
    assert "frumious doctor --repair" in str(damaged.value)


def test_a_damaged_cursor_is_read_anew_once_somebody_has_repaired_it(world: World) -> None:
    world.s3.put_object(Bucket=world.bucket, Key=layout.CURSOR, Body=b"{")
    with pytest.raises(LedgerCorrupt):
        world.cursor()
    world.s3.delete_object(Bucket=world.bucket, Key=layout.CURSOR)

    found = world.run(lambda mirror: mirror.ledger.known_cursor())

    assert found.serial is None


@pytest.mark.parametrize("key", READS)
def test_a_file_of_a_later_version_is_left_to_that_version(world: World, key: Key) -> None:
    world.s3.put_object(Bucket=world.bucket, Key=key, Body=b'{"version": 2}')

    with pytest.raises(NewerFormat, match="format version 2"):
        world.run(READS[key])


def test_keys_of_a_later_minor_version_are_ignored_and_optional_ones_may_be_missing(
    world: World,
) -> None:
    cursor = {"version": 1, "serial": 7, "runs": [{"run": RUN, "colour": "blue"}], "colour": "red"}
    world.s3.put_object(Bucket=world.bucket, Key=layout.CURSOR, Body=json.dumps(cursor).encode())

    found = world.cursor()

    assert (found.serial, [entry.run for entry in found.runs]) == (7, [RUN])


def test_a_run_without_a_plan_is_an_error_that_names_it(world: World) -> None:
    with pytest.raises(LedgerCorrupt, match=r"plan\.json' is missing: the run is lost"):
        world.run(lambda mirror: mirror.ledger.plan(RUN))


def test_damaged_reports_are_set_aside_and_the_others_are_read(world: World) -> None:
    job = Job(RUN, canonicalize_name("one"), 1)
    world.record(Report(job, failure(job, "no")))
    world.s3.put_object(Bucket=world.bucket, Key=layout.inbox("damaged"), Body=b"{")

    found = world.run(lambda mirror: inbox.read(mirror.storage))

    assert [report.job for report in found.reports] == [job]
    assert len(found.keys) == 2
    assert world.read("state/damaged/inbox/damaged.json") == b"{"


def test_the_same_reports_are_one_object(world: World) -> None:
    jobs = [Job(RUN, canonicalize_name(name), 1) for name in ("one", "two")]
    reports = [Report(job, failure(job, "no")) for job in jobs]

    world.record(*reports)
    world.record(*reversed(reports))

    assert len(world.stored("state/inbox/")) == 1
