"""The events that subscribers of the event bus receive."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.upstream import wheel

if TYPE_CHECKING:
    from localcloud import LocalCloud
    from tests.upstream import Index


@pytest.fixture
def index(shared_index: Index) -> Index:
    return shared_index


@pytest.fixture
def cloud(shared_cloud: LocalCloud) -> LocalCloud:
    return shared_cloud


def subscribe(cloud: LocalCloud) -> str:
    """Subscribe a queue to all events of Frumious; return the queue's URL."""
    url = cloud.sqs.create_queue(QueueName="listener")["QueueUrl"]
    attributes = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events = cloud._client("events")
    events.put_rule(Name="all", EventPattern='{"source": ["frumious"]}')
    target = {"Id": "listener", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="all", Targets=[target])
    return url


def received(cloud: LocalCloud, url: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Return and delete the received events, by kind and project."""
    events = {}
    while messages := cloud.sqs.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get(
        "Messages"
    ):
        for message in messages:
            event = json.loads(message["Body"])
            assert event["source"] == "frumious"
            events[event["detail-type"], event["detail"].get("project", "")] = event["detail"]
            cloud.sqs.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return events


def run_once(cloud: LocalCloud) -> str:
    run: str = cloud.tick("PlannerFunction")["run"]
    cloud.pump()
    cloud.tick("FinalizerFunction")
    return run


def test_runs_and_projects_are_published_as_events(cloud: LocalCloud, index: Index) -> None:
    url = subscribe(cloud)
    index.upload(wheel("demo", "1.0"))
    index.upload(wheel("gone", "1.0"))
    run = run_once(cloud)

    events = received(cloud, url)

    assert set(events) == {
        ("Run finished", ""),
        ("Project updated", "demo"),
        ("Project updated", "gone"),
    }
    finished = events["Run finished", ""]
    assert (finished["run"], finished["projects"], finished["files_added"]) == (run, 2, 2)
    demo = events["Project updated", "demo"]
    assert (demo["run"], demo["files_added"], demo["truncated"]) == (run, 1, False)
    for key in demo["written"]:
        cloud.s3.head_object(Bucket=cloud.bucket, Key=key)
    assert "web/simple/demo/index.v1_json" in demo["written"]

    index.remove_project("gone")
    run_once(cloud)

    events = received(cloud, url)
    assert set(events) == {("Run finished", ""), ("Project removed", "gone")}
    removed = events["Project removed", "gone"]
    assert removed["files_removed"] == 1
    assert "web/simple/gone/index.html" in removed["deleted"]

    cloud.tick("FinalizerFunction")
    assert received(cloud, url) == {}, "without a change no event is published"
    assert cloud.logs.total("EventsLost") == 0
