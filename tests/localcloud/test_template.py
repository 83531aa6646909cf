"""The template is understood, all of it; what is not understood is an error."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from localcloud import TemplateError
from localcloud.environment import CHECKOUT
from localcloud.stack_reader import StackReader, read_stack

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud.stack import Stack


@pytest.fixture(scope="module")
def stack() -> Stack:
    return read_stack(CHECKOUT / "template.yaml", endpoint="http://aws.test", parameters={})


def read_edited(folder: Path, old: str, new: str) -> Stack:
    text = (CHECKOUT / "template.yaml").read_text()
    assert old in text
    path = folder / "template.yaml"
    path.write_text(text.replace(old, new, 1))
    return read_stack(path, endpoint="http://aws.test", parameters={})


def test_the_queue_is_fifo_for_high_throughput_with_a_dead_letter_queue(stack: Stack) -> None:
    jobs, dead = stack.queues["JobQueue"], stack.queues["DeadLetterQueue"]
    assert jobs.name.endswith(".fifo")
    assert jobs.attributes["DeduplicationScope"] == "messageGroup"
    assert jobs.attributes["FifoThroughputLimit"] == "perMessageGroupId"
    redrive = json.loads(jobs.attributes["RedrivePolicy"])
    assert redrive == {"deadLetterTargetArn": dead.arn, "maxReceiveCount": 5}


def test_a_message_stays_invisible_for_six_timeouts_of_the_worker(stack: Stack) -> None:
    visibility = int(stack.queues["JobQueue"].attributes["VisibilityTimeout"])
    assert visibility >= 6 * stack.functions["WorkerFunction"].timeout


def test_the_worker_knows_which_receive_is_the_last(stack: Stack) -> None:
    redrive = json.loads(stack.queues["JobQueue"].attributes["RedrivePolicy"])
    worker = stack.functions["WorkerFunction"]
    assert worker.environment["FRUMIOUS_MAX_RECEIVES"] == str(redrive["maxReceiveCount"])


def test_functions_have_the_global_and_their_own_settings(stack: Stack) -> None:
    assert set(stack.functions) == {
        *("PlannerFunction", "WorkerFunction", "FinalizerFunction", "AuditorFunction")
    }
    planner = stack.functions["PlannerFunction"]
    assert planner.handler == "app.handler"
    assert planner.code == CHECKOUT / "functions/planner"
    assert planner.environment["FRUMIOUS_BUCKET"] == stack.bucket
    assert planner.environment["FRUMIOUS_QUEUE_URL"] == stack.queues["JobQueue"].url
    assert planner.environment["POWERTOOLS_METRICS_NAMESPACE"] == "Frumious"


def test_schedules_and_the_queue_invoke_the_functions(stack: Stack) -> None:
    schedules = {s.function: (s.seconds, s.input) for s in stack.schedules}
    assert schedules == {
        "PlannerFunction": (60, {}),
        "FinalizerFunction": (60, {}),
        "AuditorFunction": (900, {}),
    }
    auditor = stack.functions["AuditorFunction"]
    assert auditor.timeout < 900 - 60, "no two audits at a time: schedules are exact to a minute"
    assert auditor.environment["FRUMIOUS_AUDIT_DAYS"] == "7"
    (source,) = stack.queue_sources
    assert source.function == "WorkerFunction"
    assert source.queue_arn == stack.queues["JobQueue"].arn
    assert (source.batch_size, source.reports_item_failures) == (10, True)


def test_the_finalizer_knows_the_dead_letters_and_the_event_bus(stack: Stack) -> None:
    finalizer = stack.functions["FinalizerFunction"].environment
    assert finalizer["FRUMIOUS_DEAD_LETTERS_URL"] == stack.queues["DeadLetterQueue"].url
    assert finalizer["FRUMIOUS_EVENT_BUS"] == "default"


def test_readers_see_web_and_nothing_else(stack: Stack) -> None:
    assert stack.distribution.bucket == stack.bucket
    assert stack.distribution.origin_paths == {"mirror": "/web", "compressed": "/web/gzip"}
    assert [b.pattern for b in stack.distribution.behaviors] == ["/packages/*", "*"]


def test_parameters_replace_defaults() -> None:
    stack = read_stack(
        CHECKOUT / "template.yaml",
        endpoint="http://aws.test",
        parameters={"LogLevel": "DEBUG", "PlannerRate": "rate(2 hours)"},
    )
    assert stack.functions["WorkerFunction"].environment["POWERTOOLS_LOG_LEVEL"] == "DEBUG"
    assert stack.schedules[0].seconds == 7200


def test_an_unknown_parameter_is_an_error() -> None:
    with pytest.raises(TemplateError, match="no parameter 'Nonsense'"):
        read_stack(
            CHECKOUT / "template.yaml", endpoint="http://aws.test", parameters={"Nonsense": "1"}
        )


def test_what_is_not_simulated_is_named(stack: Stack) -> None:
    assert "MirrorBucketPolicy (AWS::S3::BucketPolicy)" in stack.not_simulated
    assert "MirrorBucket.LifecycleConfiguration" in stack.not_simulated
    assert "WorkerFunction.Layers" in stack.not_simulated


@pytest.mark.parametrize(
    ("old", "new", "complaint"),
    [
        ("AWS::SQS::Queue", "AWS::SQS::Topic", r"the resource JobQueue \(AWS::SQS::Topic\)"),
        ("FifoQueue: true", "QueueName: jobs\n      FifoQueue: true", "JobQueue.QueueName"),
        ("BatchSize: 10", "BatchSize: 10\n            Enabled: false", "Properties.Enabled"),
        ("Type: SQS", "Type: Kinesis", r"the event WorkerFunction\.Jobs \(Kinesis\)"),
        ("Expression: !Ref PlannerRate", "Expression: cron(0 * * * ? *)", "the schedule 'cron"),
        ("!Ref JobQueue", "!ImportValue Queue", "the intrinsic {'Fn::ImportValue': 'Queue'}"),
        ("!Ref JobQueue", "!Ref NoQueue", "refers to 'NoQueue', which does not exist"),
        ("!Ref MirrorBucket", "!GetAtt MirrorBucket.Owner", "the attribute 'Owner'"),
        ("viewer-request", "viewer-response", "the edge event 'viewer-response'"),
        ("DeletionPolicy: RetainExceptOnCreate", "CreationPolicy: {}", "MirrorBucket.Creation"),
        ("    DeletionPolicy:", "    Condition: Nonsense\n    DeletionPolicy:", "'Nonsense'"),
        ("Globals:\n  Function:", "Globals:\n  Api: {}\n  Function:", "Globals.Api"),
    ],
)
def test_what_is_not_understood_is_an_error(
    tmp_path: Path, old: str, new: str, complaint: str
) -> None:
    with pytest.raises(TemplateError, match=complaint):
        read_edited(tmp_path, old, new)


def test_a_resource_whose_condition_does_not_hold_does_not_exist(tmp_path: Path) -> None:
    conditions = (
        "  Both: !And [!Condition IsSingleWriter, !Not [!Equals [!Ref LogLevel, INFO]]]\n"
        "  Either: !Or [!Condition IsSingleWriter, !Equals [!Ref LogLevel, INFO]]\n"
    )
    text = (CHECKOUT / "template.yaml").read_text()
    text = text.replace("Conditions:\n", f"Conditions:\n{conditions}", 1)
    resources = (
        "  Spare: {Type: AWS::Serverless::LayerVersion, Condition: Both}\n"
        "  Extra: {Type: AWS::Serverless::LayerVersion, Condition: Either}\n"
    )
    path = tmp_path / "template.yaml"
    path.write_text(text.replace("\nResources:\n", f"\nResources:\n{resources}", 1))
    for parameters, expected in (
        ({}, {"Extra"}),
        ({"SingleWriter": "true", "LogLevel": "DEBUG"}, {"Spare", "Extra"}),
        ({"LogLevel": "DEBUG"}, set[str]()),
    ):
        reader = StackReader(path, "http://aws.test", parameters)
        assert {"Spare", "Extra"} & reader.resources.keys() == expected


def test_a_substitution_may_have_values_of_its_own() -> None:
    reader = StackReader(CHECKOUT / "template.yaml", "http://aws.test", {})
    text = {"Fn::Sub": ["${Level} of ${AWS::StackName}", {"Level": {"Ref": "LogLevel"}}]}
    assert reader.resolver.resolve(text) == "INFO of frumious-local"
