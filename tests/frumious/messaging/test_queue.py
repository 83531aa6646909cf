"""Sending jobs, and receiving dead letters."""

from __future__ import annotations

import math
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.stub import Stubber
from packaging.utils import canonicalize_name

from frumious.messaging.dead_letter_queue import DeadLetterQueue
from frumious.messaging.job_queue import JobQueue, QueueUnavailable
from frumious.model.jobs import Job
from frumious.model.types import RunId

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world import Aws


@pytest.fixture
def url(aws: Aws) -> Iterator[str]:
    url = aws.sqs.create_queue(QueueName="jobs.fifo", Attributes={"FifoQueue": "true"})["QueueUrl"]
    yield url
    aws.sqs.delete_queue(QueueUrl=url)


@pytest.fixture
def queue(aws: Aws, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[JobQueue, Stubber]]:
    """A queue with stubbed responses."""
    monkeypatch.setattr("frumious.messaging.job_queue._FIRST_PAUSE", 0.01)
    queue = JobQueue("http://sqs.test/queue.fifo")
    with Stubber(queue._client) as stubber:
        yield queue, stubber
        stubber.assert_no_pending_responses()


def job(number: int = 0, *, run: str = "run-1") -> Job:
    return Job(RunId(run), canonicalize_name(f"project-{number}"), number)


def messages(aws: Aws, url: str) -> int:
    answer = aws.sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def answer(taken: list[int], refused: list[int], *, fault: bool = False) -> dict[str, Any]:
    return {
        "Successful": [
            {"Id": str(n), "MessageId": str(n), "MD5OfMessageBody": "0" * 32} for n in taken
        ],
        "Failed": [
            {"Id": str(n), "SenderFault": fault, "Code": "Code", "Message": f"not {n}"}
            for n in refused
        ],
    }


def test_all_jobs_are_sent_and_counted(aws: Aws, url: str) -> None:
    assert JobQueue(url).send(job(number) for number in range(43)) == 43
    assert {letter.job for letter in DeadLetterQueue(url).receive()} == {job(n) for n in range(43)}


def test_sending_stops_at_the_deadline_and_returns_its_progress(aws: Aws, url: str) -> None:
    deadline = time.monotonic() + 0.05
    taken: list[Job] = []

    def endless() -> Iterator[Job]:
        while True:
            taken.append(job(len(taken)))
            yield taken[-1]

    sent = JobQueue(url).send(endless(), deadline=deadline)
    assert 0 < sent == len(taken) == messages(aws, url)


def test_after_the_deadline_nothing_is_sent(aws: Aws, url: str) -> None:
    assert JobQueue(url).send([job()], deadline=-math.inf) == 0
    assert messages(aws, url) == 0


def test_a_refused_message_is_sent_again(queue: tuple[JobQueue, Stubber]) -> None:
    jobs, stubber = queue
    stubber.add_response("send_message_batch", answer([0], [1]))
    stubber.add_response("send_message_batch", answer([], [1]))
    stubber.add_response("send_message_batch", answer([1], []))
    assert jobs.send([job(0), job(1)]) == 2


@pytest.mark.parametrize(("fault", "tries"), [(False, 3), (True, 1)])
def test_a_message_that_is_always_refused_is_an_error(
    queue: tuple[JobQueue, Stubber], *, fault: bool, tries: int
) -> None:
    jobs, stubber = queue
    for _ in range(tries):
        stubber.add_response("send_message_batch", answer([0], [1], fault=fault))
    with pytest.raises(QueueUnavailable, match="refused a message: not 1"):
        jobs.send([job(0), job(1)])


def test_extended_visibility_timeouts_are_spread_out(
    queue: tuple[JobQueue, Stubber],
) -> None:
    jobs, stubber = queue
    asked: list[dict[str, Any]] = []
    jobs._client.meta.events.register(
        "before-parameter-build.sqs.ChangeMessageVisibilityBatch",
        lambda params, **_: asked.extend(params["Entries"]),
    )
    stubber.add_response("change_message_visibility_batch", {"Successful": [], "Failed": []})
    jobs.extend_visibility((f"receipt-{number}" for number in range(10)), 120)
    jobs.extend_visibility((), 120)
    pauses = [entry["VisibilityTimeout"] for entry in asked]
    assert [entry["ReceiptHandle"] for entry in asked] == [f"receipt-{n}" for n in range(10)]
    assert all(120 <= pause <= 240 for pause in pauses)
    assert len(set(pauses)) > 3


def test_receiving_dead_letters_does_not_delete_them(aws: Aws, url: str) -> None:
    JobQueue(url).send([job(0), job(1), job(0, run="run-2")])
    dead_letter_queue = DeadLetterQueue(url)
    dead = dead_letter_queue.receive()
    assert {letter.job for letter in dead} == {job(0), job(1), job(0, run="run-2")}
    assert dead_letter_queue.receive() == [], "they are invisible to others"
    dead_letter_queue.return_to_queue(letter.receipt for letter in dead)
    assert {letter.job for letter in dead_letter_queue.receive()} == {letter.job for letter in dead}


def test_deleted_dead_letters_do_not_return(aws: Aws, url: str) -> None:
    JobQueue(url).send(job(number) for number in range(13))
    dead_letter_queue = DeadLetterQueue(url)
    dead = dead_letter_queue.receive()
    dead_letter_queue.delete(letter.receipt for letter in dead if letter.job.serial)
    dead_letter_queue.return_to_queue(letter.receipt for letter in dead)
    assert [letter.job for letter in dead_letter_queue.receive()] == [job(0)]


def test_an_invalid_dead_letter_is_skipped(
    aws: Aws, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    for body in ("no JSON", "[]", '{"project": "../.."}'):
        aws.sqs.send_message(
            QueueUrl=url, MessageBody=body, MessageGroupId="x", MessageDeduplicationId=body
        )
    JobQueue(url).send([job()])
    assert [letter.job for letter in DeadLetterQueue(url).receive()] == [job()]
    assert [record.message for record in caplog.records] == ["a dead letter is not a job"] * 3
    assert messages(aws, url) == 3


def test_one_tick_receives_a_limited_number_of_dead_letters(
    aws: Aws, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("frumious.messaging.dead_letter_queue._MAX_RECEIVED", 20)
    JobQueue(url).send(job(number) for number in range(40))
    assert len(DeadLetterQueue(url).receive()) == 20
    assert messages(aws, url) == 20
