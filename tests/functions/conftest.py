"""The real functions on the local stack, with the fake upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localcloud import LocalCloud, Runtime

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.upstream import Server


def make_runtime(folder: Path, upstream: Server) -> Runtime:
    """Return what the functions run in, with a mirror.conf for the fake upstream."""
    config = folder / "mirror.conf"
    config.write_text(
        "[mirror]\ndirectory = /bucket\nallow-non-https = true\nworkers = 4\n"
        "diff-file = {{mirror_directory}}/mirrored-files\n"
    )
    return Runtime(config=config, environment={"FRUMIOUS_MASTER": upstream.url})


@pytest.fixture
def cloud(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(runtime=make_runtime(tmp_path, upstream)) as cloud:
        yield cloud
