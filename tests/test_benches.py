"""The benches still run. Seconds and bytes are for people to look at, requests are counted."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

from localcloud.environment import CHECKOUT


def bench(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", *arguments],
        cwd=CHECKOUT,
        env={**os.environ, "PYTHONPATH": "shared"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.timeout(240)
def test_a_worker_makes_no_more_requests_than_the_design_allows() -> None:
    said = bench("bench.requests")

    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_every_step_of_planner_and_finalizer_is_measured() -> None:
    said = bench("bench.scale", "--projects", "600")

    assert "finalizer: all results" in said.stdout, said.stderr
