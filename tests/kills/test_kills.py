"""A few kills by a fixed seed; `make kills` does hundreds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kills.places import Bucket, Folder
from tests.kills.trial import Settings, Trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kills.places import Place


@pytest.mark.parametrize("where", [Folder, Bucket])
def test_what_is_killed_again_and_again_goes_on_and_leaves_no_litter(
    where: type[Place], tmp_path: Path
) -> None:
    settings = Settings(seed=25, kills=3, projects=5, sending=0.2, length=0.8)
    report = Trial(settings, where(), tmp_path).run()

    assert report.violations == [], f"seed {report.seed}"
    assert report.kills.total() >= 3
