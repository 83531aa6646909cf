"""Prepares repairs, and finds out what they came to.

A repair withholds what is damaged, and plans a job for each project, which fetches and publishes
it as any other job does.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING, Final, cast

from frumious.auditing.confirm import (
    check_blob,
    confirm_orphans,
    confirm_pages,
    named_blobs,
)
from frumious.auditing.rewrite import has_wrong_headers, rewrite
from frumious.auditing.root_check import check_entries, check_root_pages, is_outdated
from frumious.auditing.simple_all_check import (
    left_damaged,
    unneeded,
    withhold_simple_all,
)
from frumious.auditing.withhold import withhold
from frumious.concurrency import in_groups
from frumious.model import layout
from frumious.model.audits import Kind
from frumious.model.plans import Plan, Reason
from frumious.simple.values import InvalidPage
from frumious.state.objects import LedgerCorrupt
from frumious.state.page_store import UnreadableManifest

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.audits import Finding
    from frumious.model.types import Key

# Of these an object is stored, and is not what it should be.
_WRONG: Final = frozenset(
    {Kind.WRONG_SIZE, Kind.WRONG_HASH, Kind.WRONG_METADATA, Kind.WRONG_PROVENANCE, Kind.WRONG_TYPE}
)
_ENTRIES: Final = frozenset({Kind.UNLISTED, Kind.WRONG_ENTRY})
_ROOT: Final = _ENTRIES | {Kind.WRONG_ROOT, Kind.OLD_ROOT}
_DELETED_AT_ONCE: Final = 100


class Outcome(StrEnum):
    """What became of a finding."""

    REPAIRED = "repaired"
    LOST = "lost"  # upstream no longer has it: the page does not name it any more
    DAMAGED = "damaged"  # as before


@dataclass(frozen=True, slots=True)
class Repaired:
    """A finding, and what became of it."""

    finding: Finding
    outcome: Outcome


async def prepare(findings: Iterable[Finding], mirror: Mirror, *, deep: bool) -> Plan:
    """Write wrong headers again, withhold what is damaged, and return the plan for the projects.

    Jobs may take pages that are older than the mirror's, but none that are older than the root
    index says, or than earlier jobs have to reach: a damaged page may have any serial. What the
    index lacks is not that old.

    With `deep`, as the audit was, all bytes are read of what it has not looked at.

    Raises:
        Conflict: a job has published one of the projects since.
    """
    findings = [*findings]
    await withhold_simple_all(
        (each for each in findings if each.kind is Kind.DAMAGED_SIMPLE_ALL), mirror
    )
    wrong_bytes = await rewrite(findings, mirror)
    projects = _by_project(
        each for each in findings if each.kind is not Kind.WRONG_TYPE or each.key in wrong_bytes
    )

    async def prepare_project(project: NormalizedName) -> None:
        found = projects[project]
        damaged = {each.key for each in found if each.kind.is_content or each.key in wrong_bytes}
        wrong = {each.key for each in found if each.key in damaged and each.kind in _WRONG}
        await withhold(project, damaged, wrong, mirror, deep=deep)

    await in_groups(prepare_project(project) for project in sorted(projects))
    unselected = {project for project in projects if not mirror.selection.wants(project)}
    # Of these, what waits for its removal stays, and what has left does not come back.
    left = {project for project in unselected if not await _has_page(project, mirror)}
    planned = frozenset(projects.keys() - left)
    serials, listed = await _serials(planned, mirror)
    return Plan(
        jobs=serials,
        reasons=dict.fromkeys(planned, Reason.DAMAGED),
        recovering=planned,
        rewinding=listed,
        named=planned & unselected,
    )


async def outcomes(findings: Sequence[Finding], mirror: Mirror) -> list[Repaired]:
    """Look at what was damaged again."""
    projects = _by_project(findings)

    async def look(project: NormalizedName) -> list[Repaired]:
        blobs = await named_blobs(project, mirror)
        looked: list[Repaired] = []
        for finding in projects[project]:
            if finding.kind.is_content:
                outcome = Outcome.LOST
                if (blob := blobs.get(finding.key)) is not None:
                    is_right = await check_blob(project, blob, mirror, deep=True) is None
                    outcome = Outcome.REPAIRED if is_right else Outcome.DAMAGED
                looked.append(Repaired(finding, outcome))
        return looked

    results = await _look_at_pages(findings, mirror)
    for group in await in_groups(look(project) for project in sorted(projects)):
        results += group
    return results


async def _look_at_pages(findings: Sequence[Finding], mirror: Mirror) -> list[Repaired]:
    """Look at pages, the root index and headers again."""
    pages = {
        cast("NormalizedName", each.project)
        for each in findings
        if each.project and not each.kind.is_content and each.kind not in _ROOT
    }
    damaged = {each.key for each in await confirm_pages(pages, mirror)}
    damaged |= {each.key for each in await check_root_pages(mirror)}
    in_second = [each for each in findings if each.kind is Kind.DAMAGED_SIMPLE_ALL]
    damaged |= await left_damaged(in_second, mirror)
    entries = {each.project for each in findings if each.kind in _ENTRIES}
    unlisted = {
        each.project for each in await check_entries(cast("set[NormalizedName]", entries), mirror)
    }
    results: list[Repaired] = []
    for finding in findings:
        if finding.kind in _ENTRIES:
            is_left = finding.project in unlisted
        elif finding.kind is Kind.WRONG_TYPE:
            is_left = await has_wrong_headers(finding.key, mirror)
        elif finding.kind is Kind.OLD_ROOT:
            is_left = await is_outdated(mirror) is not None
        elif not finding.kind.is_content:
            is_left = finding.key in damaged
        else:
            continue
        results.append(Repaired(finding, Outcome.DAMAGED if is_left else Outcome.REPAIRED))
    return results


async def delete_orphans(keys: Collection[Key], mirror: Mirror) -> list[Key]:
    """Delete files that no page names, looking again right before; return which they were."""
    deleted: list[Key] = []
    remaining = sorted(keys)
    for start in range(0, len(remaining), _DELETED_AT_ONCE):
        group = remaining[start : start + _DELETED_AT_ONCE]
        in_second = [key for key in group if key.startswith(layout.SIMPLE_ALL)]
        found = await confirm_orphans([key for key in group if key not in in_second], mirror)
        orphans = [each.key for each in found if each.kind is Kind.ORPHAN]
        orphans += await unneeded(in_second, mirror)
        if orphans:
            await mirror.storage.delete(orphans)
        deleted += orphans
    return deleted


async def _has_page(project: NormalizedName, mirror: Mirror) -> bool:
    try:
        return await mirror.pages.read_manifest(project) is not None
    except UnreadableManifest:
        return True


async def _page_serial(project: NormalizedName, mirror: Mirror) -> int | None:
    """Return the serial of a project's page; None where nobody can read one."""
    try:
        manifest = await mirror.pages.read_manifest(project)
    except UnreadableManifest:
        return None
    return None if manifest is None else manifest.page.serial


