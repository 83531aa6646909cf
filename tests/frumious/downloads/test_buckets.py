"""Logs in a bucket: those of other days are neither listed nor read."""

from __future__ import annotations

import json
from bisect import bisect_right
from datetime import date, timedelta
from functools import cache
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frumious.downloads.days import Days
from frumious.downloads.logs import keys_of
from tests.frumious.cli.test_cli import frumious
from tests.frumious.downloads.lines import as_json, packed, values

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.world import Aws, World

FIRST = date(2025, 10, 1)
LAYOUTS = [
    "AWSLogs/123456789012/CloudFront/{id}.{day}-{hour:02}.{n:08x}.gz",
    "AWSLogs/123456789012/CloudFront/{id}/{day:%Y/%m/%d}/{hour:02}/{id}.{day}-{hour:02}.{n:08x}.gz",
    "logs/year={day:%Y}/month={day:%m}/day={day:%d}/{id}.{day}-{hour:02}.{n:08x}.parquet",
    "{day:%Y/%m}/{id}.{day}-{hour:02}.{n:08x}.gz",
    "kept-2025-01-01/{id}.{day}-{hour:02}.{n:08x}.gz",
]
OTHERS = ["2025555555555/a.gz", "2026/index", "2026-12/notes", "9/access.log", "logs/access.log.gz"]


@cache
def keys(layout: str) -> list[str]:
    """Return a year of logs of two distributions."""
    return [
        layout.format(id=distribution, day=FIRST + timedelta(day), hour=hour, n=day * 31 + hour)
        for distribution in ("E1ABC", "E2DEF")
        for day in range(400)
        for hour in range(24)
    ]


class Listing:
    """Lists keys as S3 does, and counts the requests."""

    def __init__(self, keys: Sequence[str], size: int) -> None:
        self.keys = sorted(keys)
        self.size = size
        self.requests = 0

    def __call__(self, after: str) -> list[str]:
        self.requests += 1
        start = bisect_right(self.keys, after)
        return self.keys[start : start + self.size]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_a_day_of_a_year_takes_few_requests(layout: str) -> None:
    listing = Listing(keys(layout), 1000)
    days = Days(date(2026, 5, 3), date(2026, 5, 3))

    found = [*keys_of(days, listing)]

    assert found == [key for key in listing.keys if days.may_have(key)]
    assert len(found) == 2 * 26  # an hour before and one after
    assert listing.requests <= 40, "19,200 logs"


@settings(deadline=None, max_examples=50)
@given(
    layouts=st.sets(st.sampled_from(LAYOUTS), min_size=1),
    first=st.none() | st.dates(date(2025, 9, 1), date(2026, 12, 31)),
    length=st.none() | st.integers(0, 90),
    size=st.sampled_from([1, 3, 50]),
)
def test_no_log_of_the_days_is_skipped(
    layouts: set[str], first: date | None, length: int | None, size: int
) -> None:
    last = None if length is None else (first or FIRST) + timedelta(length)
    days = Days(first, last)
    made = [key for layout in layouts for key in keys(layout)[::97]]
    listing = Listing([*made, *OTHERS], size)

    assert [*keys_of(days, listing)] == [key for key in listing.keys if days.may_have(key)]


def test_logs_of_a_bucket_are_read(world: World, aws: Aws) -> None:
    s3, bucket = aws.s3, world.bucket
    prefix = "AWSLogs/123456789012/CloudFront/E1ABC"
    for hour, ip in ((8, "192.0.2.1"), (9, "192.0.2.2")):
        body = packed(as_json(values(time=f"{hour:02}:30:00", ip=ip)))
        s3.put_object(Bucket=bucket, Key=f"{prefix}.2026-11-20-{hour:02}.a.gz", Body=body)
    for day in ("2026-11-18", "2026-11-22"):  # who reads this finds damage
        s3.put_object(Bucket=bucket, Key=f"{prefix}.{day}-12.a.gz", Body=b"damaged")

    done = frumious(
        *("downloads", "six", "--from", "2026-11-20", "--to", "2026-11-20", "--json"),
        *("--logs", f"s3://{bucket}/AWSLogs/"),
    )
    answer = json.loads(done.stdout)

    assert done.returncode == 0, done.stderr
    assert answer["logs"]["read"] == 2
    assert [client["address"] for client in answer["clients"]] == ["192.0.2.1", "192.0.2.2"]


def test_a_bucket_without_logs_is_named(world: World) -> None:
    empty = frumious("downloads", "six", "--logs", f"s3://{world.bucket}/none/")
    missing = frumious("downloads", "six", "--logs", "s3://no-such-bucket/x")

    assert "there are no logs at" in empty.stderr
    assert "S3 responds NoSuchBucket for a listing of s3://no-such-bucket" in missing.stderr
    assert (empty.returncode, missing.returncode) == (1, 1)
