"""The root index in shards: each mirror has those of its own configuration."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.airgap.sides import pair
from tests.root_shards import FOLDER, problems
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.airgap.sides import Side
    from tests.upstream import Index, Server

ON = "root-index-shards = 16\n"


def configure(side: Side, shards: str) -> None:
    lines = [
        line
        for line in side.conf.read_text().splitlines()
        if not line.startswith("root-index-shards")
    ]
    side.conf.write_text("\n".join(lines).replace("[mirror]", f"[mirror]\n{shards}"))


@pytest.fixture
def sides(tmp_path: Path, upstream: Server) -> tuple[Side, Side, Path]:
    return pair(tmp_path, upstream.url)


@pytest.mark.parametrize("shards", ["", ON])
def test_an_import_keeps_the_shards_of_its_own_mirror_in_step(
    index: Index, sides: tuple[Side, Side, Path], shards: str
) -> None:
    source, target, gap = sides
    configure(source, shards)
    for number, own in enumerate((ON, ON, "root-index-shards = 256\n", "")):
        index.upload(wheel("demo", f"{number}.0"))
        index.upload(wheel(f"new-{number}", "1.0"))
        if number == 1:
            index.remove_project("new-0")
        source.run("mirror")
        source.run("export", "--since", "last" if number else "0", "--to", str(gap))
        configure(target, own)
        target.run("import", str(gap))

        expected = 16 if own == ON else 256 if own else 0
        assert problems(target.objects(), expected) == []


def test_named_projects_go_into_shards(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    for name in ("demo", "other"):
        index.upload(wheel(name, "1.0"))
    source.run("mirror")
    configure(target, ON)
    for name in ("demo", "other"):
        source.run("export", "--projects", name, "--to", str(gap / name))
        target.run("import", str(gap / name))

        assert problems(target.objects(), 16) == []


def test_sync_to_writes_shards(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, _ = sides
    configure(source, ON)
    configure(target, ON)
    for version in ("1.0", "2.0"):
        index.upload(wheel("demo", version))
        source.run("mirror")
        source.run("sync-to", str(target.conf))

        assert problems(target.objects(), 16) == []
        shards = {key: body for key, body in source.objects().items() if key.startswith(FOLDER)}
        assert shards.items() <= target.objects().items()


def test_shards_are_no_part_of_a_bundle(index: Index, sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    index.upload(wheel("demo", "1.0"))
    configure(source, ON)
    source.run("mirror")
    source.run("export", "--since", "0", "--to", str(gap))
    target.run("import", str(gap))

    assert problems(target.objects(), 0) == []
    assert json.loads(target.run("verify", "--json"))["found"] == {}
