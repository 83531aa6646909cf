"""Handlers run as Lambda runs them: warm processes, answers, errors, crashes, timeouts."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from localcloud import ExecutionEnvironment, FunctionFailed, LocalCloud, Runtime
from localcloud.environment import CHECKOUT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from localcloud.stack import Function

PLANNER = "PlannerFunction"


@pytest.fixture
def function(cloud: LocalCloud) -> Function:
    return replace(cloud.stack.functions[PLANNER], timeout=1)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def environment(function: Function, lines: list[str]) -> Iterator[ExecutionEnvironment]:
    environment = ExecutionEnvironment(function, Runtime(), lines.append)
    yield environment
    environment.close()


def test_a_handler_gets_its_event_and_context(cloud: LocalCloud) -> None:
    answer = cloud.invoke(PLANNER, {"projects": ["six"]})
    assert answer["event"] == {"projects": ["six"]}
    assert answer["arn"] == cloud.stack.functions[PLANNER].arn
    assert 890_000 < answer["remaining"] <= 900_000


def test_a_handler_sees_the_templates_variables(cloud: LocalCloud) -> None:
    variables = cloud.invoke(PLANNER, {})["environment"]
    assert variables["FRUMIOUS_BUCKET"] == cloud.bucket
    assert variables["FRUMIOUS_QUEUE_URL"] == cloud.stack.queues["JobQueue"].url
    assert variables["FRUMIOUS_CONFIG"] == str(CHECKOUT / "mirror.conf")
    assert variables["AWS_ENDPOINT_URL"] == cloud.endpoint
    assert variables["POWERTOOLS_SERVICE_NAME"] == "frumious-local-planner"


def test_a_handler_sees_nothing_of_this_machines_environment(
    stub_template: Path, monkeypatch: pytest.MonkeyPatch, function: Function
) -> None:
    monkeypatch.setenv("FRUMIOUS_MASTER", "somewhere")
    monkeypatch.setenv("AWS_PROFILE", "mine")
    environment = ExecutionEnvironment(function, Runtime(), print)
    variables = environment.invoke({})["environment"]
    environment.close()
    assert "FRUMIOUS_MASTER" not in variables
    assert "AWS_PROFILE" not in variables


def test_a_tick_is_an_invocation_with_the_schedules_input(cloud: LocalCloud) -> None:
    assert cloud.tick(PLANNER)["event"] == {}
    with pytest.raises(LookupError, match="'WorkerFunction' has 0 schedules"):
        cloud.tick("WorkerFunction")


def test_a_warm_process_is_used_again(environment: ExecutionEnvironment) -> None:
    first, second = environment.invoke({}), environment.invoke({})
    assert first["pid"] == second["pid"]
    assert first["request"] != second["request"]


def test_an_exception_is_the_invocations_error_and_leaves_the_process_warm(
    environment: ExecutionEnvironment,
) -> None:
    with pytest.raises(FunctionFailed, match="ValueError: no such luck") as raised:
        environment.invoke({"do": "raise"})
    assert any("handler" in entry for entry in raised.value.trace)
    assert environment.alive


def test_a_crash_is_the_invocations_error(
    environment: ExecutionEnvironment, lines: list[str]
) -> None:
    with pytest.raises(FunctionFailed, match=r"Runtime\.ExitError: .* status 3"):
        environment.invoke({"do": "crash"})
    assert lines == ["last words"]


def test_after_a_crash_the_next_invocation_is_a_cold_start(cloud: LocalCloud) -> None:
    with pytest.raises(FunctionFailed):
        cloud.invoke(PLANNER, {"do": "crash"})
    assert cloud.invoke(PLANNER, {"projects": []})["event"] == {"projects": []}
    texts = [line.text for line in cloud.logs.lines]
    assert texts[0] == "last words"
    assert texts[1].startswith("the invocation failed: Runtime.ExitError")


def test_a_handler_is_killed_at_the_functions_timeout(environment: ExecutionEnvironment) -> None:
    started = time.monotonic()
    with pytest.raises(FunctionFailed, match=r"Sandbox\.Timedout: killed after 1 seconds"):
        environment.invoke({"do": "hang"})
    assert time.monotonic() - started < 30  # of 60 seconds
    assert not environment.alive


def test_a_module_that_cannot_be_imported_is_the_invocations_error(function: Function) -> None:
    environment = ExecutionEnvironment(replace(function, handler="gone.handler"), Runtime(), print)
    with pytest.raises(FunctionFailed, match="gone"):
        environment.invoke({})
    assert not environment.alive
    environment.close()


def test_everything_printed_is_seen_before_the_answer(
    environment: ExecutionEnvironment, lines: list[str]
) -> None:
    environment.invoke({"do": "print", "lines": 5000})
    assert len(lines) == 5000


def test_metrics_are_summed_up(cloud: LocalCloud) -> None:
    before = cloud.logs.total("Things")
    cloud.invoke(PLANNER, {"do": "count", "things": 2})
    cloud.invoke("FinalizerFunction", {"do": "count", "things": [3, 4]})
    assert cloud.logs.total("Things") - before == 9


PARENT = """
import dataclasses, os, signal, sys
from pathlib import Path
from localcloud import LocalCloud
cloud = LocalCloud(Path(sys.argv[1]))
print(cloud.invoke("PlannerFunction", {})["pid"], cloud.endpoint.rpartition(":")[2], flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_everything_dies_with_the_process_that_started_it(stub_template: Path) -> None:
    parent = subprocess.run(
        [sys.executable, "-c", PARENT, str(stub_template)],
        cwd=CHECKOUT,
        capture_output=True,
        text=True,
        check=False,
    )
    pid = int(parent.stdout.split()[0])
    for _ in range(100):
        if not _runs(pid):
            return
        time.sleep(0.05)
    pytest.fail(f"process {pid} outlived its parent")


def _runs(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat = Path(f"/proc/{pid}/stat").read_text()
    return stat.rpartition(")")[2].split()[0] != "Z"  # ended, if nobody asked for its status
