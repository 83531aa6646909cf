"""What others hear on the event bus."""

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


def listen(cloud: LocalCloud) -> str:
    """Let a queue hear everything that Frumious puts on the bus; return the queue's URL."""
    url = cloud.sqs.create_queue(QueueName="listener")["QueueUrl"]
    attributes = cloud.sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])
    events = cloud._client("events")
    events.put_rule(Name="all", EventPattern='{"source": ["frumious"]}')
    target = {"Id": "listener", "Arn": attributes["Attributes"]["QueueArn"]}
    events.put_targets(Rule="all", Targets=[target])
    return url


def heard(cloud: LocalCloud, url: str) -> dict[tuple[str, str], dict[str, Any]]:
    """Take what was heard, by the event's kind and its project."""
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


def go_round(cloud: LocalCloud) -> str:
    run: str = cloud.tick("PlannerFunction")["run"]
    cloud.pump()
    cloud.tick("FinalizerFunction")
    return run


def test_runs_and_projects_are_published_as_events(cloud: LocalCloud, index: Index) -> None:
    url = listen(cloud)
    index.upload(wheel("demo", "1.0"))
    index.upload(wheel("gone", "1.0"))
    run = go_round(cloud)

    events = heard(cloud, url)

    assert set(events) == {
        ("Run finished", ""),
        ("Project updated", "demo"),
        ("Project updated", "gone"),
    }
    finished = events["Run finished", ""]
    assert (finished["run"], finished["projects"], finished["files_added"]) == (run, 2, 4)
    demo = events["Project updated", "demo"]
    assert (demo["run"], demo["files_added"], demo["truncated"]) == (run, 2, False)
    for key in demo["written"]:
        cloud.s3.head_object(Bucket=cloud.bucket, Key=key)
    assert "web/simple/demo/index.v1_json" in demo["written"]

    index.remove_project("gone")
    go_round(cloud)

    events = heard(cloud, url)
    assert set(events) == {("Run finished", ""), ("Project removed", "gone")}
    removed = events["Project removed", "gone"]
    assert removed["files_removed"] == 2
    assert "web/simple/gone/index.html" in removed["deleted"]

    cloud.tick("FinalizerFunction")
    assert heard(cloud, url) == {}, "nothing happened, nothing is told"
    assert cloud.logs.total("EventsLost") == 0
