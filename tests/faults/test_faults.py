"""A short trial with a fixed seed; `make faults` runs the long ones."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.faults.trial import Settings, Trial

if TYPE_CHECKING:
    from pathlib import Path


def test_the_mirror_equals_upstream_after_faults_of_all_kinds(tmp_path: Path) -> None:
    report = Trial(Settings(seed=3, jobs=120, projects=25), tmp_path).run()

    assert report.violations == [], f"seed {report.seed}"
    assert report.figures["kills"] > 0
    assert report.faults.total() > 50
    assert report.figures["files read"] > 0
