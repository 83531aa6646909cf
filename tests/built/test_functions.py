"""The built functions, run as Lambda runs them: each event of `events/` once.

Lambda's Python with nothing but what Lambda brings, the built layer, the built code, AWS's own
runtime client and the built template's wiring. The layer's extensions are for arm64; elsewhere
aiohttp and its friends fall back to pure Python.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from localcloud import LocalCloud, Runtime
from tests.upstream import Index, Server, wheel

from .conftest import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.upstream import File

    from .conftest import Build

# Without the fixtures: the first test waits for the environments and the build.
pytestmark = pytest.mark.timeout(60, func_only=True)


def event(function: str) -> Any:
    return json.loads((CHECKOUT / f"events/{function}.json").read_text())


@pytest.fixture
def index() -> Index:
    return Index()


@pytest.fixture
def file(index: Index) -> File:
    """The one file of the project that the events name."""
    return index.upload(wheel("sampleproject", "4.0.0"))


@pytest.fixture
def cloud(build: Build, index: Index, file: File, tmp_path: Path) -> Iterator[LocalCloud]:
    shipped = (build.layer / "mirror.conf").read_text()
    config = tmp_path / "mirror.conf"  # the fake upstream speaks plain HTTP
    config.write_text(shipped.replace("[mirror]", "[mirror]\nallow-non-https = true"))
    native = tmp_path / "native"
    native.mkdir()
    (native / "msgspec").symlink_to(build.msgspec)
    with Server(index) as upstream:
        runtime = Runtime(
            interpreter=build.interpreter,
            python_path=(native, build.python_path),
            config=config,
            environment={"FRUMIOUS_MASTER": upstream.url},
        )
        with LocalCloud(build.template, runtime=runtime) as cloud:
            yield cloud


def stored(cloud: LocalCloud, key: str) -> bytes:
    return cloud.s3.get_object(Bucket=cloud.bucket, Key=key)["Body"].read()


def keys(cloud: LocalCloud) -> set[str]:
    listed = cloud.s3.list_objects_v2(Bucket=cloud.bucket).get("Contents", [])
    return {one["Key"] for one in listed}


def test_the_planner_sends_a_job(cloud: LocalCloud) -> None:
    answer = cloud.invoke("PlannerFunction", event("planner"))

    assert answer["jobs"] == 1
    plan = json.loads(stored(cloud, f"state/runs/{answer['run']}/plan.json"))
    assert list(plan["jobs"]) == ["sampleproject"]
    url = cloud.stack.functions["PlannerFunction"].environment["FRUMIOUS_QUEUE_URL"]
    (message,) = cloud.sqs.receive_message(QueueUrl=url)["Messages"]
    job = json.loads(message["Body"])
    assert job["run"] == answer["run"]
    assert job["project"] == "sampleproject"


def test_the_worker_stores_files_and_pages(cloud: LocalCloud, file: File) -> None:
    job = json.loads(event("worker")["Records"][0]["body"])
    cursor = {"version": 1, "serial": None, "runs": [{"run": job["run"]}]}
    body = json.dumps(cursor).encode()
    cloud.s3.put_object(Bucket=cloud.bucket, Key="state/cursor.json", Body=body)

    answer = cloud.invoke("WorkerFunction", event("worker"))

    assert answer == {"batchItemFailures": []}
    assert stored(cloud, f"web{file.path}") == wheel("sampleproject", "4.0.0").content
    page = json.loads(stored(cloud, "web/simple/sampleproject/index.v1_json"))
    assert [one["filename"] for one in page["files"]] == [file.filename]
    assert file.filename.encode() in stored(cloud, "web/simple/sampleproject/index.html")


def test_the_finalizer_runs_without_an_open_run(cloud: LocalCloud) -> None:
    assert cloud.invoke("FinalizerFunction", event("finalizer")) == {
        "closed": [],
        "open": 0,
        "projects": {},
        "errors": {},
    }


def test_a_run_passes_through_all_functions(cloud: LocalCloud, file: File) -> None:
    run = cloud.invoke("PlannerFunction", event("planner"))["run"]
    cloud.pump()
    answer = cloud.invoke("FinalizerFunction", event("finalizer"))

    (closed,) = answer["closed"]
    assert closed["run"] == run
    assert answer["projects"] == {"sampleproject": "updated"}
    assert answer["open"] == 0
    assert f"web{file.path}" in keys(cloud)
    root = json.loads(stored(cloud, "web/simple/index.v1_json"))
    assert [project["name"] for project in root["projects"]] == ["sampleproject"]


def test_the_auditor_finds_nothing_wrong_with_what_the_functions_stored(cloud: LocalCloud) -> None:
    cloud.invoke("PlannerFunction", event("planner"))
    cloud.pump()
    cloud.invoke("FinalizerFunction", event("finalizer"))

    answer = cloud.invoke("AuditorFunction", event("auditor"))

    assert (answer["phase"], answer["projects"], answer["found"]) == ("done", 1, {})
