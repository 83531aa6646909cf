"""Events: their content, and how they are sent to the bus."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import EndpointConnectionError
from botocore.stub import ANY, Stubber
from packaging.utils import canonicalize_name

from frumious.finalizing.run_events import RUN_FINISHED, project_changed
from frumious.messaging.event_publisher import EventPublisher
from frumious.messaging.events import Event
from frumious.model.jobs import Job, Outcome, Report, Result
from frumious.model.types import Key, RunId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world import Aws

RUN = RunId("run-1")
SIX = canonicalize_name("six")
FILE = Key("web/packages/aa/bb/cc/six-1.0.tar.gz")


@pytest.fixture
def bus(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[EventPublisher, Stubber]]:
    """A bus with stubbed responses."""
    monkeypatch.setattr("frumious.messaging.event_publisher._FIRST_PAUSE", 0.01)
    event_publisher = EventPublisher("default")
    with Stubber(event_publisher._client) as stubber:
        yield event_publisher, stubber
        stubber.assert_no_pending_responses()


def result(outcome: Outcome, **more: Any) -> Result:
    return Result(project=SIX, outcome=outcome, serial=7, **more)


def report(result: Result) -> Report:
    return Report(Job(RUN, SIX, 7), result)


def put(number: int) -> dict[str, Any]:
    """Return the expected parameters of a call with a number of events."""
    return {"Entries": [ANY] * number}


def took(*errors: str) -> dict[str, Any]:
    """Return the response to a call, with an error or none for each event."""
    return {
        "FailedEntryCount": sum(map(bool, errors)),
        "Entries": [{"ErrorCode": error} if error else {"EventId": "1"} for error in errors],
    }


def publish_events(event_publisher: EventPublisher, *events: Event) -> int:
    asyncio.run(event_publisher(events))
    return event_publisher.pop_lost_count()


def test_an_update_event_names_added_and_removed_files() -> None:
    updated = result(Outcome.UPDATED, added=(FILE,), added_bytes=5)
    event = project_changed(report(updated), {"written": [FILE], "deleted": []})
    assert event == Event(
        "Project updated",
        {
            "project": "six",
            "run": "run-1",
            "outcome": "updated",
            "serial": 7,
            "files_added": 1,
            "bytes_added": 5,
            "files_removed": 0,
            "written": [FILE],
            "deleted": [],
            "truncated": False,
        },
    )


@pytest.mark.parametrize(
    ("outcome", "kind"),
    [
        (Outcome.UPDATED, "Project updated"),
        (Outcome.REMOVED, "Project removed"),
        (Outcome.QUARANTINED, "Project removed"),
        (Outcome.UNCHANGED, None),
        (Outcome.ABSENT, None),
        (Outcome.FAILED, None),
    ],
)
def test_only_changes_are_published(outcome: Outcome, kind: str | None) -> None:
    event = project_changed(report(result(outcome)), {})
    assert (event.kind if event else None) == kind


def test_keys_that_exceed_the_event_s_size_are_cut() -> None:
    many = [Key(f"web/packages/{number:060}/\N{SNOWMAN}") for number in range(3000)]
    updated = result(Outcome.UPDATED, added=tuple(many))
    event = project_changed(report(updated), {"written": many, "deleted": [FILE]})
    assert event is not None
    assert event.detail["truncated"] is True
    assert event.detail["files_added"] == 3000
    assert event.detail["written"] == many[: len(event.detail["written"])]  # type: ignore[arg-type]
    assert 150_000 < len(json.dumps(event.detail)) < 256 * 1024


def test_ten_events_are_sent_in_one_call(bus: tuple[EventPublisher, Stubber]) -> None:
    event_publisher, stubber = bus
    entry = {
        "EventBusName": "default",
        "Source": "frumious",
        "DetailType": "Run finished",
        "Detail": '{"run":"run-1"}',
    }
    stubber.add_response("put_events", took(*[""] * 10), {"Entries": [entry] * 10})
    assert publish_events(event_publisher, *[Event(RUN_FINISHED, {"run": "run-1"})] * 10) == 0


def test_a_call_never_exceeds_eventbridge_s_limit(bus: tuple[EventPublisher, Stubber]) -> None:
    event_publisher, stubber = bus
    large = Event("Large", {"text": "x" * 200_000})
    for _ in range(3):
        stubber.add_response("put_events", took(""), put(1))
    assert publish_events(event_publisher, *[large] * 3) == 0


def test_a_refused_event_is_sent_again(bus: tuple[EventPublisher, Stubber]) -> None:
    event_publisher, stubber = bus
    stubber.add_response("put_events", took("", "ThrottlingException", ""), put(3))
    stubber.add_response("put_events", took(""), put(1))
    assert publish_events(event_publisher, *[Event("Thing", {})] * 3) == 0


def test_events_that_are_always_refused_are_counted_and_fail_nothing(
    bus: tuple[EventPublisher, Stubber], caplog: pytest.LogCaptureFixture
) -> None:
    event_publisher, stubber = bus
    for _ in range(4):
        stubber.add_client_error("put_events", "AccessDeniedException")
    assert publish_events(event_publisher, Event("Thing", {}), Event("Thing", {})) == 2
    assert event_publisher.pop_lost_count() == 0
    assert caplog.records[-1].message == "events were lost"


def test_an_unreachable_bus_is_not_tried_for_each_event(
    aws: Aws, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frumious.messaging.event_publisher._FIRST_PAUSE", 0.01)
    monkeypatch.setattr("frumious.messaging.batches._CALLERS", 1)
    event_publisher = EventPublisher("default")
    tries = []

    def refuse(**_: Any) -> None:
        tries.append(1)
        raise EndpointConnectionError(endpoint_url="http://events.test")

    event_publisher._client.meta.events.register("before-call.events.PutEvents", refuse)
    assert publish_events(event_publisher, *[Event("Thing", {})] * 1000) == 1000
    assert len(tries) == 4, "the first call was tried four times"
