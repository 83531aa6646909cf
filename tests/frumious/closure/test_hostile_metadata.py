"""Hostile core metadata costs its own project little time and memory, and others nothing."""

from __future__ import annotations

import time
import tracemalloc
from typing import TYPE_CHECKING

import pytest
from packaging.utils import canonicalize_name
from packaging.version import Version

from frumious.model.closure import (
    NOTHING_NEEDED,
    Change,
    ClosureFile,
    Dependencies,
    Dependency,
    Known,
    Need,
)
from frumious.selection.closure import Closure, choose, resolve
from frumious.selection.names import AllowedProjects
from frumious.selection.requirements import HEADERS_SIZE, dependencies_of, parse_metadata
from frumious.selection.selection import Selection
from frumious.selection.subject import Release
from tests.frumious.closure.test_worlds import Closed, upload

if TYPE_CHECKING:
    from tests.world import World

HEAD = b"Metadata-Version: 2.1\nName: evil\nVersion: 1.0\n"
ROOT = canonicalize_name("root")
MANY = b",".join(b"!=1.%d" % number for number in range(60))


def requirements(number: int) -> bytes:
    return b"".join(b"Requires-Dist: d%d>=1\n" % i for i in range(number))


@pytest.mark.parametrize(
    ("metadata", "problem"),
    [
        (HEAD + requirements(1_000_000), "no file has core metadata"),  # over 16 MiB: not stored
        (HEAD + requirements(500_000), "headers of over 1048576 bytes"),
        (HEAD + requirements(20_000), "it has 20000 requirements, over 10000"),
        (HEAD + b"Requires-Dist: lib" + b">=1," * 500 + b">=1\n", "longer than 1000 characters"),
        (HEAD + b"Requires-Dist: lib" + MANY + b"\n", "more than 50 clauses"),
        (HEAD + b"Requires-Dist: lib; " + b"(" * 500 + b"\n", "is left out"),
        (HEAD + b"Requires-Dist: \xff\xfe\n", "is not valid"),
        (b"\x00" * 100, "is not valid"),
    ],
)
def test_what_is_too_much_is_the_fault_of_its_project(
    world: World, metadata: bytes, problem: str
) -> None:
    closed = Closed(world)
    world.index.add_file("evil", "evil-1.0-py3-none-any.whl", core_metadata=metadata)
    upload(world, "app", "1.0", "lib")
    upload(world, "lib", "1.0")
    closed.configure("app", "evil")
    closed.run()
    assert closed.files() == {"app-1.0", "evil-1.0", "lib-1.0"}
    (found,) = closed.needed().problems[canonicalize_name("evil")]
    assert problem in found


def test_parsing_is_bounded() -> None:
    headers = (HEAD + requirements(10_000) + b"\n" + b"x" * HEADERS_SIZE)[:HEADERS_SIZE]
    markers = " or ".join(f"python_version == '{i}' and extra == 'e{i}'" for i in range(15))
    tracemalloc.start()
    began = time.process_time()
    lines, _ = parse_metadata(headers)
    dependencies, _ = dependencies_of([f"{line}; {markers}" for line in lines[:500]], ())
    assert (len(lines), len(dependencies)) == (10_000, 500)
    assert time.process_time() - began < 30
    assert tracemalloc.get_traced_memory()[1] < 100 * 1024**2
    tracemalloc.stop()


def test_the_choice_of_releases_is_bounded() -> None:
    releases = [Release(f"1.{i}", Version(f"1.{i}"), ()) for i in range(1500)]
    needs = [Need(f"==9.{i}", ROOT, f"lib==9.{i}") for i in range(1000)]
    began = time.process_time()
    chosen = choose(needs, releases, latest=False)
    assert not chosen.versions
    assert len(chosen.problem) <= 300
    assert time.process_time() - began < 60


def test_the_walk_is_bounded() -> None:
    names = [canonicalize_name(f"d{i}") for i in range(20_000)]
    dependencies = tuple(sorted(Dependency(name) for name in names))
    file = ClosureFile(1, {ROOT: Known(1, Dependencies("page", dependencies))})
    selection = Selection(names=(AllowedProjects(frozenset({ROOT})),))
    began = time.process_time()
    needed = resolve(file, selection, Closure(max_projects=100), NOTHING_NEEDED)
    assert len(needed.projects) == 100
    assert len(needed.left_out) == 19_900
    assert time.process_time() - began < 20


def test_the_state_of_all_projects_is_bounded() -> None:
    file = ClosureFile()
    names = [canonicalize_name(f"d{i}") for i in range(20_000)]
    many = Dependencies("page", tuple(sorted(Dependency(name) for name in names)))
    projects = {canonicalize_name(f"p{i}"): Known(1, many) for i in range(60)}
    limited = ClosureFile(1, projects).changed([])
    assert limited.projects == projects, "without a report nothing changes"
    after = file.changed(
        Change(name, 1, rewinding=False, found=known.found) for name, known in projects.items()
    )
    assert sum(len(known.found.all) for known in after.projects.values()) <= 1_000_000
    assert sum(bool(known.found.problems) for known in after.projects.values()) == 10
