"""Events that users send to the planner."""

from __future__ import annotations

import json
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import FunctionFailed, LocalCloud
from localcloud.alarms import State
from tests.frumious.planning.site import site
from tests.functions.conftest import make_runtime
from tests.upstream import Fault, Index, Raw, Server, Status, wheel

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def index(shared_index: Index) -> Index:
    return shared_index


@pytest.fixture
def cloud(shared_cloud: LocalCloud) -> LocalCloud:
    return shared_cloud


def plan(cloud: LocalCloud, **event: Any) -> dict[str, Any]:
    response: dict[str, Any] = cloud.invoke("PlannerFunction", event)
    return response


def finish(cloud: LocalCloud) -> dict[str, str]:
    """Run the planned jobs and finalize; return each project's outcome."""
    cloud.pump()
    projects: dict[str, str] = cloud.tick("FinalizerFunction")["projects"]
    return projects


def stored(cloud: LocalCloud) -> dict[str, str]:
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket).get("Contents", [])
    return {entry["Key"]: entry["ETag"] for entry in listed}


def jobs_waiting(cloud: LocalCloud) -> int:
    url = cloud.stack.queues["JobQueue"].url
    response = cloud.sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(response["Attributes"]["ApproximateNumberOfMessages"])


def test_a_dry_run_returns_the_plan_and_writes_nothing(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("one", "1.0"))
    index.upload(wheel("two", "1.0"))
    before = stored(cloud)

    report = plan(cloud, dry_run=True)["plan"]

    assert set(report["updated"]) == {"one", "two"}
    assert all(report["updated"].values()), "each project has a reason"
    assert (report["removed"], report["retried"]) == ({}, {})
    assert (stored(cloud), jobs_waiting(cloud)) == (before, 0)

    response = plan(cloud)
    assert (response["runs"], response["jobs"]) == ([response["run"]], 2)
    assert finish(cloud) == {"one": "updated", "two": "updated"}
    assert plan(cloud) == {"runs": [], "run": None, "jobs": 0}


def test_force_check_plans_all_projects(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("checked", "1.0"))
    plan(cloud)
    finish(cloud)

    assert plan(cloud, force_check=True)["jobs"] == len(index.projects())

    assert "checked" in finish(cloud)


def test_a_run_that_removes_too_much_waits_for_a_confirmation(
    cloud: LocalCloud, index: Index
) -> None:
    index.upload(wheel("soon", "1.0"))
    index.upload(wheel("gone", "1.0"))
    plan(cloud)
    finish(cloud)
    before = stored(cloud)
    index.remove_project("soon")
    index.remove_project("gone")
    stops = cloud.logs.total("RunsStopped")

    response = plan(cloud)

    assert (response["runs"], response["jobs"], response["removals"]) == ([], 0, 2)
    assert "confirms 2 removals" in response["stopped"]
    assert cloud.logs.total("RunsStopped") == stops + 1
    notices = {"state/cursor.json", "state/notices.json"}  # which name what waits
    changed = {key for key, _ in stored(cloud).items() ^ before.items()}
    assert (changed, jobs_waiting(cloud)) == (notices, 0)

    dry_run = plan(cloud, dry_run=True)
    assert (set(dry_run["plan"]["removed"]), dry_run["removals"]) == ({"soon", "gone"}, 2)
    assert plan(cloud, confirm_removals=1)["removals"] == 2, "another number was confirmed"
    cloud.tick("FinalizerFunction")
    status = json.loads(read(cloud, "web/status.json"))
    assert sum(status["notices"]["withheld"].values()) == status["notices"]["unconfirmed"] == 2

    planned = cloud.logs.total("removals_planned")
    assert plan(cloud, confirm_removals=2)["jobs"] == 2
    assert cloud.logs.total("removals_planned") == planned + 2
    assert finish(cloud) == {"soon": "removed", "gone": "removed"}
    assert json.loads(read(cloud, "web/status.json"))["notices"]["unconfirmed"] == 0


