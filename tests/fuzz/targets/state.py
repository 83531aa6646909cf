"""Messages and state files: what the mirror wrote, or somebody else."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import TYPE_CHECKING, Final, cast

import msgspec

from frumious.config.attestations import AttestationPolicy, Names
from frumious.finalizing import diff_file as diff_files
from frumious.finalizing.lagging import update_lagging
from frumious.finalizing.status import Freshness, publish_status
from frumious.model import layout
from frumious.model.attestations import KnownAttestations, UnverifiedProjects
from frumious.model.audits import AuditProgress
from frumious.model.cooldown import Change, HeldBackFile, Ripening
from frumious.model.excluded import Excluded
from frumious.model.jobs import Job
from frumious.model.lists import Lists
from frumious.model.named import NamedProjects
from frumious.model.notices import Notices
from frumious.model.page_layout import PageLayout
from frumious.model.pages import File, ProjectPage
from frumious.model.private import PrivateListing
from frumious.model.runs import Cursor, Run, RunProgress, Selected
from frumious.model.types import RunId
from frumious.planning.named import settle
from frumious.planning.sweep import next_turn
from frumious.private.listing import merge
from frumious.selection.attestations import Judgement
from frumious.selection.locks import LockedReleases
from frumious.selection.subject import NO_CONTEXT, Subject
from frumious.state import inbox as inboxes
from frumious.state.audit import FoundFile
from frumious.state.ledger import LaggingFile, Ledger
from frumious.state.page_store import PageStore
from frumious.state.removed_files import RemovedFiles
from frumious.state.tombstones import Tombstone
from tests.fuzz.targets.checks import (
    PROJECT,
    SELECTION,
    InstantClock,
    MemoryStorage,
    check_key,
    check_project,
    read_back,
    run,
)

if TYPE_CHECKING:
    from frumious.storage.protocol import Storage


_NOW: Final = InstantClock().now()
_RUN: Final = RunId("20260101T000000-1")
_POLICY: Final = AttestationPolicy(Path(), required=Names(frozenset([PROJECT])))


def _check_run(name: str) -> None:
    if name:
        check_key(layout.plan(RunId(name)), layout.RUNS)
        assert layout.run_of(layout.plan(RunId(name))) == name


def job_message(data: bytes) -> None:
    """A message of the queue."""
    try:
        job = msgspec.json.decode(data, type=Job)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return
    assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job
    check_project(job.project)
    check_key(layout.tombstone(job.project), "state/tombstones/")
    _check_run(job.run)


def cursor(data: bytes) -> None:
    """The planner's cursor."""
    value = read_back(layout.CURSOR, data, Cursor)
    if value is None:
        return
    for entry in value.runs:
        _check_run(entry.run)
        value.without_lost_run(entry.run)
    freshness = Freshness.of(value, _NOW)
    storage = MemoryStorage()
    run(publish_status([], freshness, None, {}, _pages(storage), now=_NOW, changed=True))
    turn = next_turn(value.at(_NOW), _NOW, 7.0, 1000)
    assert turn.size <= 500
    assert turn.size >= 0 or value.swept_at > _NOW


def plan(data: bytes) -> None:
    """A run's plan."""
    value = read_back(layout.plan(_RUN), data, Run)
    if value is None:
        return
    for project in value.jobs:
        job = value.job(project)
        assert msgspec.json.decode(msgspec.json.encode(job), type=Job) == job
        check_project(project)


def progress(data: bytes) -> None:
    """How far a run is."""
    read_back(layout.progress(_RUN), data, RunProgress)


def lagging(data: bytes) -> None:
    """The lagging projects, as status.json shows them."""
    value = read_back(layout.LAGGING, data, LaggingFile)
    if value is None:
        return
    update_lagging(value.projects, [], {}, pause=300, now=_NOW)
    storage = MemoryStorage()
    freshness = Freshness(serial=7, upstream_serial=9, checked=_NOW, lag_seconds=1.0)
    run(
        publish_status([], freshness, None, value.projects, _pages(storage), now=_NOW, changed=True)
    )
    assert json.loads(storage.objects[layout.STATUS_JSON])["serial"] == 7


def selection(data: bytes) -> None:
    """What the mirror's pages were made by."""
    value = read_back(layout.SELECTION, data, Selected)
    if value is None:
        return
    for name in value.layouts:
        PageLayout.named(name)


def named(data: bytes) -> None:
    """The projects that somebody requested or deleted by name."""
    value = read_back(layout.NAMED, data, NamedProjects)
    if value is None:
        return
    for project in (*value.requested, *value.deleted):
        check_project(project)
    assert settle(value, SELECTION).deleted.keys() <= value.deleted.keys()


def excluded(data: bytes) -> None:
    """The projects that filters exclude by their pages."""
    value = read_back(layout.EXCLUDED, data, Excluded)
    if value is None:
        return
    for project in value.adding({PROJECT: 7}, value.filters).projects:
        check_project(project)


def private_listing(data: bytes) -> None:
    """The projects of the private directory."""
    value = read_back(layout.PRIVATE, data, PrivateListing)
    if value is None:
        return
    for project in value.planning(()).projects:
        check_project(project)
    merged = merge(PrivateListing(directory=value.directory), value, ())
    assert merged.projects.keys() == value.projects.keys()


