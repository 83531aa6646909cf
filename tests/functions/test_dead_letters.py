"""Jobs whose worker dies: they block nothing, are reported, and are retried."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import LocalCloud
from localcloud.environment import CHECKOUT
from tests.functions.conftest import make_runtime
from tests.upstream import Fault, Slow, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.upstream import Index, Server

BOOTSTRAP = Path(__file__).with_name("bootstrap")
QUICKER = {
    "MaxReceives: 5": "MaxReceives: 1",  # each one kills a process
    "VisibilityTimeout: 5400": "VisibilityTimeout: 3",
    "BatchSize: 10": "BatchSize: 1",  # a job that dies kills no other
}


@pytest.fixture
def deadly(tmp_path: Path) -> Path:
    """The file that names the project that kills its worker; without it no worker dies."""
    return tmp_path / "deadly"


@pytest.fixture
def cloud(upstream: Server, tmp_path: Path, deadly: Path) -> Iterator[LocalCloud]:
    template = (CHECKOUT / "template.yaml").read_text()
    for slow, quick in QUICKER.items():
        assert slow in template
        template = template.replace(slow, quick)
    (tmp_path / "functions").symlink_to(CHECKOUT / "functions")
    (tmp_path / "template.yaml").write_text(template)
    runtime = make_runtime(tmp_path, upstream)
    runtime = replace(
        runtime,
        python_path=(*runtime.python_path, BOOTSTRAP),
        environment={**runtime.environment, "DEADLY": str(deadly)},
    )
    with LocalCloud(tmp_path / "template.yaml", runtime=runtime, on_line=lambda _: None) as cloud:
        worker = cloud._functions["WorkerFunction"]
        worker.settings = replace(worker.settings, handler="deadly_worker.handler")
        yield cloud


def run_once(cloud: LocalCloud, event: dict[str, Any] | None = None) -> dict[str, str]:
    """Plan, work and finalize once; return each project's outcome."""
    cloud.invoke("PlannerFunction", event or {})
    cloud.pump(environments=1, wait_seconds=60)
    projects: dict[str, str] = cloud.tick("FinalizerFunction")["projects"]
    return projects


def status(cloud: LocalCloud) -> dict[str, Any]:
    body = cloud.s3.get_object(Bucket=cloud.bucket, Key="web/status.json")["Body"].read()
    payload: dict[str, Any] = json.loads(body)
    return payload


def files(cloud: LocalCloud, project: str) -> list[str]:
    key = f"web/simple/{project}/index.v1_json"
    page = json.loads(cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read())
    return [file["filename"] for file in page["files"]]


def dead_projects(cloud: LocalCloud) -> list[str]:
    return [letter["project"] for letter in cloud.dead_letters()]


def test_a_job_of_a_dead_worker_is_redelivered_and_blocks_only_its_project(
    cloud: LocalCloud, index: Index, deadly: Path
) -> None:
    deadly.write_text("demo")
    index.upload(wheel("demo", "1.0"))
    index.upload(wheel("fine", "1.0"))

    assert run_once(cloud) == {"demo": "failed", "fine": "updated"}
    assert dead_projects(cloud) == ["demo"]
    report = status(cloud)
    assert report["serial"] == index.serial, "the dead job must not hold back the serial"
    assert "crashed" in report["lagging"]["demo"]["reason"]

    # An operator fixes the cause, and redrives the dead letter from the console.
    deadly.unlink()
    assert cloud.redrive() == 1
    cloud.pump(environments=1)
    assert files(cloud, "demo") == ["demo-1.0-py3-none-any.whl"]
    assert dead_projects(cloud) == []

    assert cloud.tick("FinalizerFunction")["projects"] == {"demo": "updated"}
    assert status(cloud)["lagging"] == {}

    # Or the operator lets the planner retry the project; the dead letter is then deleted.
    deadly.write_text("demo")
    index.upload(wheel("demo", "2.0"))
    run_once(cloud)
    assert dead_projects(cloud) == ["demo"]
    deadly.unlink()
    assert run_once(cloud, {"retry": True}) == {"demo": "updated"}
    assert (status(cloud)["lagging"], dead_projects(cloud)) == ({}, [])
    assert len(files(cloud, "demo")) == 2


def test_a_job_stays_invisible_while_its_worker_runs(
    cloud: LocalCloud, index: Index, upstream: Server
) -> None:
    index.upload(wheel("quick", "1.0"))
    run_once(cloud)  # the worker is warm
    index.add_file("large", "large-1.0.tar.gz", size=50_000)
    upstream.faults.add(Fault(Slow(rate=10_000), "/packages/"))
    cloud.invoke("PlannerFunction", {"projects": ["large"]})

    pumped = cloud.pump(environments=2, wait_seconds=10)

    assert (pumped.batches, pumped.succeeded, pumped.remaining) == (1, 1, 0)
