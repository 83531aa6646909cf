"""The worker in a process of its own: batches, crashes and metrics."""

from __future__ import annotations

import copy
import json
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from frumious.model.runs import Cursor, OpenRun
from frumious.model.types import RunId
from frumious.state.objects import render
from localcloud import LocalCloud
from localcloud.runtime_api import FunctionFailed
from tests.functions.conftest import make_runtime
from tests.upstream import Fault, Slow, Status, wheel

if TYPE_CHECKING:
    from tests.upstream import Index, Server

EVENT = json.loads((Path(__file__).parents[2] / "events/worker.json").read_text())


def event(*projects: str, receives: int = 1) -> dict[str, Any]:
    """Return an SQS event with a message for each project."""
    records = []
    for number, project in enumerate(projects):
        record = copy.deepcopy(EVENT["Records"][0])
        record["messageId"] = f"{project}-{number}"
        record["body"] = json.dumps({"run": "run-1", "project": project, "serial": 0})
        record["attributes"]["MessageGroupId"] = project
        record["attributes"]["ApproximateReceiveCount"] = str(receives)
        records.append(record)
    return {"Records": records}


def open_run(cloud: LocalCloud) -> None:
    """Open the run of the events."""
    cursor = Cursor(runs=(OpenRun(run=RunId("run-1"), since=None, sent=1.0),))
    body = render(cursor)
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/cursor.json", Body=body)


@pytest.fixture(autouse=True)
def run(cloud: LocalCloud) -> None:
    open_run(cloud)


def contents(cloud: LocalCloud) -> dict[str, bytes]:
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket).get("Contents", ())
    return {
        entry["Key"]: cloud.s3.get_object(Bucket=cloud.bucket, Key=entry["Key"])["Body"].read()
        for entry in listed
    }


def test_a_retry_after_a_kill_within_a_file_leaves_the_same_bucket(
    cloud: LocalCloud, index: Index, upstream: Server, tmp_path: Path
) -> None:
    index.upload(wheel("demo", "1.0"))
    index.add_file("demo", "demo-1.0.tar.gz", size=4_000_000)
    large = index.files_named("demo-1.0.tar.gz")[0]
    slow = upstream.faults.add(Fault(Slow(rate=100_000), large.path))
    with ThreadPoolExecutor(1) as pool:
        killed = pool.submit(cloud.invoke, "WorkerFunction", event("demo"))
        while not upstream.requests_for(large.path):
            time.sleep(0.01)
        time.sleep(0.5)  # the transfer has begun
        cloud.stop_functions()
        with pytest.raises(FunctionFailed):
            killed.result()
    assert not [key for key in contents(cloud) if "web/simple" in key or "tar.gz" in key]

    upstream.faults.remove(slow)
    cloud.invoke("WorkerFunction", event("demo", receives=2))

    with LocalCloud(runtime=make_runtime(tmp_path, upstream)) as undisturbed:
        open_run(undisturbed)
        undisturbed.invoke("WorkerFunction", event("demo"))
        assert contents(cloud) == contents(undisturbed)


def test_a_duplicate_message_leaves_the_same_bucket(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("demo", "1.0"))
    cloud.invoke("WorkerFunction", event("demo"))
    once = contents(cloud)

    cloud.invoke("WorkerFunction", event("demo"))
    cloud.stop_functions()
    cloud.invoke("WorkerFunction", event("demo", receives=2))

    assert contents(cloud) == once


def test_one_failed_project_does_not_affect_the_others(
    cloud: LocalCloud, index: Index, upstream: Server
) -> None:
    for name in ("one", "two", "three"):
        index.upload(wheel(name, "1.0"))
    upstream.faults.add(Fault(Status(503), "/simple/two/"))

    response = cloud.invoke("WorkerFunction", event("one", "two", "three"))

    assert response == {"batchItemFailures": [{"itemIdentifier": "two-1"}]}
    pages = {key for key in contents(cloud) if key.endswith("v1_json")}
    assert pages == {
        f"web/{folder}/{project}/index.v1_json"
        for folder in ("simple", "gzip/simple")
        for project in ("one", "three")
    }


def test_an_invalid_message_does_not_stop_the_others(cloud: LocalCloud, index: Index) -> None:
    index.upload(wheel("one", "1.0"))
    both = event("one", "nonsense")
    both["Records"][1]["body"] = '{"project": "../.."}'

    response = cloud.invoke("WorkerFunction", both)

    assert response == {"batchItemFailures": [{"itemIdentifier": "nonsense-1"}]}
    assert "web/simple/one/index.v1_json" in contents(cloud)


def test_requests_and_files_are_counted_in_metrics(cloud: LocalCloud, index: Index) -> None:
    for name in ("one", "two"):
        index.upload(wheel(name, "1.0"))

    cloud.invoke("WorkerFunction", event("one"))
    cloud.invoke("WorkerFunction", event("two"))

    # A page, a wheel, its metadata, and upstream's serial, as these jobs have none; once, the
    # serial that confirms those of pages, and the events after the older page.
    assert cloud.logs.total("upstream_requests") == 2 * (3 + 1) + 2
    # A file and its metadata, four pages, the manifest, the files that were removed before, and the
    # report; cursor, lagging projects and snapshots; once, the previous layout of pages.
    assert cloud.logs.total("storage_requests") == 2 * (2 + 4 + 3 + 3) + 1
    assert cloud.logs.total("files_stored") == 2
