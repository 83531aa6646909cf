"""The queue's semantics: batches, partial failures, receive counts, the dead-letter queue."""

from __future__ import annotations

import json
import threading
import time
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcloud import LocalCloud


def send(cloud: LocalCloud, project: str, **job: Any) -> str:
    """Send a job for `project`; return the message's id."""
    return cloud.sqs.send_message(
        QueueUrl=cloud.stack.queues["JobQueue"].url,
        MessageBody=json.dumps({"project": project, **job}),
        MessageGroupId=project,
        MessageDeduplicationId=f"{project}-{time.monotonic_ns()}",
    )["MessageId"]


def batches(cloud: LocalCloud) -> list[dict[str, Any]]:
    """Return the lines that the worker printed for each batch that it was given."""
    printed = [line.fields for line in list(cloud.logs.lines) if line.fields]
    return [dict(fields) for fields in printed if fields["message"] == "batch"]


def receives(cloud: LocalCloud) -> list[tuple[str, int]]:
    return [
        (
            json.loads(record["body"])["project"],
            int(record["attributes"]["ApproximateReceiveCount"]),
        )
        for batch in batches(cloud)
        for record in batch["event"]["Records"]
    ]


def test_the_worker_is_given_what_sqs_gives_it(cloud: LocalCloud) -> None:
    message_id = send(cloud, "six")
    cloud.pump()
    (record,) = batches(cloud)[0]["event"]["Records"]
    assert record["messageId"] == message_id
    assert json.loads(record["body"]) == {"project": "six"}
    assert record["eventSource"] == "aws:sqs"
    assert record["eventSourceARN"] == cloud.stack.queues["JobQueue"].arn
    assert record["awsRegion"] == "us-east-1"
    assert record["messageAttributes"] == {}
    attributes = record["attributes"]
    assert attributes["ApproximateReceiveCount"] == "1"
    assert attributes["MessageGroupId"] == "six"
    assert {"SentTimestamp", "ApproximateFirstReceiveTimestamp"} <= attributes.keys()
    assert {"MessageDeduplicationId", "SequenceNumber"} <= attributes.keys()
    assert record["receiptHandle"]
    assert record["md5OfBody"]


def test_batches_have_the_size_that_the_template_says(cloud: LocalCloud) -> None:
    for number in range(23):
        send(cloud, f"project-{number}")
    pumped = cloud.pump()
    assert sorted(len(batch["event"]["Records"]) for batch in batches(cloud)) == [3, 10, 10]
    assert (pumped.batches, pumped.succeeded, pumped.failed, pumped.remaining) == (3, 23, 0, 0)


def test_what_succeeded_is_gone_and_what_failed_stays(cloud: LocalCloud) -> None:
    send(cloud, "six")
    send(cloud, "flit", do="fail")
    pumped = cloud.pump()
    assert (pumped.succeeded, pumped.failed, pumped.remaining) == (1, 1, 1)
    # It is invisible for as long as the template says: another pump finds nothing.
    assert cloud.pump().batches == 0


def test_a_message_that_will_be_visible_again_is_waited_for(cloud: LocalCloud) -> None:
    send(cloud, "flit", do="fail once", retry=1)
    pumped = cloud.pump(wait_seconds=30)
    assert receives(cloud) == [("flit", 1), ("flit", 2)]
    assert (pumped.succeeded, pumped.failed, pumped.remaining) == (1, 1, 0)


def test_a_message_ends_in_the_dead_letter_queue_after_five_receives(cloud: LocalCloud) -> None:
    send(cloud, "flit", do="fail", retry=0)
    send(cloud, "six")
    pumped = cloud.pump()
    assert [count for project, count in receives(cloud) if project == "flit"] == [1, 2, 3, 4, 5]
    assert (pumped.succeeded, pumped.failed, pumped.remaining) == (1, 5, 0)
    assert [letter["project"] for letter in cloud.dead_letters()] == ["flit"]


def test_dead_letters_are_sent_back_as_new_messages(cloud: LocalCloud) -> None:
    for _ in range(5):
        send(cloud, "flit", do="fail", retry=0)
    cloud.pump()
    letters = cloud.dead_letters()
    assert len(letters) == 5
    assert cloud.dead_letters() == letters, "looking at them leaves them where they are"
    cloud.logs.lines.clear()

    assert cloud.redrive() == 5

    assert cloud.dead_letters() == []
    cloud.pump()
    assert receives(cloud)[0] == ("flit", 1)
    assert len(cloud.dead_letters()) == 5


def test_an_exception_leaves_the_whole_batch(cloud: LocalCloud) -> None:
    send(cloud, "six")
    send(cloud, "flit", do="raise")
    pumped = cloud.pump()
    assert (pumped.succeeded, pumped.failed, pumped.remaining) == (0, 2, 2)


def test_an_answer_that_names_a_strange_message_leaves_the_whole_batch(cloud: LocalCloud) -> None:
    send(cloud, "six")
    send(cloud, "flit", do="name a stranger")
    assert cloud.pump().failed == 2


def test_two_workers_never_have_the_same_project(cloud: LocalCloud) -> None:
    for number in range(11):
        send(cloud, f"project-{number % 2}", number=number, seconds=0.01)
    pumped = cloud.pump(environments=2)
    assert pumped.succeeded == 11
    times: dict[str, list[tuple[float, float]]] = {}
    ended = iter(
        line.fields["ended"]
        for line in cloud.logs.lines
        if line.fields and line.fields["message"] == "batch done"
    )
    for batch, end in zip(batches(cloud), ended, strict=True):
        for record in batch["event"]["Records"]:
            group = record["attributes"]["MessageGroupId"]
            times.setdefault(group, []).append((batch["started"], end))
    for spans in times.values():
        distinct = sorted(set(spans))
        assert all(a[1] <= b[0] for a, b in pairwise(distinct))


def test_projects_are_worked_on_at_the_same_time(cloud: LocalCloud) -> None:
    for number in range(20):
        send(cloud, f"project-{number}", seconds=0.2)
    cloud.pump(environments=2)
    messages = [line.fields["message"] for line in cloud.logs.lines if line.fields]
    assert messages == ["batch", "batch", "batch done", "batch done"]


def test_giving_up_ends_what_runs_and_keeps_its_messages(cloud: LocalCloud) -> None:
    send(cloud, "six", seconds=60)
    until = time.monotonic() + 1
    pumped = cloud.pump(give_up=lambda: time.monotonic() > until)
    assert (pumped.failed, pumped.remaining) == (1, 1)
    assert time.monotonic() < until + 30  # of 60 seconds


def test_running_ticks_by_the_schedules_and_pumps(cloud: LocalCloud) -> None:
    send(cloud, "six")
    stop = threading.Event()

    def ticks() -> list[str]:
        return sorted(line.function for line in list(cloud.logs.lines) if "tick" in line.text)

    def stop_when_all_has_happened() -> None:
        until = time.monotonic() + 30
        while (not receives(cloud) or len(ticks()) < 3) and time.monotonic() < until:
            time.sleep(0.1)
        stop.set()

    threading.Thread(target=stop_when_all_has_happened).start()
    cloud.run(stop)
    assert receives(cloud) == [("six", 1)]
    assert ticks() == ["AuditorFunction", "FinalizerFunction", "PlannerFunction"]
