"""Each alarm of the template fires for what really happened, and goes off when that is mended."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from localcloud import FunctionFailed, LocalCloud
from localcloud.alarms import State
from localcloud.environment import CHECKOUT
from localcloud.stack_reader import read_stack
from tests.functions.conftest import make_runtime
from tests.functions.test_dead_letters import BOOTSTRAP, QUICKER
from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from localcloud.stack import Stack
    from tests.upstream import Index, Server

MINUTES = 60
HOURS = 60 * MINUTES
DAYS = 24 * HOURS
RATES = {"rate(1 minute)": 1 * MINUTES, "rate(2 hours)": 2 * HOURS, "rate(7 days)": 7 * DAYS}
MAX_ALARM_METRICS = 15  # each costs $0.10 a month


def stack(**parameters: str) -> Stack:
    return read_stack(CHECKOUT / "template.yaml", endpoint="http://aws.test", parameters=parameters)


def firing(cloud: LocalCloud) -> set[str]:
    return {id_ for id_, state in cloud.alarm_states().items() if state is State.ALARM}


def finalize(cloud: LocalCloud, *, times: int = 1) -> None:
    """Let the finalizer tick, with five minutes between two ticks for the metrics."""
    for _ in range(times):
        cloud.tick("FinalizerFunction")
        cloud.metrics.advance(5 * MINUTES)


def go_round(cloud: LocalCloud) -> None:
    cloud.tick("PlannerFunction")
    cloud.pump(environments=1)
    cloud.tick("FinalizerFunction")


def age_last_plan(cloud: LocalCloud, seconds: float) -> None:
    """Let the planner's last success be longer ago."""
    key = "state/cursor.json"
    cursor = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    cursor["asked"] -= seconds
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=json.dumps(cursor))


def test_no_alarm_fires_while_all_is_well(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("demo", "1.0"))
    go_round(cloud)
    cloud.tick("AuditorFunction")
    cloud.alarm_states()
    finalize(cloud, times=12)
    cloud.tick("PlannerFunction")
    assert set(cloud.alarm_states().values()) == {State.OK}

    # Without the finalizer, missing data counts as a breach as soon as there is nothing else.
    cloud.metrics.advance(25 * MINUTES)
    assert firing(cloud) == {"LagAlarm"}

    index.upload(wheel("demo", "2.0"))
    cloud.tick("PlannerFunction")
    cloud.metrics.advance(5 * HOURS)
    cloud.pump()
    assert firing(cloud) == {"LagAlarm", "QueueAgeAlarm"}


def test_alarms_cost_little_and_notify_both_ways() -> None:
    assert not any(alarm.actions for alarm in stack().alarms.values())
    topic = "arn:aws:sns:us-east-1:123456789012:mine"
    alarms = stack(AlarmEmail="ops@mirror.example", AlarmTopicArn=topic).alarms.values()
    assert all(alarm.actions == alarm.ok_actions == ("AlarmTopic", topic) for alarm in alarms)
    assert len({alarm.metric for alarm in alarms}) == len(alarms) <= MAX_ALARM_METRICS


def test_the_lag_alarm_fires_an_hour_after_a_missed_tick_at_every_rate(
    shared_cloud: LocalCloud, shared_index: Index
) -> None:
    cloud = shared_cloud
    shared_index.upload(wheel("late", "1.0"))
    go_round(cloud)
    aged = 0
    for rate, seconds in RATES.items():
        alarm = stack(PlannerRate=rate).alarms["LagAlarm"]
        for lag, state in ((50 * MINUTES, State.OK), (70 * MINUTES, State.ALARM)):
            age_last_plan(cloud, seconds + lag - aged)
            aged = seconds + lag
            finalize(cloud, times=3)
            assert alarm.evaluate(cloud.metrics, State.OK) is state, rate

    go_round(cloud)
    assert "LagAlarm" not in firing(cloud)


def test_the_lag_alarm_fires_if_the_planner_never_succeeded(
    cloud: LocalCloud, upstream: Server
) -> None:
    upstream.faults.add(Fault(Status(400), "/"))
    with pytest.raises(FunctionFailed):
        cloud.tick("PlannerFunction")
    finalize(cloud, times=3)
    assert firing(cloud) == {"LagAlarm"}


def test_a_stopped_run_is_an_alarm_until_the_removals_are_confirmed(
    shared_cloud: LocalCloud, shared_index: Index
) -> None:
    cloud = shared_cloud
    for name in ("loud", "louder"):
        shared_index.upload(wheel(name, "1.0"))
    go_round(cloud)
    assert "RunsStoppedAlarm" not in firing(cloud)
    for name in ("loud", "louder"):
        shared_index.remove_project(name)

    cloud.tick("PlannerFunction")

    assert "RunsStoppedAlarm" in firing(cloud)
    cloud.metrics.advance(7 * DAYS)
    cloud.invoke("PlannerFunction", {"projects": []})
    assert "RunsStoppedAlarm" in firing(cloud), "until the next tick says otherwise"

    cloud.invoke("PlannerFunction", {"confirm_removals": 2})
    assert "RunsStoppedAlarm" not in firing(cloud)
    cloud.pump()
    cloud.tick("FinalizerFunction")


