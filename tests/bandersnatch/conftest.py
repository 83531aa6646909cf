"""Mirrors that both programs began, created once; tests continue in copies."""

from __future__ import annotations

from functools import cached_property
from typing import TYPE_CHECKING, Final

import pytest

from tests.bandersnatch.programs import Mirrors, Run
from tests.bandersnatch.targets import Bucket, Folder, RecordingMoto
from tests.bandersnatch.upstream import Upstream
from tests.servers.process import temporary_folder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.bandersnatch.targets import Target

_COSTS: Final = pytest.StashKey[list[tuple[str, Run]]]()


class Begun:
    """The earlier upstream, mirrored by each program into an empty target of one kind."""

    def __init__(
        self, mirrors: Mirrors, new_target: Callable[[], Target], report: Callable[[str, Run], None]
    ) -> None:
        self.mirrors = mirrors
        self.new_target = new_target
        self.upstream = mirrors.upstream
        self.report = report

    @property
    def hash_index(self) -> bool:
        return "hash-index = true" in self.mirrors.options

    @cached_property
    def by_bandersnatch(self) -> Target:
        target = self.new_target()
        run = self.mirrors.bandersnatch(target, self.upstream.earlier)
        self.report("bandersnatch, into an empty target", run)
        return target

    @cached_property
    def by_frumious(self) -> Target:
        target = self.new_target()
        run = self.mirrors.frumious(target, self.upstream.earlier)
        self.report("frumious, into an empty target", run)
        return target


@pytest.fixture(scope="session")
def pypi() -> Iterator[Upstream]:
    """The upstream of all mirrors."""
    with Upstream() as upstream:
        yield upstream


@pytest.fixture(scope="session")
def work_folder() -> Iterator[Path]:
    """A temporary folder, in memory if possible."""
    with temporary_folder("bandersnatch") as path:
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
    request: pytest.FixtureRequest, pypi: Upstream, work_folder: Path, pytestconfig: pytest.Config
) -> Iterator[Begun]:
    """Each program's mirror of the earlier upstream, in a folder or in a bucket."""
    kind, options = request.param
    name = request.node.callspec.id if hasattr(request.node, "callspec") else kind

    def report(title: str, run: Run) -> None:
        costs = pytestconfig.stash.setdefault(_COSTS, [])
        costs.append((f"{title} ({name})", run))

    mirrors = Mirrors(pypi, work_folder, options)
    if kind == "folder":
        yield Begun(mirrors, lambda: Folder(work_folder), report)
        return
    moto = RecordingMoto(work_folder)
    try:
        yield Begun(mirrors, lambda: Bucket(moto), report)
    finally:
        moto.stop()


def pytest_terminal_summary(
    terminalreporter: pytest.TerminalReporter, config: pytest.Config
) -> None:
    """Print what each program's runs cost."""
    for title, run in config.stash.get(_COSTS, []):
        terminalreporter.write_line(
            f"{title}: {run.seconds:.1f} s, {len(run.downloads)} files downloaded,"
            f" {run.requests} requests to S3"
        )
