"""The feed of advisories, and what the mirror keeps of it."""

from __future__ import annotations

import tempfile
from typing import Final

from frumious.advisories.archive import InvalidFeed, read_archive
from frumious.advisories.cvss import severity_of_vector
from frumious.advisories.osv import InvalidEntry, parse_entry
from frumious.model import layout
from frumious.model.advisories import Action, Advisories, Severity
from frumious.state.objects import LedgerCorrupt, NewerFormat, parse, render
from frumious.storage.protocol import Stored
from tests.fuzz.targets.checks import check_project

_VERSIONS: Final = ("1.0", "2.0rc1", "2004d", "1!3", None)


def osv_entry(data: bytes) -> None:
    """An entry of OSV's archive."""
    try:
        entry = parse_entry(data)
    except InvalidEntry:
        return
    projects = {project: tuple(each) for project, each in entry.projects.items()}
    _check(Advisories(projects=projects))


def osv_archive(data: bytes) -> None:
    """OSV's archive."""
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        try:
            advisories = read_archive(file, lambda _: Action.BLOCK)
        except InvalidFeed:
            return
    _check(advisories)


def advisories(data: bytes) -> None:
    """The advisories that count."""
    key = layout.advisories("0" * 32)
    try:
        value = parse(key, Stored(data, "etag"), Advisories)
    except (LedgerCorrupt, NewerFormat):
        return
    _check(value)


def _check(value: Advisories) -> None:
    key = layout.advisories("0" * 32)
    assert parse(key, Stored(render(value), "etag"), Advisories) == value
    for project in value.projects:
        check_project(project)
        found = value.of(project)
        for version in _VERSIONS:
            blocked = found.blocker_of(version)
            assert found.blocker is None or blocked is not None
            assert blocked is None or blocked in found.blocking
            found.reporters_of(version)


def cvss_vector(data: bytes) -> None:
    """The vector of a severity."""
    assert severity_of_vector(data.decode(errors="replace")) in Severity


TARGETS: Final = (osv_entry, osv_archive, advisories, cvss_vector)