def test_files_that_upstream_may_not_take_away_are_an_alarm_until_they_are_confirmed(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    runtime = make_runtime(tmp_path, upstream)
    runtime.config.write_text(runtime.config.read_text() + "max-losses = 0% 1 1GiB\n")
    for version in ("1.0", "2.0", "3.0"):
        index.upload(wheel("one", version))
    with LocalCloud(runtime=runtime) as cloud:
        go_round(cloud)
        for version in ("1.0", "2.0"):
            index.remove_release("one", version)
        go_round(cloud)
        cloud.tick("PlannerFunction")
        assert "RunsStoppedAlarm" in firing(cloud)

        cloud.invoke("PlannerFunction", {"confirm_losses": 2})
        cloud.pump()
        cloud.tick("FinalizerFunction")
        cloud.metrics.advance(1 * MINUTES)
        cloud.tick("PlannerFunction")
        assert "RunsStoppedAlarm" not in firing(cloud)
        page = cloud.s3.get_object(Bucket=cloud.bucket, Key="web/simple/one/index.v1_json")
        assert len(json.loads(page["Body"].read())["files"]) == 1


def test_an_upstream_that_went_back_is_an_alarm_until_the_serials_are_reset(
    cloud: LocalCloud, index: Index
) -> None:
    index.upload(wheel("demo", "1.0"))
    backup = index.backup()
    index.upload(wheel("demo", "2.0"))
    go_round(cloud)
    index.restore(backup)
    go_round(cloud)
    assert "InputAlarm" not in firing(cloud), "a replica may lag that much"
    key = "state/cursor.json"
    cursor = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    cursor["regressed"] -= HOURS
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=json.dumps(cursor))
    go_round(cloud)
    assert "InputAlarm" in firing(cloud)
    assert "restored" in cloud.invoke("PlannerFunction", {"dry_run": True})["regressed"]
    cloud.metrics.advance(5 * MINUTES)

    cloud.invoke("PlannerFunction", {"reset_serials": True})

    assert "InputAlarm" not in firing(cloud)
    cloud.pump(environments=1)
    cloud.tick("FinalizerFunction")
    status = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key="status")["Body"].read())
    assert status == index.serial


@pytest.fixture
def deadly_cloud(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    """A stack whose workers die of the project `demo`, as long as the file `deadly` exists."""
    template = (CHECKOUT / "template.yaml").read_text()
    for slow, quick in QUICKER.items():
        template = template.replace(slow, quick)
    (tmp_path / "functions").symlink_to(CHECKOUT / "functions")
    (tmp_path / "template.yaml").write_text(template)
    (tmp_path / "deadly").write_text("demo")
    runtime = make_runtime(tmp_path, upstream)
    runtime = replace(
        runtime,
        python_path=(*runtime.python_path, BOOTSTRAP),
        environment={**runtime.environment, "DEADLY": str(tmp_path / "deadly")},
    )
    with LocalCloud(
        tmp_path / "template.yaml",
        parameters={"LaggingAlarmProjects": "0"},
        runtime=runtime,
        on_line=lambda _: None,
    ) as cloud:
        worker = cloud._functions["WorkerFunction"]
        worker.settings = replace(worker.settings, handler="deadly_worker.handler")
        yield cloud


def test_crashed_workers_dead_letters_and_lagging_projects_are_alarms(
    deadly_cloud: LocalCloud, index: Index, tmp_path: Path
) -> None:
    cloud = deadly_cloud
    index.upload(wheel("demo", "1.0"))
    cloud.tick("PlannerFunction")
    cloud.pump(environments=1, wait_seconds=60)
    cloud.tick("FinalizerFunction")
    assert firing(cloud) == {"WorkerErrorAlarm", "DeadLetterAlarm"}
    finalize(cloud, times=12)
    assert firing(cloud) == {"DeadLetterAlarm", "LaggingAlarm"}

    (tmp_path / "deadly").unlink()
    cloud.redrive()
    cloud.pump(environments=1)
    finalize(cloud, times=3)
    assert firing(cloud) == set()


def test_lost_events_are_an_alarm(upstream: Server, tmp_path: Path) -> None:
    upstream.index.upload(wheel("demo", "1.0"))
    runtime = make_runtime(tmp_path, upstream)
    nobody = {"AWS_ENDPOINT_URL_EVENTBRIDGE": "http://127.0.0.1:9"}
    runtime = replace(runtime, environment={**runtime.environment, **nobody})
    with LocalCloud(runtime=runtime, on_line=lambda _: None) as cloud:
        go_round(cloud)
        assert firing(cloud) == {"EventsLostAlarm"}
        finalize(cloud, times=4)
        assert firing(cloud) == set()
    assert "EventsLostAlarm" not in stack(EventBusName="").alarms
