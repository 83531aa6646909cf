"""The doctor: finds what keeps a mirror from being right, beyond its pages and files.

What it finds can be repaired by itself, by a run, or by a person alone. It changes nothing.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from frumious.auditing.findings import Finding, Remedy
from frumious.auditing.folder_checks import check_folder
from frumious.auditing.state_checks import check_cursor, check_root_index, check_state
from frumious.config.choices import Backend
from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.headers import http_time
from frumious.model.snapshots import ROLLBACK
from frumious.snapshots.folder_link import linked_snapshot
from frumious.state.objects import LedgerCorrupt, NewerFormat
from frumious.state.snapshots import read_snapshots
from frumious.upstream.changelog import NoChangelog

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor

_MAX_SKEW: Final = 300  # seconds


async def diagnose(mirror: Mirror, *, locked: bool = False) -> list[Finding]:
    """Return what is wrong; `locked`: this process has locked the mirror's folder.

    Raises:
        StorageUnavailable, StorageRefused: the storage cannot be read.
    """
    findings = [
        Finding(subject="mirror.conf", problem=warning, advice="change the configuration")
        for warning in mirror.config.warnings
    ]
    if mirror.config.backend is Backend.FILESYSTEM:
        findings += check_folder(mirror, locked=locked)
        findings += [finding async for finding in _check_readers(mirror)]
    before = await mirror.storage.read(layout.CURSOR)
    findings += [finding async for finding in check_state(mirror)]
    findings += [finding async for finding in check_root_index(mirror)]
    if not any(finding.subject == layout.CURSOR for finding in findings):
        findings += [finding async for finding in check_cursor(mirror)]
        findings += [finding async for finding in _check_upstream(mirror)]
    findings += [finding async for finding in _check_clocks(mirror)]
    after = await mirror.storage.read(layout.CURSOR)
    if (before and before.etag) != (after and after.etag):
        findings.append(_other_writer(mirror))
    return findings


async def _check_readers(mirror: Mirror) -> AsyncIterator[Finding]:
    """Find out whether readers of a folder get what the last rollback gave them."""
    try:
        known = await read_snapshots(mirror.storage)
    except (LedgerCorrupt, NewerFormat):
        return  # found elsewhere
    linked = linked_snapshot(Path(mirror.config.directory))
    if linked != known.served:
        yield Finding(
            subject=ROLLBACK,
            problem=f"it lets readers get {_index(linked)}; the last rollback was to"
            f" {_index(known.served)}",
            advice="run 'frumious rollback NAME' or 'frumious rollback --live'",
        )


def _index(snapshot: str | None) -> str:
    return "the live index" if snapshot is None else f"the snapshot {snapshot!r}"


async def _check_upstream(mirror: Mirror) -> AsyncIterator[Finding]:
    """Find out whether upstream counts lower than the mirror."""
    cursor = await mirror.ledger.cursor()
    if cursor.feed.regressed:
        yield Finding(
            subject=mirror.config.master,
            problem="its change feed is gone, shorter, or another one than before",
            advice="find out why; then run 'frumious mirror --reset-serials'",
        )
    if cursor.serial is None or not cursor.changelog:
        return
    try:
        serial = await mirror.upstream.last_serial()
    except NoChangelog:
        return
    except FrumiousError as error:
        yield Finding(
            subject=mirror.config.master,
            problem=f"upstream does not answer: {error}",
            advice="check master and the network",
        )
        return
    if serial < cursor.serial:
        yield _regressed(cursor, serial, mirror)


def _regressed(cursor: Cursor, serial: int, mirror: Mirror) -> Finding:
    problem = (
        f"upstream's serial is {serial}, and the mirror has followed it up to {cursor.serial}:"
        " it was restored from a backup"
    )
    if cursor.is_regressed(mirror.clock.now()):
        return Finding(
            subject=mirror.config.master,
            problem=problem,
            advice="run 'frumious mirror --reset-serials', or 'frumious doctor --repair'",
            repair=Remedy.RESET_SERIALS,
        )
    return Finding(
        subject=mirror.config.master,
        problem=f"{problem}, or a cache is old",
        advice="run 'frumious mirror' now and in an hour; then 'frumious mirror --reset-serials' if"
        " this is still so",
    )


async def _check_clocks(mirror: Mirror) -> AsyncIterator[Finding]:

    async def upstream_time() -> float | None:
        headers = (await mirror.upstream.root_headers()).headers
        date, age = http_time(headers.get("Date", "")), headers.get("Age", "")
        if date is None or not age.isdecimal():
            return date
        # Some caches send when they got the response from upstream, and some when they send it.
        now = mirror.clock.now()
        return min(date, date + int(age), key=lambda each: abs(each - now))

    clocks = {mirror.config.master: upstream_time, "the storage": mirror.storage.server_time}
    for subject, read in clocks.items():
        now = mirror.clock.now()
        try:
            theirs = await read()
        except FrumiousError:
            continue  # found elsewhere
        if theirs is not None and abs(theirs - now) > _MAX_SKEW:
            direction = "behind" if theirs > now else "ahead of"
            yield Finding(
                subject="this machine's clock",
                problem=f"it is {abs(theirs - now):.0f} seconds {direction} that of {subject}",
                advice="synchronize the clock (NTP)",
            )


def _other_writer(mirror: Mirror) -> Finding:
    safe = mirror.config.backend is Backend.S3
    return Finding(
        subject=layout.CURSOR,
        problem="another process changed it during this check",
        advice="conditional writes keep the mirror right; check again when no run is open"
        if safe
        else "make sure that one process on one machine writes to the mirror",
    )
