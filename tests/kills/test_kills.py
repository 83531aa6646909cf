"""A few kills with a fixed seed; `make kills` does hundreds."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.kills.targets import Bucket, Folder
from tests.kills.trial import Settings, Trial

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kills.targets import Target


@pytest.mark.parametrize("target", [Folder, Bucket])
def test_a_command_that_is_killed_repeatedly_continues_and_leaves_nothing_behind(
    target: type[Target], tmp_path: Path
) -> None:
    settings = Settings(seed=25, kills=3, projects=5, sending=0.2, length=0.8)
    report = Trial(settings, target(), tmp_path).run()

    assert report.violations == [], f"seed {report.seed}"
    assert report.kills.total() >= 3
