"""What a function keeps from one invocation to the next."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

import pytest

from frumious_lambda.environment import Environment
from localcloud import FunctionFailed, LocalCloud
from tests.functions.conftest import make_runtime
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server
    from tests.world import Aws


def test_no_task_outlives_its_invocation(
    aws: Aws, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "mirror.conf"
    config.write_text("[mirror]\nstorage-backend = s3\ndirectory = /bucket\n")
    monkeypatch.setenv("FRUMIOUS_CONFIG", str(config))
    monkeypatch.setenv("POWERTOOLS_METRICS_NAMESPACE", "test")
    environment = Environment()

    async def leave_a_task() -> None:
        asyncio.get_running_loop().create_task(asyncio.sleep(60))

    with environment.in_background(asyncio.sleep(60)):
        environment.run(leave_a_task())

    async def other_tasks() -> int:
        return len(asyncio.all_tasks()) - 1

    assert environment.run(other_tasks()) == 0
    environment.close()


def test_a_broken_configuration_object_stops_the_planner_and_nothing_else(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    runtime = make_runtime(tmp_path, upstream)
    text = runtime.config.read_text()
    parameters = {"ConfigUri": "s3://settings/mirror.conf"}
    with LocalCloud(parameters=parameters, runtime=runtime, on_line=lambda _: None) as cloud:
        cloud.s3.create_bucket(Bucket="settings")

        def configure(text: str) -> None:
            cloud.s3.put_object(Bucket="settings", Key="mirror.conf", Body=text.encode())

        configure(text)
        index.upload(wheel("demo", "1.0"))
        cloud.tick("PlannerFunction")
        cloud.pump()
        assert cloud.tick("FinalizerFunction")["projects"] == {"demo": "updated"}

        index.upload(wheel("demo", "2.0"))
        cloud.tick("PlannerFunction")
        configure(f"{text}json = maybe\n")
        with pytest.raises(FunctionFailed, match=r"s3://settings/mirror.conf is invalid"):
            cloud.tick("PlannerFunction")
        cloud.pump()
        assert cloud.tick("FinalizerFunction")["projects"] == {"demo": "updated"}

        # A worker that starts anew has no earlier configuration: it returns its jobs.
        index.upload(wheel("demo", "3.0"))
        configure(text)
        cloud.tick("PlannerFunction")
        configure(f"{text}json = maybe\n")
        cloud.stop_functions()
        assert cloud.pump().failed == 1
        assert "batch is returned" in [
            line.fields.get("message") for line in cloud.logs.lines if line.fields
        ]

        # A valid one applies at once, without a deployment.
        configure(f"{text}[plugins]\nenabled = blocklist_project\n[blocklist]\npackages = demo\n")
        summary = cloud.invoke("PlannerFunction", {"dry_run": True})
        assert set(summary["plan"]["removed"]) == {"demo"}


def test_a_list_that_was_never_read_stops_plans_but_no_deletion(
    upstream: Server, index: Index, tmp_path: Path
) -> None:
    runtime = make_runtime(tmp_path, upstream)
    with runtime.config.open("a") as file:
        file.write("[plugins]\nenabled = project_locks\n[locks]\nfiles = s3://lists/team.txt\n")
    with LocalCloud(runtime=runtime, on_line=lambda _: None) as cloud:
        cloud.s3.create_bucket(Bucket="lists")
        cloud.s3.put_object(Bucket="lists", Key="team.txt", Body=b"demo\n")
        index.upload(wheel("demo", "1.0"))
        index.upload(wheel("third", "1.0"))
        cloud.tick("PlannerFunction")
        cloud.pump()
        assert cloud.tick("FinalizerFunction")["projects"] == {"demo": "updated"}

        cloud.s3.delete_object(Bucket="lists", Key="team.txt")
        cloud.tick("PlannerFunction")  # by the last good copy
        with runtime.config.open("a") as file:
            file.write("  s3://lists/other.txt\n")
        cloud.stop_functions()
        with pytest.raises(FunctionFailed, match=r"the list 's3://lists/other.txt' cannot be read"):
            cloud.tick("PlannerFunction")
        cloud.invoke("PlannerFunction", {"delete": ["demo"]})
        cloud.pump()
        assert cloud.tick("FinalizerFunction")["projects"] == {"demo": "removed"}