def test_a_deleted_project_stays_away_until_it_is_planned_by_name(
    cloud: LocalCloud, index: Index
) -> None:
    index.upload(wheel("malware", "1.0"))
    plan(cloud)
    finish(cloud)
    before = stored(cloud)

    assert plan(cloud, delete=["Malware"], dry_run=True)["plan"]["removed"] == {
        "malware": "deleted by name"
    }
    assert (stored(cloud), jobs_waiting(cloud)) == (before, 0)

    assert plan(cloud, delete=["Malware"])["jobs"] == 1
    assert finish(cloud) == {"malware": "removed"}
    assert not [key for key in stored(cloud) if "malware" in key and key.startswith("web/")]
    index.upload(wheel("malware", "2.0"))
    plan(cloud, force_check=True)
    assert "malware" not in finish(cloud)

    assert plan(cloud, projects=["malware"])["jobs"] == 1
    assert finish(cloud) == {"malware": "updated"}


def test_an_unknown_planner_request_does_nothing(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("unknown", "1.0"))
    before = stored(cloud)
    with pytest.raises(
        FunctionFailed, match="unknown field `dryrun`; the planner knows all, confirm_"
    ):
        plan(cloud, dryrun=True)
    assert stored(cloud) == before
    plan(cloud)
    finish(cloud)


@pytest.mark.parametrize(
    ("event", "message"),
    [
        ({"projects": "six"}, "Expected `array | null`, got `str` - at `$.projects`"),
        ({"retry": "six"}, "at `$.retry`"),
        ({"confirm_removals": "57"}, "at `$.confirm_removals`"),
        ({"may_lose": "false", "projects": ["six"]}, "at `$.may_lose`"),
    ],
)
def test_an_event_with_an_invalid_value_does_nothing(
    cloud: LocalCloud, event: dict[str, Any], message: str
) -> None:
    before = stored(cloud)
    with pytest.raises(FunctionFailed) as failed:
        plan(cloud, **event)
    assert message in str(failed.value)
    assert (stored(cloud), jobs_waiting(cloud)) == (before, 0)


def test_open_runs_are_dispatched_whatever_keeps_the_planner_from_planning(
    upstream: Server, tmp_path: Path
) -> None:
    upstream.index.upload(wheel("unsent", "1.0"))
    with LocalCloud(runtime=make_runtime(tmp_path, upstream)) as cloud:
        plan(cloud)
        cursor = json.loads(read(cloud, "state/cursor.json"))
        cursor["runs"][0]["sent"] = None

        def fails(match: str, **event: Any) -> None:
            """Check that the planner fails, and sends the run that was planned all the same."""
            write(cloud, "state/cursor.json", json.dumps(cursor).encode())
            with pytest.raises(FunctionFailed, match=match):
                plan(cloud, **event)
            assert json.loads(read(cloud, "state/cursor.json"))["runs"][0]["sent"]

        fails("is not a project's name", projects=["a" * 1000])
        for action in (Status(400), Raw(body=b"<"), Raw(body=b"\xff" * 100)):
            fault = upstream.faults.add(Fault(action, "/pypi"))
            fails("returned")
            upstream.faults.remove(fault)
        write(cloud, "state/lagging.json", b"{")
        fails("lagging.json' is damaged")
        fails("lagging.json' is damaged", retry=True)
        cloud.s3.delete_object(Bucket=cloud.bucket, Key="state/lagging.json")
        write(cloud, "state/selection.json", b"{")
        fails("selection.json' is damaged")


def read(cloud: LocalCloud, key: str) -> bytes:
    return cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read()


def write(cloud: LocalCloud, key: str, body: bytes) -> None:
    cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=body)


