"""Mirrors that both programs began, made once: tests go on in copies."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import pytest

from tests.bandersnatch.places import Bucket, BucketHouse, Folder
from tests.bandersnatch.programs import Mirrors, Run
from tests.bandersnatch.upstream import Upstream
from tests.servers.process import folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bandersnatch.places import Place

_COSTS: Final = pytest.StashKey[list[tuple[str, Run]]]()


class Begun:
    """The earlier upstream mirrored by either, from nothing, at places of one kind."""

    def __init__(
        self, mirrors: Mirrors, place: Callable[[], Place], tell: Callable[[str, Run], None]
    ) -> None:
        self.mirrors = mirrors
        self.place = place  # an empty one
        self.upstream = mirrors.upstream
        self.tell = tell

    @property
    def hash_index(self) -> bool:
        return "hash-index = true" in self.mirrors.options

    @cached_property
    def by_bandersnatch(self) -> Place:
        place = self.place()
        run = self.mirrors.bandersnatch(place, self.upstream.earlier)
        self.tell("bandersnatch, from nothing", run)
        return place

    @cached_property
    def by_frumious(self) -> Place:
        place = self.place()
        run = self.mirrors.frumious(place, self.upstream.earlier)
        self.tell("frumious, from nothing", run)
        return place


@pytest.fixture(scope="session")
def pypi() -> Iterator[Upstream]:
    """The upstream of all these mirrors."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def ground() -> Iterator[Path]:
    """A folder in memory, where there is some."""
    with folder("bandersnatch") as path:
        yield path


@pytest.fixture(
    scope="session",
    params=[
        pytest.param(("folder", ""), id="folder"),
        pytest.param(("folder", "hash-index = true\njson = true"), id="folder, hash-index"),
        pytest.param(("bucket", ""), id="bucket"),
    ],
)
def begun(
    request: pytest.FixtureRequest, pypi: Upstream, ground: Path, pytestconfig: pytest.Config
) -> Iterator[Begun]:
    """Both mirrors of the earlier upstream, in folders or in buckets."""
    kind, options = request.param
    name = request.node.callspec.id if hasattr(request.node, "callspec") else kind

    def tell(what: str, run: Run) -> None:
        costs = pytestconfig.stash.setdefault(_COSTS, [])
        costs.append((f"{what} ({name})", run))

    mirrors = Mirrors(pypi, ground, options)
    if kind == "folder":
        yield Begun(mirrors, lambda: Folder(ground), tell)
        return
    house = BucketHouse(ground)
    try:
        yield Begun(mirrors, lambda: Bucket(house), tell)
    finally:
        house.stop()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Tell what the runs cost, one beside the other."""
    for what, run in config.stash.get(_COSTS, []):
        terminalreporter.write_line(
            f"{what}: {run.seconds:.1f} s, {len(run.downloads)} files fetched,"
            f" {run.requests} requests to S3"
        )
