"""A short soak with a fixed seed; `make soak` runs the long ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.soak.soak import Settings, Soak

if TYPE_CHECKING:
    from pathlib import Path


@pytest.mark.filterwarnings("ignore:Sending a large body")  # the proxy sends it in one piece
def test_the_mirror_equals_upstream_after_runs_under_faults(
    tmp_path: Path,
) -> None:
    settings = Settings(
        seed=4, minutes=0, runs=3, projects=6, changes=3, workers=1, kills=0.4, upstream_faults=0.2
    )
    report = Soak(settings, tmp_path).run()

    assert report.violations == [], f"seed {report.seed}"
    assert report.figures["runs"] >= 3
    assert report.figures["kills"] > 0
    assert report.faults.total() > 10
    assert report.figures["reads of status, root index, cursor"] > 0
