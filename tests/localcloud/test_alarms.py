"""Alarms on what AWS's services count, and CloudWatch's rules for all of them."""

from __future__ import annotations

import json
import threading
import time
import urllib.request
from contextlib import suppress
from dataclasses import replace
from typing import TYPE_CHECKING
from urllib.error import HTTPError

import pytest

from localcloud import FunctionFailed, LocalCloud, TemplateError
from localcloud.alarms import Alarm, State, read_alarm
from localcloud.environment import CHECKOUT
from localcloud.metrics import Metric, Metrics
from localcloud.section import Section
from localcloud.stack_reader import StackReader
from tests.localcloud.conftest import ignore_line, make_checkout

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

METRIC = Metric.of("Test", "Things")
ALARM = Alarm(
    metric=METRIC,
    statistic="Sum",
    offset=0,
    period=300,
    periods=3,
    comparison="GreaterThanThreshold",
    threshold=0,
    missing="missing",
    actions=(),
    ok_actions=(),
)


def firing(cloud: LocalCloud) -> set[str]:
    return {id_ for id_, state in cloud.alarm_states().items() if state is State.ALARM}


def send(cloud: LocalCloud, project: str) -> None:
    cloud.sqs.send_message(
        QueueUrl=cloud.stack.queues["JobQueue"].url,
        MessageBody=json.dumps({"project": project}),
        MessageGroupId=project,
        MessageDeduplicationId=project,
    )


def test_workers_that_the_account_has_no_concurrency_for_are_an_alarm(stub_template: Path) -> None:
    with LocalCloud(stub_template, concurrency=1, on_line=ignore_line) as cloud:

        def keep_busy() -> None:
            with suppress(FunctionFailed):
                cloud.invoke("PlannerFunction", {"do": "hang"})

        busy = threading.Thread(target=keep_busy)
        busy.start()
        name = cloud.stack.functions["PlannerFunction"].name
        started = Metric.of("AWS/Lambda", "Invocations", FunctionName=name)
        while started not in cloud.metrics.names():
            time.sleep(0.01)
        for number in range(3):
            assert "WorkerThrottleAlarm" not in firing(cloud)
            cloud.metrics.advance(300)
            send(cloud, f"project-{number}")
            assert cloud.pump().failed == 1
        assert "WorkerThrottleAlarm" in firing(cloud)
        cloud.stop_functions()
        busy.join()
        cloud.metrics.advance(300)
        send(cloud, "another")
        assert cloud.pump().succeeded == 1
        assert "WorkerThrottleAlarm" not in firing(cloud)


def test_a_schedule_that_may_not_invoke_its_function_is_an_alarm(tmp_path: Path) -> None:
    path = make_checkout(tmp_path)
    text = path.read_text()
    allowed = "                  - !GetAtt FinalizerFunction.Arn\n"
    assert allowed in text
    path.write_text(text.replace(allowed, ""))
    with LocalCloud(path, on_line=ignore_line) as cloud:
        cloud.tick("PlannerFunction")
        assert "ScheduleAlarm" not in firing(cloud)
        with pytest.raises(FunctionFailed, match="may not invoke FinalizerFunction"):
            cloud.tick("FinalizerFunction")
        assert "ScheduleAlarm" in firing(cloud)


def test_a_bucket_that_does_not_answer_readers_is_an_alarm(stub_template: Path) -> None:
    with LocalCloud(stub_template) as cloud:
        alarm = cloud.stack.alarms["EdgeErrorAlarm"]
        state = alarm.evaluate(cloud.metrics, State.OK)
        for _ in range(3):
            assert state is State.OK
            cloud.metrics.advance(300)
            read_status(cloud, expected=404)
            state = alarm.evaluate(cloud.metrics, state)
        cloud._moto.stop()
        for _ in range(3):
            assert state is State.OK
            cloud.metrics.advance(300)
            read_status(cloud, expected=502)
            state = alarm.evaluate(cloud.metrics, state)
        assert state is State.ALARM


def read_status(cloud: LocalCloud, *, expected: int) -> None:
    with pytest.raises(HTTPError) as raised:
        urllib.request.urlopen(f"{cloud.url}/status.json")  # noqa: S310
    assert raised.value.code == expected
    raised.value.close()


def test_the_paused_planner_raises_no_lag_alarm() -> None:
    for paused in ("true", "false"):
        reader = StackReader(CHECKOUT / "template.yaml", "http://aws.test", {"Paused": paused})
        alarm = reader.resolver.resolve(reader.resources["LagAlarm"]["Properties"])
        assert alarm["ActionsEnabled"] is (paused == "false")
        tick = reader.resources["PlannerFunction"]["Properties"]["Events"]["Tick"]
        state = reader.resolver.resolve(tick["Properties"]["State"])
        assert state == ("DISABLED" if paused == "true" else "ENABLED")


# The tables of "Configuring how CloudWatch alarms treat missing data": a dash is a missing point,
# an X is beyond the threshold. The columns are for missing, ignore, breaching and notBreaching.
@pytest.mark.parametrize(
    ("points", "states"),
    [
        ("0-X-X", ["OK", "OK", "OK", "OK"]),
        ("0----", ["OK", "RETAIN", "OK", "OK"]),
        ("-----", ["INSUFFICIENT_DATA", "RETAIN", "ALARM", "OK"]),
        ("0XX-X", ["ALARM", "ALARM", "ALARM", "ALARM"]),
        ("--X--", ["ALARM", "RETAIN", "ALARM", "OK"]),
    ],
)
def test_missing_data_counts_as_cloudwatch_documents_it(points: str, states: Sequence[str]) -> None:
    metrics = Metrics()
    for point in points:
        metrics.advance(300)
        if point != "-":
            metrics.add(METRIC, 1 if point == "X" else 0)
    for missing, state in zip(
        ("missing", "ignore", "breaching", "notBreaching"), states, strict=True
    ):
        for before in State:
            after = replace(ALARM, missing=missing).evaluate(metrics, before)
            assert after == (before if state == "RETAIN" else state)


def test_an_alarm_over_more_time_than_cloudwatch_allows_is_an_error() -> None:
    properties = {
        "Namespace": "Test",
        "MetricName": "Things",
        "Dimensions": [],
        "Statistic": "Sum",
        "Threshold": 0,
        "ComparisonOperator": "GreaterThanThreshold",
    }
    for period, periods in ((60, 1441), (3600, 169)):
        window = {"Period": period, "EvaluationPeriods": periods}
        with pytest.raises(TemplateError, match="A evaluates more than"):
            read_alarm(Section("A", {**properties, **window}, []))
        shorter = {"Period": period, "EvaluationPeriods": periods - 1}
        assert read_alarm(Section("A", {**properties, **shorter}, [])).periods == periods - 1
