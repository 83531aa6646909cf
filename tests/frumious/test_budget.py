"""A mirror that has reached its size takes no new files, and all else goes on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.frumious.cli.test_cli import frumious
from tests.upstream import Index, Server, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

SIZE = 100_000


@pytest.fixture
def upstream() -> Iterator[Server]:
    with Server(Index()) as server:
        yield server


def run(upstream: Server, folder: Path, limit: str) -> tuple[int, str]:
    conf = folder / "mirror.conf"
    conf.write_text(
        f"[mirror]\ndirectory = {folder}/mirror\nmaster = {upstream.url}\nallow-non-https = true\n"
        "delete-after = 0\nmax-removals = 100% 0\nretry-pause = 1\n"
        f"[budget]\nmax-mirror-size = {limit}\n"
    )
    done = frumious("-c", str(conf), "mirror")
    return done.returncode, done.stdout + done.stderr


def files(folder: Path) -> set[str]:
    return {path.name.split("-py3")[0] for path in (folder / "mirror").rglob("*.whl")}


def test_a_full_mirror_takes_no_new_files_and_removals_go_on(
    upstream: Server, tmp_path: Path
) -> None:
    index = upstream.index
    for name in ("one", "two", "three", "four"):
        index.upload(wheel(name, "1.0", filling=bytes(SIZE)))

    status, shown = run(upstream, tmp_path, "250K")

    assert status == 1
    assert "the mirror has reached max-mirror-size" in shown
    assert len(files(tmp_path)) == 2, "the limit holds within a run"
    lagging = json.loads((tmp_path / "mirror/web/status.json").read_text())["lagging"]
    assert len(lagging) == 2

    gone = min(files(tmp_path))[:-4]
    index.remove_project(gone)
    index.upload(wheel("tiny", "1.0"))
    run(upstream, tmp_path, "250K")
    assert f"{gone}-1.0" not in files(tmp_path)

    frumious("-c", str(tmp_path / "mirror.conf"), "retry")
    _, shown = run(upstream, tmp_path, "1M")
    assert files(tmp_path) == {
        f"{name}-1.0" for name in ("one", "two", "three", "four", "tiny")
    } - {f"{gone}-1.0"}, shown
