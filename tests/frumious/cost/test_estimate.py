"""Estimates: what they count, and at which prices."""

from __future__ import annotations

import math
from dataclasses import replace

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
    assert reads == 10 + 10 + 2, "manifests, files removed earlier, cursor and snapshots once"


@pytest.mark.parametrize(
    ("terabytes", "usd"),
    [(1, 1024 * 0.023), (50, 51_200 * 0.023), (51, 51_200 * 0.023 + 1024 * 0.022)],
)
def test_storage_beyond_a_tier_costs_the_next_tier_s_price(terabytes: int, usd: float) -> None:
    assert prices.S3_STORAGE.of(terabytes * 1024) == pytest.approx(usd)


def test_old_versions_of_the_root_index_are_stored_as_well() -> None:
    """Each tick with work replaces its three formats and their compressed variants."""
    busy = Workload(projects=740_000, files=1, bytes_=0.0, changes_per_day=1e9)

    (_, stored) = (item.units for item in month(busy) if item.price is prices.S3_STORAGE)
    assert stored == pytest.approx(1440 * 1.5 * 155e6 / 1024**3, rel=0.01)


@pytest.mark.parametrize(("files", "bytes_"), [(0, 0.0), (30, 0.0), (0, 30e6)])
def test_what_is_unknown_is_like_pypi_s_average(files: int, bytes_: float) -> None:
    work = Workload(projects=10, files=files, bytes_=bytes_, changes_per_day=0.0, downloads_gb=1)

    assert total(month(work)) < 4


def test_a_slower_planner_costs_less() -> None:
    slow = Workload(projects=10, files=30, bytes_=30e6, changes_per_day=0.0, planner_minutes=60)

    assert total(month(slow)) < total(month(TEN))


def test_audits_list_everything_and_read_each_page() -> None:
    full = Workload(projects=740_000, files=20e6, bytes_=4e13, changes_per_day=0.0)
    without = month(replace(full, audit_days=0))

    audited = [item for item in month(full) if "audit" in item.text]

    assert total(month(full)) - total(without) == pytest.approx(sum(i.usd for i in audited))
    listings, pages = (item.units * 7 / 30 for item in audited[:2])
    assert listings == pytest.approx(20e6 * 1.6 / 1000 + 740_000 * 4 / 1000, rel=0.3)
    assert pages == pytest.approx(740_000, rel=0.02)


def test_the_json_of_releases_is_requested_but_for_the_latest_ones() -> None:
    mirror = Workload(projects=740_000, files=20e6, bytes_=4e13, changes_per_day=5000, releases=8e6)
    with_json = replace(mirror, release_json=True)

    units = {item.text: item.units for item in bootstrap(with_json)}
    requests = units["Upstream: JSON of releases"]

    assert requests == 8e6 - 740_000
    more = total(bootstrap(with_json)) - total(bootstrap(mirror))
    assert more == pytest.approx(
        8e6 * 5e-6 + requests * 0.1 * 1769 / 1024 * prices.LAMBDA_TIME.of(1)
    )
    assert total(month(with_json)) - total(month(mirror)) == pytest.approx(5000 * 30 * 5e-6)


def test_snapshots_cost_six_requests_for_a_page_that_changes_and_two_each_time_after_that() -> None:
    """As docs/performance.md has them."""
    mirror = Workload(projects=1000, files=30_000, bytes_=6e10, changes_per_day=1)
    once = replace(mirror, projects=10**9)  # no project changes twice
    for work, kept in ((once, 30), (mirror, 1000 * (1 - math.exp(-0.03)))):
        costs = total(month(replace(work, snapshots=3))) - total(month(work))
        assert costs == pytest.approx(3 * (kept * 4 * 5e-6 + 30 * 2 * 4e-7), rel=1e-4)
    read = replace(mirror, downloads_gb=1000)
    assert total(month(replace(read, snapshots=1))) - total(month(read)) > 0.01


def test_downloads_are_billed_by_their_gigabytes() -> None:
    read = Workload(projects=10, files=30, bytes_=30e6, changes_per_day=0.0, downloads_gb=100)

    assert total(month(read)) - total(month(TEN)) > 100 * 0.085


def test_shards_cost_two_requests_for_each_that_changes_and_for_the_head() -> None:
    # In each minute 1,000 projects change, in nearly all of 16 shards.
    busy = Workload(projects=0, files=30, bytes_=30e6, changes_per_day=1000 * 1440)
    without, divided = (month(replace(busy, shards=shards)) for shards in (0, 16))
    expected = 43_200 * 17 * (5e-6 + 4e-7) + 720 * 5e-6
    assert total(divided) - total(without) == pytest.approx(expected)


def test_a_change_feed_costs_requests_at_each_tick_with_changes() -> None:
    busy = Workload(projects=10, files=30, bytes_=30e6, changes_per_day=1e9)
    without, published = (month(replace(busy, feed=feed)) for feed in (False, True))
    assert total(published) - total(without) == pytest.approx(43_200 * (4 * 5e-6 + 3 * 4e-7))