def _by_project(findings: Iterable[Finding]) -> dict[NormalizedName, list[Finding]]:
    projects: dict[NormalizedName, list[Finding]] = {}
    for finding in findings:
        if finding.project and finding.kind.is_damage:
            projects.setdefault(cast("NormalizedName", finding.project), []).append(finding)
    return projects


async def _serials(
    projects: Collection[NormalizedName], mirror: Mirror
) -> tuple[dict[NormalizedName, int], frozenset[NormalizedName]]:
    """Return the serials that jobs have to reach, as far as they are credible.

    They are those of the root index, of open runs and of lagging projects. What is above the
    cursor is credible where root index and page agree: upstream's page may have been newer than
    its changelog. Returns also for which projects the root index says any; for all, if nobody
    knows.
    """
    serials, listed = dict.fromkeys(sorted(projects), 0), set["NormalizedName"]()
    cursor = await mirror.ledger.cursor()
    highest = max(cursor.serial or 0, cursor.upstream or 0)

    def require(project: NormalizedName, serial: int, *, agreed: bool = False) -> None:
        if project in serials and (agreed or serial <= highest):
            serials[project] = max(serial, serials[project])

    for project, entry in (await mirror.ledger.lagging()).items():
        require(project, entry.serial)
    for run in cursor.runs:
        with suppress(LedgerCorrupt):  # the run is lost, as the finalizer finds out
            for project, serial in (await mirror.ledger.plan(run.run)).jobs.items():
                require(project, serial)
    try:
        for project, each in await mirror.pages.listed_projects():
            if project in serials:
                listed.add(project)
                serial = each.serial or 0
                agreed = serial > highest and serial == await _page_serial(project, mirror)
                require(project, serial, agreed=agreed)
    except InvalidPage:
        return serials, frozenset(serials)
    return serials, frozenset(listed)
