"""`frumious verify`: what the mirror stores, against what its pages name."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import click

from frumious.cli.options import pass_options

if TYPE_CHECKING:
    from frumious.auditing.audit import AuditSettings
    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.audits import AuditProgress, Finding

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9}


class _Share(click.ParamType[float]):
    name = "share"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse a percentage."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+(?:\.\d+)?)%", str(value))
        if match is None or not 0 < float(match[1]) <= 100:  # noqa: PLR2004 (per cent)
            self.fail(f"{value!r} is not a percentage such as 1%", param, ctx)
        return float(match[1]) / 100


class _Rate(click.ParamType[float]):
    name = "rate"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> float:
        """Parse a number of bytes."""
        if isinstance(value, float):
            return value
        match = re.fullmatch(r"(\d+)([KMG]?)", str(value))
        if match is None or not int(match[1]):
            self.fail(f"{value!r} is not a number of bytes such as 500K, 10M or 1G", param, ctx)
        return float(match[1]) * _UNITS[match[2]]


@click.command()
@click.option("--deep", is_flag=True, help="Read all files, and compare their hashes.")
@click.option(
    "--sample",
    type=_Share(),
    default=1.0,
    metavar="SHARE",
    help="Read a random share of the files, such as 1%; implies --deep.",
)
@click.option(
    "--max-rate",
    type=_Rate(),
    default=float("inf"),
    metavar="BYTES",
    help="Read at most so many bytes per second, such as 10M.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 64),
    default=8,
    show_default=True,
    help="How many files are read at a time.",
)
@click.option("--restart", is_flag=True, help="Begin anew instead of continuing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_options
def verify(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    *,
    deep: bool,
    sample: float,
    max_rate: float,
    workers: int,
    restart: bool,
    as_json: bool,
) -> None:
    """Find what is missing or damaged in the mirror, and what does not belong there.

    Compares what the stored pages name with a listing of the storage: sizes, and with --deep
    hashes. If it is interrupted, the next call goes on from there.

    Exit status 1 if there is damage. Orphans and leftovers only take space.
    """
    from frumious.auditing.audit import AuditSettings
    from frumious.cli.findings import show

    settings = AuditSettings(
        deep=deep or sample < 1,
        sample=sample,
        max_rate=max_rate,
        workers=workers,
        restart=restart,
    )
    progress, findings = _audit(options, settings, shows_progress=not (options.quiet or as_json))
    show(progress, findings, as_json=as_json)
    if progress.damaged:
        raise SystemExit(1)


def _audit(
    options: Options, settings: AuditSettings, *, shows_progress: bool
) -> tuple[AuditProgress, list[Finding]]:
    from frumious.auditing.audit import audit
    from frumious.cli.findings import AuditBar
    from frumious.cli.process import with_mirror
    from frumious.state.audit import AuditStore

    async def work(mirror: Mirror) -> tuple[AuditProgress, list[Finding]]:
        with AuditBar(shown=shows_progress) as bar:
            progress = await audit(mirror, settings, on_progress=bar.update)
        return progress, [each async for each in AuditStore(mirror.storage).findings(progress)]

    return with_mirror(options, work)