def test_a_mirror_of_everything_begins_only_where_that_is_confirmed(tmp_path: Path) -> None:
    index = Index()
    index.add_many(f"project-{number}" for number in range(1001))
    with (
        Server(index) as upstream,
        LocalCloud(runtime=make_runtime(tmp_path, upstream)) as cloud,
    ):
        response = cloud.tick("PlannerFunction")
        read = upstream.requests
        again = cloud.tick("PlannerFunction")

        assert response == again
        assert (response["runs"], response["jobs"], response["projects"]) == ([], 0, 1001)
        assert "all 1,001 that upstream has would be mirrored" in response["stopped"]
        assert '{"all": true}' in response["stopped"]
        assert upstream.requests == read, "upstream's root index is large"
        assert cloud.logs.total("RunsStopped") == 2
        assert len(plan(cloud, dry_run=True)["plan"]["updated"]) == 1000
        assert jobs_waiting(cloud) == 0

        confirmed = plan(cloud, all=True, dry_run=True)
        assert "stopped" not in confirmed
        assert confirmed["plan"]["counts"]["updated"] == 1001


def test_names_of_the_allowlist_that_upstream_lacks_are_reported(tmp_path: Path) -> None:
    index = Index()
    index.upload(wheel("requests", "1.0"))
    listed = "[plugins]\nenabled = allowlist_project\n[allowlist]\npackages =\n  requests\n"
    with ExitStack() as opened:
        runtime = make_runtime(tmp_path, opened.enter_context(Server(index)))
        config = runtime.config.read_text()
        runtime.config.write_text(f"{config}\n{listed}  reqests\n")
        cloud = opened.enter_context(LocalCloud(runtime=runtime))
        cloud.tick("PlannerFunction")
        finish(cloud)
        cloud.tick("PlannerFunction")

        assert cloud.logs.total("InputProblems") == 1
        records = [line.fields for line in cloud.logs.lines if line.fields]
        (record,) = [each for each in records if each.get("message") == "upstream lacks projects"]
        assert record["absent"] == {"reqests": "requests"}
        assert plan(cloud, dry_run=True)["absent"] == {"reqests": "requests"}
        assert cloud.alarm_states()["InputAlarm"] is State.ALARM
        cloud.tick("PlannerFunction")
        assert cloud.logs.total("names_absent") == 1, "once an hour"

        cloud.tick("FinalizerFunction")
        assert json.loads(read(cloud, "web/status.json"))["notices"]["absent"] == 1
        notices = json.loads(read(cloud, "state/notices.json"))
        assert notices["absent"] == {"reqests": "requests"}


def test_a_list_that_cannot_be_read_raises_an_alarm_and_stops_nothing(tmp_path: Path) -> None:
    index = Index()
    index.upload(wheel("demo", "1.0"))
    with ExitStack() as opened:
        web = opened.enter_context(site())
        web.files["/top.json"] = '{"rows": [{"project": "demo", "download_count": 7}]}'
        runtime = make_runtime(tmp_path, opened.enter_context(Server(index)))
        config = runtime.config.read_text()
        listed = (
            f"[plugins]\nenabled = top_projects\n[top]\nprojects = 1\nlist = {web.url}/top.json"
        )
        runtime.config.write_text(f"{config}\n{listed}\n")
        cloud = opened.enter_context(LocalCloud(runtime=runtime))
        cloud.tick("PlannerFunction")
        finish(cloud)
        assert cloud.logs.total("InputProblems") == 0
        assert stored_files(cloud) == 1

        web.files.clear()
        index.upload(wheel("demo", "2.0"))
        cloud.tick("PlannerFunction")
        finish(cloud)
        assert stored_files(cloud) == 2
        assert cloud.logs.total("InputProblems") == 1
        assert cloud.alarm_states()["InputAlarm"] is State.ALARM
        assert json.loads(read(cloud, "web/status.json"))["notices"]["lists"] == 1


def stored_files(cloud: LocalCloud) -> int:
    page = json.loads(read(cloud, "web/simple/demo/index.v1_json"))
    return len(page["files"])
