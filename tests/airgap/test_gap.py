"""A few rounds with a fixed seed; `make air-gap` does fifty."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.airgap.isolated import Isolated, namespace
from tests.airgap.sides import pair
from tests.airgap.trial import FAULTS, Trial
from tests.installers import PIP, UV, install
from tests.test_lock_files import serving
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

pytestmark = [
    pytest.mark.timeout(900),
    pytest.mark.skipif(isinstance(namespace(), str), reason=str(namespace())),
]


def test_bundles_alone_keep_a_mirror_in_step_whatever_happens_to_them(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    trial = Trial(tmp_path, index, upstream.url, seed=17)
    trial.run(len(FAULTS), print)
    assert trial.counts["refused"] >= 8


def test_installers_install_from_a_mirror_that_never_had_a_network(
    index: Index, upstream: Server, tmp_path: Path
) -> None:
    index.upload(wheel("demo", "1.0", requires=["other-one"]))
    index.upload(wheel("other-one", "2.0"))
    source, target, gap = pair(tmp_path, upstream.url)
    source.run("mirror")
    source.run("export", "--to", str(gap))
    code, output = Isolated(target.conf, "import", str(gap)).wait()
    assert code == 0, output
    with serving(target.conf) as url:
        for installer in (PIP, UV):
            folder = tmp_path / installer[-2]
            done = install(installer, url, folder, "demo")
            assert done.returncode == 0, done.stderr
            assert (folder / "other_one/__init__.py").is_file()
