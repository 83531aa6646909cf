"""A few trials with fixed seeds; `make damage` does hundreds."""

from __future__ import annotations

import pytest

from tests.damage.__main__ import run


@pytest.mark.parametrize(
    ("place", "mirrors"),
    [("filesystem", 10), ("s3", 2), pytest.param("swift", 2, marks=pytest.mark.servers)],
)
def test_every_damage_is_found_and_repaired(place: str, mirrors: int) -> None:
    report = run(place, mirrors, seed=7)

    assert report.violations == []
    assert report.damages.total() > mirrors