def held_back(data: bytes) -> None:
    """The projects of which files wait until the cooldown is over."""
    value = read_back(layout.COOLDOWN, data, HeldBackFile)
    if value is None:
        return
    report = Change(PROJECT, 1.0, 2, 3, rewinding=True)
    after = value.changed([report])
    noted = Ripening().noting(after)
    assert (noted.revision, noted.due) == (after.revision, after.ripens)
    assert not noted.planning(after, math.inf).due
    for project in noted.unplanned(after):
        check_project(project)


def lists(data: bytes) -> None:
    """What the lists of the configuration pin."""
    value = read_back(layout.LISTS, data, Lists)
    if value is None:
        return
    projects = {name for each in value.top for name in each.projects}
    for project in {*projects, *LockedReleases.of_pins(value.pins, by_file=True).specifiers}:
        check_project(project)
    assert all(entry.name for entry in value.entries)
    assert value.fingerprint


def notices(data: bytes) -> None:
    """What waits for a person, which the finalizer counts in status.json."""
    value = read_back(layout.NOTICES, data, Notices)
    if value is None:
        return
    for project in (*value.absent, *value.withheld, *filter(None, value.absent.values())):
        check_project(project)
    storage = MemoryStorage({layout.NOTICES: data})
    freshness = Freshness(7, upstream_serial=9, checked=_NOW, lag_seconds=1.0, notices=3)
    run(publish_status([], freshness, None, {}, _pages(storage), now=_NOW, changed=True))
    assert json.loads(storage.objects[layout.STATUS_JSON])["notices"]["revision"] == 3


def audit(data: bytes) -> None:
    """How far an audit is."""
    value = read_back(layout.AUDIT, data, AuditProgress)
    if value is not None:
        assert value.damaged <= sum(value.counts.values())
        assert value.share >= 0


def findings(data: bytes) -> None:
    """What an audit has found."""
    value = read_back(layout.AUDIT, data, FoundFile)
    for finding in value.findings if value is not None else ():
        assert finding.kind in str(finding)
        assert finding.kind.advice


def inbox(data: bytes) -> None:
    """The reports of a batch."""
    value = read_back(layout.inbox("name"), data, inboxes._ReportsFile)
    if value is None:
        return
    pages = PageLayout()
    for report in value.reports:
        diff_files.written_keys(report.result, pages)
        diff_files.deleted_keys(report.result, pages)
        _check_run(report.job.run)
    update_lagging({}, value.reports, {}, pause=300, now=_NOW)


def own_results(data: bytes) -> None:
    """A run's results, as version 0 kept them."""
    read_back(layout.inbox("results"), data, inboxes._ResultsFile)


def removed_hashes(data: bytes) -> None:
    """The hashes of removed files."""
    read_back(layout.CURSOR, data, RemovedFiles)


def tombstone(data: bytes) -> None:
    """What is kept of a removed project."""
    read_back(layout.CURSOR, data, Tombstone)


def status(data: bytes) -> None:
    """The mirror's `status.json`, which each tick reads and replaces."""
    freshness = Freshness(serial=7, upstream_serial=9, checked=_NOW, lag_seconds=1.0)
    for changed in (False, True):
        storage = MemoryStorage({layout.STATUS_JSON: data})
        run(publish_status([], freshness, None, {}, _pages(storage), now=_NOW, changed=changed))
        json.loads(storage.objects[layout.STATUS_JSON])


def serial(data: bytes) -> None:
    """The mirror's `status`: a serial, as bandersnatch writes it."""
    storage = MemoryStorage({layout.STATUS: data})
    freshness = Freshness(serial=7, upstream_serial=9, checked=_NOW, lag_seconds=1.0)
    run(publish_status([], freshness, None, {}, _pages(storage), now=_NOW, changed=True))


def diff_file(data: bytes) -> None:
    """The diff-file of an open run, which the next tick extends."""
    lines = b"/srv/pypi/web/a\n/srv/pypi/web/b\n"
    merged = diff_files._merged(data, lines)
    assert {*lines.splitlines()} <= {*merged.splitlines()}


def _pages(storage: MemoryStorage) -> PageStore:
    opened = cast("Storage", storage)
    return PageStore(opened, PageLayout(), Ledger(opened))


def attestations(data: bytes) -> None:
    """What is known of a project's attestations."""
    value = read_back(layout.attestations(PROJECT), data, KnownAttestations)
    if value is None:
        return
    names = [name for name in value.files if "/" not in name]
    page = ProjectPage(
        name=PROJECT, files=tuple(File(filename=name, url="", hashes={}) for name in names)
    )
    subject = Subject.of(PROJECT, page, NO_CONTEXT)
    judgement = Judgement.of(subject, _POLICY, value.files, value.publishers)
    assert judgement.faults.keys() <= judgement.unproved <= {*names}


def unverified(data: bytes) -> None:
    """The projects with faults of their attestations."""
    value = read_back(layout.UNVERIFIED, data, UnverifiedProjects)
    if value is not None:
        for project in value.projects:
            check_project(project)


TARGETS = (
    attestations,
    unverified,
    job_message,
    cursor,
    plan,
    progress,
    lagging,
    selection,
    named,
    excluded,
    private_listing,
    held_back,
    lists,
    notices,
    audit,
    findings,
    inbox,
    own_results,
    removed_hashes,
    tombstone,
    status,
    serial,
    diff_file,
)
