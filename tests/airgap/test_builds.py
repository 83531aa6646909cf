"""Builds of Python go over the gap and into another storage: files first, then their list."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING

import pytest

from tests.airgap.sides import Side, pair
from tests.builds import CPYTHON
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from tests.upstream import Index, Server

pytestmark = pytest.mark.timeout(300)

LIST = "web/python-builds/downloads.json"
HOST = "https://github.com/astral-sh/python-build-standalone/releases/download"


@pytest.fixture
def sides(upstream: Server, index: Index, tmp_path: Path) -> tuple[Side, Side, Path]:
    index.upload(wheel("one", "1.0"))
    source, target, gap = pair(tmp_path, upstream.url)
    source.run("mirror")
    return source, target, gap


def publish(source: Side, **bodies: bytes) -> None:
    """Store builds as `frumious pythons` does, and their list; others are pruned."""
    folder = source.mirror / "web/python-builds"
    listed = {}
    for name, body in bodies.items():
        path = folder / "cpython/20251014" / f"{name}.tar.gz"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(body)
        listed[name] = {
            **CPYTHON,
            "url": f"{HOST}/20251014/{name}.tar.gz",
            "sha256": hashlib.sha256(body).hexdigest(),
        }
    (source.mirror / LIST).write_text(json.dumps(listed))
    for path in folder.glob("cpython/*/*"):
        if path.name.removesuffix(".tar.gz") not in bodies:
            path.unlink()


def export(source: Side, gap: Path, code: int = 0) -> str:
    source.run("export", "--to", str(gap), "--json", code=code)
    return str(max(gap.glob("frumious-*")))


def builds(side: Side) -> dict[str, bytes]:
    return {key: body for key, body in side.objects().items() if "python-builds" in key}


def test_bundles_carry_new_builds_and_remove_pruned_ones(sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    large = bytes(2 * 1024**2)
    target.run("import", export(source, gap))
    assert builds(target) == {}

    publish(source, a=b"A", b=large)
    target.run("import", export(source, gap))
    assert target.objects() == source.objects()
    assert len(builds(target)) == 3

    publish(source, b=large, c=b"C")
    bundle = export(source, gap)
    assert sum(path.stat().st_size for path in (gap / bundle).glob("files-*")) < len(large)
    target.run("import", bundle)
    assert target.objects() == source.objects()
    assert len(builds(target)) == 3

    target.run("import", export(source, gap))
    assert target.objects() == source.objects()


def test_a_missing_or_damaged_build_keeps_only_the_builds_back(
    sides: tuple[Side, Side, Path], index: Index
) -> None:
    source, target, gap = sides
    publish(source, a=b"A")
    target.run("import", export(source, gap))
    before = builds(target)
    publish(source, a=b"A", b=b"B")
    damaged = source.mirror / "web/python-builds/cpython/20251014/b.tar.gz"
    damaged.write_bytes(b"X")
    index.upload(wheel("two", "1.0"))
    source.run("mirror")

    target.run("import", export(source, gap, code=1))
    assert builds(target) == before
    assert (target.mirror / "web/simple/two/index.v1_json").exists()

    damaged.write_bytes(b"B")
    target.run("import", export(source, gap))
    assert target.objects() == source.objects()


def test_a_list_that_names_what_nobody_has_is_refused(sides: tuple[Side, Side, Path]) -> None:
    source, target, gap = sides
    publish(source, a=b"A")
    target.run("import", export(source, gap))
    (target.mirror / "web/python-builds/cpython/20251014/a.tar.gz").unlink()
    (target.mirror / LIST).unlink()
    publish(source, a=b"A", b=b"B")
    before = target.objects()

    refused = target.run("import", export(source, gap), code=1)

    assert "neither bundle nor mirror has" in refused
    assert target.objects().keys() - before.keys() <= {
        "web/python-builds/cpython/20251014/b.tar.gz"
    }


def test_sync_to_copies_builds(sides: tuple[Side, Side, Path]) -> None:
    source, target, _ = sides
    publish(source, a=b"A", b=bytes(2 * 1024**2))
    source.run("sync-to", str(target.conf))
    assert builds(target) == builds(source)

    publish(source, b=bytes(2 * 1024**2))
    source.run("sync-to", str(target.conf))
    assert builds(target) == builds(source)

    publish(source, c=b"C")
    (source.mirror / "web/python-builds/cpython/20251014/c.tar.gz").unlink()
    before = builds(target)
    source.run("sync-to", str(target.conf), code=1)
    assert builds(target) == before
