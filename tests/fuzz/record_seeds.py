"""Seeds of the targets in `targets.records` and `targets.private`, and of CVSS vectors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import msgspec

from frumious.finalizing.announcements import _Announced
from frumious.model import changes, layout, merkle
from frumious.model.audits import NamedPage
from frumious.model.losses import Loss, Losses
from frumious.model.snapshots import KeptPage, Snapshot, Snapshots
from frumious.model.types import RunId
from frumious.state.objects import render
from tests.fuzz.targets.checks import PROJECT
from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Iterator

_RUN: Final = RunId("20260101T000000-1")
_VECTORS: Final = (
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:C/C:H/I:H/A:H",
    "CVSS:3.0/AV:P/AC:H/PR:H/UI:R/S:U/C:N/I:N/A:N",
    "CVSS:3.1/AV:N/AC:L/PR:N/UI:N/S:X/C:H/I:H/A:H",
    "CVSS:4.0/AV:N/AC:L",
)


def record_seeds() -> Iterator[tuple[str, bytes]]:
    """Yield the name of a target and a seed of it."""
    hour = layout.hour(1.8e9)
    losses = Losses(hours={hour: Loss(5, 7)}, refused=hour, allowance=3, allowed_until=1.8e9)
    yield "losses", render(losses)
    yield "announced", render(_Announced((layout.inbox("name"),), (_RUN,)))
    page = NamedPage(PROJECT, "Demo", serial=7, listed=True, files=1, bytes_=9)
    yield "named_pages", msgspec.json.encode([page])
    tree = merkle.Tree().append([merkle.leaf_hash(b"{}")] * 3)
    yield "feed_position", msgspec.json.encode(changes.Position.of("a", tree))
    yield from _snapshots()
    yield from (("cvss_vector", vector.encode()) for vector in _VECTORS)
    yield "private_wheel", wheel("demo", "1.0").content
    yield "private_sdist", sdist("demo", "1.0").content


def _snapshots() -> Iterator[tuple[str, bytes]]:
    first = Snapshot(created=1.8e9, fixed=1.8e9, serial=7)
    second = Snapshot(created=1.8e9, fixed=1.8e9, serial=7, as_of=1.7e9, deleting=True)
    yield "snapshots", render(Snapshots())
    yield "snapshots", render(Snapshots(snapshots={"a": first, "b-2": second}, served="a"))
    file = {
        "filename": "demo-1.0.tar.gz",
        "url": "../../packages/ab/cd/demo-1.0.tar.gz",
        "hashes": {"sha256": "ab" * 32},
        "core-metadata": {"sha256": "cd" * 32},
        "provenance": "https://pypi.example/integrity/demo/1.0/demo-1.0.tar.gz/provenance",
    }
    page: dict[str, object] = {
        "meta": {"api-version": "1.4", "_last-serial": 7},
        "name": "Demo",
        "versions": ["1.0", "2.0"],
        "files": [file, {**file, "filename": "demo-2.0.tar.gz"}],
    }
    yield "kept_page", render(KeptPage(page=page))
    yield "kept_page", render(KeptPage(page=page, withheld=("demo-1.0.tar.gz",)))
    yield "kept_page", render(KeptPage(page=None))
    yield "kept_page", render(KeptPage(page={"meta": {}, "name": "demo", "files": 7}))
