"""From a change upstream to `pip install` from the mirror, on the local stack."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import TYPE_CHECKING, Any

from tests.upstream import Fault, Status, wheel

if TYPE_CHECKING:
    from pathlib import Path

    from localcloud import LocalCloud
    from tests.upstream import Index, Server


def run(cloud: LocalCloud) -> dict[str, Any]:
    """Run planner, workers and finalizer once."""
    cloud.tick("PlannerFunction")
    cloud.pump()
    response: dict[str, Any] = cloud.tick("FinalizerFunction")
    return response


def pip(cloud: LocalCloud, folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Run pip with the mirror as its only index."""
    environment = {"PATH": os.environ["PATH"], "PIP_CONFIG_FILE": os.devnull}
    return subprocess.run(
        [
            *(sys.executable, "-m", "pip", "--isolated", "install", "--quiet"),
            *("--disable-pip-version-check", "--no-cache-dir", "--target", str(folder)),
            *("--index-url", f"{cloud.url}/simple/", *arguments),
        ],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_pip_installs_what_changed_upstream(
    cloud: LocalCloud, index: Index, tmp_path: Path
) -> None:
    index.upload(wheel("helper", "1.0"))
    index.upload(wheel("demo", "1.0", requires=["helper>=1"]))

    assert run(cloud)["projects"] == {"demo": "updated", "helper": "updated"}
    assert pip(cloud, tmp_path / "one", "demo").returncode == 0
    assert (tmp_path / "one/demo/__init__.py").exists()
    assert (tmp_path / "one/helper/__init__.py").exists()

    index.upload(wheel("demo", "2.0"))
    index.remove_project("helper")
    run(cloud)

    assert pip(cloud, tmp_path / "two", "demo").returncode == 0
    assert (tmp_path / "two/demo-2.0.dist-info").exists()
    gone = pip(cloud, tmp_path / "three", "helper")
    assert gone.returncode != 0
    assert "No matching distribution found for helper" in gone.stderr
    status = json.loads(
        cloud.s3.get_object(Bucket=cloud.bucket, Key="web/status.json")["Body"].read()
    )
    assert status["serial"] == index.serial


def test_syncing_named_projects_reads_neither_root_index_nor_changelog(
    cloud: LocalCloud, index: Index, upstream: Server
) -> None:
    index.upload(wheel("demo", "1.0"))

    response = cloud.invoke("PlannerFunction", {"projects": ["Demo"]})
    cloud.pump()

    assert response["jobs"] == 1
    assert {request.rpc for request in upstream.requests} <= {None, "changelog_last_serial"}
    assert not [request for request in upstream.requests if request.path == "/simple/"]


def test_a_job_is_retried_later_by_its_visibility_timeout(
    cloud: LocalCloud, index: Index, upstream: Server
) -> None:
    index.upload(wheel("demo", "1.0"))
    upstream.faults.add(Fault(Status(503), "/simple/demo/"))
    cloud.invoke("PlannerFunction", {"projects": ["demo"]})

    cloud.pump()

    attributes = cloud.sqs.get_queue_attributes(
        QueueUrl=cloud.stack.queues["JobQueue"].url,
        AttributeNames=["ApproximateNumberOfMessagesNotVisible"],
    )["Attributes"]
    assert attributes["ApproximateNumberOfMessagesNotVisible"] == "1"
    (failure,) = [
        line.fields
        for line in cloud.logs.lines
        if line.fields and line.fields.get("message") == "project failed"
    ]
    assert failure["project"] == "demo"
    assert failure["retry"] == 40
