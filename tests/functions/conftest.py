"""Fixtures: the real functions on the local stack, with the fake upstream."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localcloud import LocalCloud, Runtime
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


def make_runtime(folder: Path, upstream: Server) -> Runtime:
    """Return the functions' runtime, with a mirror.conf for the fake upstream."""
    config = folder / "mirror.conf"
    config.write_text(
        "[mirror]\ndirectory = /bucket\nstorage-backend = s3\nallow-non-https = true\n"
        "downloads = 4\ndelete-after = 0\n"
        "diff-file = {{mirror_directory}}/mirrored-files\n"
    )
    return Runtime(config=config, environment={"FRUMIOUS_MASTER": upstream.url})


@pytest.fixture
def cloud(upstream: Server, tmp_path: Path) -> Iterator[LocalCloud]:
    with LocalCloud(runtime=make_runtime(tmp_path, upstream)) as cloud:
        yield cloud


@pytest.fixture(scope="package")
def shared_index() -> Index:
    return Index()


@pytest.fixture(scope="package")
def shared_cloud(
    shared_index: Index, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalCloud]:
    """A stack for several tests: each uses its own projects, and leaves no open run."""
    with Server(shared_index) as upstream:
        runtime = make_runtime(tmp_path_factory.mktemp("shared"), upstream)
        runtime.config.write_text(runtime.config.read_text() + "max-removals = 0% 1\n")
        with LocalCloud(runtime=runtime) as cloud:
            yield cloud
