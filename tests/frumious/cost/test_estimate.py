"""Estimates: what they count, and at which prices."""

from __future__ import annotations

import pytest

from frumious.cost import prices
from frumious.cost.estimate import Workload, bootstrap, month, total

TEN = Workload(projects=10, files=30, bytes_=30e6, changes_per_day=0.0, objects_per_file=1.0)


def test_filling_a_mirror_counts_the_requests_that_the_worker_makes() -> None:
    """The same batch is counted by the server in `bench.requests`."""
    items = bootstrap(TEN)

    writes = sum(item.units for item in items if item.price is prices.S3_WRITE)
    reads = sum(item.units for item in items if item.price is prices.S3_READ)
    assert writes == 10 * 4 + 30 + 1, "pages, files and one result"
    assert reads == 10 + 2, "manifests, and the state once"


@pytest.mark.parametrize(
    ("terabytes", "usd"),
    [(1, 1024 * 0.023), (50, 51_200 * 0.023), (51, 51_200 * 0.023 + 1024 * 0.022)],
)
def test_storage_beyond_a_tier_costs_the_next_tier_s_price(terabytes: int, usd: float) -> None:
    assert prices.S3_STORAGE.of(terabytes * 1024) == pytest.approx(usd)


def test_a_slower_planner_costs_less() -> None:
    slow = Workload(projects=10, files=30, bytes_=30e6, changes_per_day=0.0, planner_minutes=60)

    assert total(month(slow)) < total(month(TEN))


def test_downloads_are_billed_by_their_gigabytes() -> None:
    read = Workload(projects=10, files=30, bytes_=30e6, changes_per_day=0.0, downloads_gb=100)

    assert total(month(read)) - total(month(TEN)) > 100 * 0.085
