"""Core metadata, and what the mirror keeps of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, TypeVar

from msgspec import Struct
from msgspec.structs import replace
from packaging.version import Version

from frumious.model import layout
from frumious.model.closure import NOTHING_NEEDED, ClosureFile, ClosureMark, Needed
from frumious.selection.closure import Closure, choose, resolve
from frumious.selection.names import AllowedProjects
from frumious.selection.requirements import dependencies_of, parse_metadata
from frumious.selection.subject import Release
from frumious.state.objects import LedgerCorrupt, NewerFormat, parse, render
from frumious.state.requirements import RequirementsFile, requirements_key
from frumious.storage.protocol import Stored
from tests.fuzz.targets.checks import PROJECT, SELECTION, check_project

if TYPE_CHECKING:
    from frumious.model.types import Key

T = TypeVar("T", bound=Struct)

_LISTED: Final = replace(SELECTION, names=(AllowedProjects(frozenset({PROJECT})),))
_RELEASES: Final = [
    Release(text, Version(text) if text != "2004d" else None, ())
    for text in ("1.0", "2.0rc1", "2004d", "1!3")
]


def _read(key: Key, data: bytes, kind: type[T]) -> T | None:
    """Parse a state file; check that it is read back as it is written."""
    try:
        value = parse(key, Stored(data, "etag"), kind)
    except (LedgerCorrupt, NewerFormat):
        return None
    assert parse(key, Stored(render(value), "etag"), kind) == value
    return value


def core_metadata(data: bytes) -> None:
    """The core metadata of a file."""
    lines, problem = parse_metadata(data)
    assert not (lines and problem)
    for environments in ((), ({"sys_platform": "linux", "python_version": "3.13"},)):
        dependencies, _ = dependencies_of(lines, environments)
        assert len(dependencies) <= len(lines)
        for each in dependencies:
            check_project(each.project)


def requirements(data: bytes) -> None:
    """What the core metadata of a project's files requires."""
    value = _read(requirements_key(PROJECT), data, RequirementsFile)
    if value is not None:
        for digest in value.files:
            assert {*value.of(digest)} <= {*value.lines}
        dependencies_of(value.lines, ())


def closure(data: bytes) -> None:
    """The dependencies of all projects."""
    value = _read(layout.CLOSURE, data, ClosureFile)
    if value is None:
        return
    options = Closure(max_projects=2)
    needed = resolve(value, _LISTED, options, NOTHING_NEEDED)
    assert len(needed.projects) <= options.max_projects
    assert _read(layout.NEEDED, render(needed), Needed) == needed


def needed(data: bytes) -> None:
    """What selected projects need."""
    value = _read(layout.NEEDED, data, Needed)
    if value is None:
        return
    assert ClosureMark.of(value).needed == value.fingerprint
    assert value.keeping(value).fingerprint == value.fingerprint
    for project, needs in value.projects.items():
        check_project(project)
        for latest in (True, False):
            choose(needs, _RELEASES, latest=latest)


TARGETS: Final = (core_metadata, requirements, closure, needed)
