"""What `frumious verify` does step by step, and what it shows."""

from __future__ import annotations

from collections import Counter
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import click
import msgspec
import rich.progress
from rich.console import Console
from rich.filesize import decimal

from frumious.auditing.audit import audit, unfinished
from frumious.auditing.repair import Outcome
from frumious.auditing.repair import delete_orphans as remove_orphans
from frumious.cli.sizes import count
from frumious.model.audits import Kind, Phase
from frumious.state.audit import AuditStore
from frumious.state.status_files import publish_audit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from frumious.auditing.audit import AuditSettings
    from frumious.mirror import Mirror
    from frumious.model.audits import AuditProgress, Finding

_SHOWN: Final = 50  # findings of each kind


@contextmanager
def audit_bar(*, shown: bool) -> Iterator[Callable[[AuditProgress], None]]:
    """Show how far an audit is, on a terminal; yields what takes its progress."""
    console = Console(stderr=True, highlight=False)
    columns = (
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        rich.progress.TaskProgressColumn(),
        rich.progress.TimeElapsedColumn(),
    )
    disabled = not (shown and console.is_terminal)
    with rich.progress.Progress(*columns, console=console, disable=disabled) as bar:
        task = bar.add_task("Pages", total=None)

        def update(progress: AuditProgress) -> None:
            damaged = f", {progress.damaged} damaged" if progress.damaged else ""
            bar.update(
                task,
                description=f"{_checked(progress)}{damaged}",
                total=None if progress.phase is Phase.PAGES else 1.0,
                completed=progress.share,
            )

        yield update


@dataclass(frozen=True, slots=True)
class Verified:
    """What an audit has found, and what became of it."""

    progress: AuditProgress
    findings: Sequence[Finding]
    repaired: Mapping[Finding, Outcome]
    deleted: frozenset[str]  # orphans
    reasons: Mapping[str, str]  # project -> why it could not be repaired
    keeps_orphans: bool = False  # though their deletion was asked for

    @property
    def left(self) -> dict[Kind, int]:
        """How many findings are left, by kind; what upstream no longer has is on no page."""
        kinds = Counter(
            finding.kind
            for finding in self.findings
            if self.repaired.get(finding, Outcome.DAMAGED) is Outcome.DAMAGED
            and finding.key not in self.deleted
        )
        return dict(kinds)

    @property
    def is_damaged(self) -> bool:
        """Whether damage is left, or was found that cannot be repaired."""
        return any(
            self.repaired.get(finding) is not Outcome.REPAIRED
            for finding in self.findings
            if finding.kind.is_damage
        )


async def verify_mirror(
    mirror: Mirror,
    settings: AuditSettings,
    *,
    repair: bool,
    delete_orphans: bool,
    shows_progress: bool,
) -> Verified:
    """Audit the mirror, and repair or delete what is asked for."""
    if shows_progress and (earlier := await unfinished(mirror, settings)) is not None:
        click.echo(
            f"Continuing the audit that has checked {_checked(earlier)}; --restart begins anew.",
            err=True,
        )
    with audit_bar(shown=shows_progress) as update:
        progress = await audit(mirror, settings, on_progress=update)
    findings = [each async for each in AuditStore(mirror.storage).findings(progress)]
    repaired: dict[Finding, Outcome] = {}
    reasons: dict[str, str] = {}
    if repair and progress.damaged:
        from frumious.repairing import repair_here  # noqa: PLC0415 (rarely needed)

        results, done = await repair_here(findings, mirror, lambda *_: None, deep=progress.deep)
        repaired = {each.finding: each.outcome for each in results}
        reasons = {project: entry.reason for project, entry in done.lagging.items()}
    deleted: frozenset[str] = frozenset()
    # Without the root index nobody knows whose pages are missing, and thus whose files are needed.
    keeps_orphans = any(each.kind is Kind.WRONG_ROOT for each in findings)
    if delete_orphans and not keeps_orphans:
        orphans = [each.key for each in findings if each.kind is Kind.ORPHAN]
        deleted = frozenset(await remove_orphans(orphans, mirror))
    keeps_orphans &= delete_orphans and Kind.ORPHAN in progress.counts
    verified = Verified(progress, findings, repaired, deleted, reasons, keeps_orphans)
    successes = sum(outcome is Outcome.REPAIRED for outcome in repaired.values())
    await publish_audit(progress, verified.left, successes, mirror.storage)
    return verified


def show(verified: Verified, *, as_json: bool) -> None:
    """Print what an audit has found, and what became of it."""
    if as_json:
        _show_json(verified)
    else:
        _show_text(verified)


def _show_json(verified: Verified) -> None:
    progress = verified.progress
    summary = {
        "projects": progress.projects,
        "objects": progress.objects,
        "bytes_read": progress.read,
        "damaged": verified.is_damaged,
        "found": progress.counts,
        "left": verified.left,
        "findings": [
            {
                "kind": finding.kind,
                "key": finding.key,
                "project": finding.project,
                "detail": finding.detail,
                "outcome": _outcome(finding, verified),
            }
            for finding in verified.findings
        ],
    }
    click.echo(msgspec.json.format(msgspec.json.encode(summary), indent=1).decode())


def _show_text(verified: Verified) -> None:
    by_kind: dict[str, list[Finding]] = {}
    for finding in verified.findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    repairs = bool(verified.repaired or verified.deleted)
    for kind, found in sorted(by_kind.items(), key=lambda item: not item[1][0].kind.is_damage):
        advice = "" if repairs else f": {found[0].kind.advice}"
        click.echo(f"{kind} ({len(found)}){advice}")
        for finding in found[:_SHOWN]:
            detail = f" ({finding.detail})" if finding.detail else ""
            outcome = f": {_outcome(finding, verified)}" if repairs else ""
            click.echo(f"  {finding.key}{detail}{outcome}")
        if len(found) > _SHOWN:
            click.echo(f"  and {len(found) - _SHOWN} more (--json names all)")
    progress = verified.progress
    read = f", {decimal(progress.read)} read" if progress.deep else ""
    other = sum(progress.counts.values()) - progress.damaged
    others = f", {other} that no page needs" if other else ""
    found_text = f"{progress.damaged} damaged" if progress.damaged else "no damage"
    counts = Counter(verified.repaired.values())
    outcomes = [f"{number} {outcome}" for outcome, number in sorted(counts.items())]
    outcomes += [f"{len(verified.deleted)} deleted"] if verified.deleted else []
    after = f" Now: {', '.join(outcomes)}." if outcomes else ""
    click.echo(f"{_checked(progress)} checked{read}: {found_text}{others}.{after}")
    if verified.keeps_orphans:
        click.echo(
            "Orphans stay: the root index was damaged. Repair it, then run"
            " 'frumious verify --delete-orphans' once more.",
            err=True,
        )
    for project in sorted({each.project for each in verified.findings} & verified.reasons.keys()):
        click.echo(f"{project} is behind upstream: {verified.reasons[project]}", err=True)


def _checked(progress: AuditProgress) -> str:
    return f"{count(progress.projects, 'project')}, {count(progress.objects, 'object')}"


def _outcome(finding: Finding, verified: Verified) -> str:
    if finding.key in verified.deleted:
        return "deleted"
    outcome = verified.repaired.get(finding)
    if outcome is Outcome.LOST:
        return "upstream no longer has it, and no page names it any more"
    return outcome or "left"
