"""The benches run. Requests are checked; seconds and bytes are for people to judge."""

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
    done = bench("bench.requests")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.timeout(300)
def test_an_idle_month_costs_what_the_estimate_says_and_no_more_than_the_goal() -> None:
    done = bench("bench.idle")

    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.servers
@pytest.mark.timeout(300)
def test_peers_are_compared() -> None:
    done = bench("bench.peers", "--small", "--rounds", "1")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "S3, 5% changed" in done.stdout


def test_an_audit_makes_no_more_requests_than_the_design_allows() -> None:
    done = bench("bench.verify", "--files", "5000", "--projects", "100")

    assert done.returncode == 0, done.stdout + done.stderr


def test_bundles_make_no_more_requests_than_the_design_allows() -> None:
    done = bench("bench.bundles", "--projects", "300", "--changes", "20")

    assert done.returncode == 0, done.stdout + done.stderr


def test_snapshots_are_measured() -> None:
    done = bench("bench.snapshots", "--projects", "2000", "--changes", "20")

    assert done.returncode == 0, done.stdout + done.stderr
    assert "61 GET, 160 PUT" in done.stdout, "two GET and four PUT for a page's first change"
    assert "61 GET, 80 PUT" in done.stdout, "two GET for each later one"


def test_starts_are_measured() -> None:
    done = bench("bench.start", "--rounds", "1")

    assert "INIT of the worker" in done.stdout, done.stderr


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_the_worker_is_measured() -> None:
    done = bench("bench.worker", "--small", "--rounds", "1")

    assert "CPU for each new file" in done.stdout, done.stderr


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_every_step_of_planner_and_finalizer_is_measured() -> None:
    done = bench("bench.scale", "--projects", "600")

    assert "finalizer: all results" in done.stdout, done.stderr


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_the_closure_is_measured() -> None:
    done = bench("bench.closure", "--projects", "50")

    assert "the walk through 50 projects" in done.stdout, done.stderr


@pytest.mark.servers
@pytest.mark.timeout(240)
def test_filters_are_measured() -> None:
    done = bench("bench.filters", "--projects", "1000", "--rounds", "1")

    assert "a project with 2,000 files" in done.stdout, done.stderr
