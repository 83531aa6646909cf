"""What `frumious verify` shows: how far it is, and what it has found."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Self

import click
import msgspec
import rich.progress
from rich.console import Console
from rich.filesize import decimal

from frumious.model.audits import Phase

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import TracebackType

    from frumious.model.audits import AuditProgress, Finding

_SHOWN: Final = 50  # findings of each kind


class AuditBar:
    """A context manager that shows how far an audit is, on a terminal."""

    def __init__(self, *, shown: bool) -> None:
        console = Console(stderr=True, highlight=False)
        self._bar = rich.progress.Progress(
            rich.progress.TextColumn("{task.description}"),
            rich.progress.BarColumn(),
            rich.progress.TaskProgressColumn(),
            rich.progress.TimeElapsedColumn(),
            console=console,
            disable=not (shown and console.is_terminal),
        )
        self._task = self._bar.add_task("Pages", total=None)

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def update(self, progress: AuditProgress) -> None:
        """Show what the audit has reached."""
        damaged = f", {progress.damaged} damaged" if progress.damaged else ""
        self._bar.update(
            self._task,
            description=f"{progress.projects} projects, {progress.objects} objects{damaged}",
            total=None if progress.phase is Phase.PAGES else 1.0,
            completed=progress.share,
        )


def show(progress: AuditProgress, findings: Sequence[Finding], *, as_json: bool) -> None:
    """Print what an audit has found."""
    if as_json:
        _show_json(progress, findings)
    else:
        _show_text(progress, findings)


def _show_json(progress: AuditProgress, findings: Sequence[Finding]) -> None:
    summary = {
        "projects": progress.projects,
        "objects": progress.objects,
        "bytes_read": progress.read,
        "damaged": progress.damaged,
        "counts": progress.counts,
        "findings": findings,
    }
    click.echo(msgspec.json.format(msgspec.json.encode(summary), indent=1).decode())


def _show_text(progress: AuditProgress, findings: Sequence[Finding]) -> None:
    by_kind: dict[str, list[Finding]] = {}
    for finding in findings:
        by_kind.setdefault(finding.kind, []).append(finding)
    for kind, found in sorted(by_kind.items(), key=lambda item: not item[1][0].kind.is_damage):
        click.echo(f"{kind} ({len(found)}): {found[0].kind.advice}")
        for finding in found[:_SHOWN]:
            detail = f" ({finding.detail})" if finding.detail else ""
            click.echo(f"  {finding.key}{detail}")
        if len(found) > _SHOWN:
            click.echo(f"  and {len(found) - _SHOWN} more (--json names all)")
    read = f", {decimal(progress.read)} read" if progress.deep else ""
    found_text = f"{progress.damaged} damaged" if progress.damaged else "no damage"
    other = sum(progress.counts.values()) - progress.damaged
    others = f", {other} that no page needs" if other else ""
    click.echo(
        f"{progress.projects} projects, {progress.objects} objects checked{read}:"
        f" {found_text}{others}."
    )
