"""What the planner can be asked for by hand."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import FunctionFailed, LocalCloud
from tests.functions.conftest import make_runtime
from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server


@pytest.fixture
def index(shared_index: Index) -> Index:
    return shared_index


@pytest.fixture
def cloud(shared_cloud: LocalCloud) -> LocalCloud:
    return shared_cloud


def ask(cloud: LocalCloud, **event: Any) -> dict[str, Any]:
    answer: dict[str, Any] = cloud.invoke("PlannerFunction", event)
    return answer


def finish(cloud: LocalCloud) -> dict[str, str]:
    """Do what was planned; return what became of each project."""
    cloud.pump()
    projects: dict[str, str] = cloud.tick("FinalizerFunction")["projects"]
    return projects


def stored(cloud: LocalCloud) -> dict[str, str]:
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket).get("Contents", [])
    return {one["Key"]: one["ETag"] for one in listed}


def jobs_waiting(cloud: LocalCloud) -> int:
    url = cloud.stack.queues["JobQueue"].url
    answer = cloud.sqs.get_queue_attributes(
        QueueUrl=url, AttributeNames=["ApproximateNumberOfMessages"]
    )
    return int(answer["Attributes"]["ApproximateNumberOfMessages"])


def test_a_dry_run_returns_the_plan_and_writes_nothing(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("one", "1.0"))
    index.upload(wheel("two", "1.0"))
    before = stored(cloud)

    told = ask(cloud, dry_run=True)["plan"]

    assert set(told["updated"]) == {"one", "two"}
    assert all(told["updated"].values()), "each with a reason"
    assert (told["removed"], told["retried"]) == ({}, {})
    assert (stored(cloud), jobs_waiting(cloud)) == (before, 0)

    answer = ask(cloud)
    assert (answer["runs"], answer["jobs"]) == ([answer["run"]], 2)
    assert finish(cloud) == {"one": "updated", "two": "updated"}
    assert ask(cloud) == {"runs": [], "run": None, "jobs": 0}


def test_force_check_plans_all_projects(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("anew", "1.0"))
    ask(cloud)
    finish(cloud)

    assert ask(cloud, force_check=True)["jobs"] == len(index.projects())

    assert "anew" in finish(cloud)


def test_a_run_that_removes_too_much_waits_for_a_confirmation(
    cloud: LocalCloud, index: Index
) -> None:
    index.upload(wheel("soon", "1.0"))
    index.upload(wheel("gone", "1.0"))
    ask(cloud)
    finish(cloud)
    before = stored(cloud)
    index.remove_project("soon")
    index.remove_project("gone")
    stops = cloud.logs.total("RunsStopped")

    answer = ask(cloud)

    assert (answer["runs"], answer["jobs"], answer["removals"]) == ([], 0, 2)
    assert "confirms 2 removals" in answer["stopped"]
    assert cloud.logs.total("RunsStopped") == stops + 1
    assert (stored(cloud), jobs_waiting(cloud)) == (before, 0)

    told = ask(cloud, dry_run=True)
    assert (set(told["plan"]["removed"]), told["removals"]) == ({"soon", "gone"}, 2)
    assert ask(cloud, confirm_removals=1)["removals"] == 2, "that is not what was confirmed"

    planned = cloud.logs.total("removals_planned")
    assert ask(cloud, confirm_removals=2)["jobs"] == 2
    assert cloud.logs.total("removals_planned") == planned + 2
    assert finish(cloud) == {"soon": "removed", "gone": "removed"}


def test_an_unknown_planner_request_does_nothing(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("unknown", "1.0"))
    before = stored(cloud)
    with pytest.raises(FunctionFailed, match="the event has 'dryrun'"):
        ask(cloud, dryrun=True)
    assert stored(cloud) == before
    ask(cloud)
    finish(cloud)


def test_open_runs_are_dispatched_while_upstream_is_unavailable(
    upstream: Server, tmp_path: Path
) -> None:
    upstream.index.upload(wheel("unsent", "1.0"))
    with LocalCloud(runtime=make_runtime(tmp_path, upstream)) as cloud:
        ask(cloud)
        planned = jobs_waiting(cloud)
        cloud.sqs.purge_queue(QueueUrl=cloud.stack.queues["JobQueue"].url)
        key = "state/cursor.json"
        cursor = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
        cursor["runs"][0]["sent"] = None
        cloud.s3.put_object(Bucket=cloud.bucket, Key=key, Body=json.dumps(cursor))
        upstream.faults.add(Fault(Status(400), "/pypi"))

        with pytest.raises(FunctionFailed, match="returned the status 400"):
            ask(cloud)

        assert jobs_waiting(cloud) == planned
