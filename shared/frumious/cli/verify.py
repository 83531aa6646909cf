"""`frumious verify`: what the mirror stores, against what its pages name."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING, Final

import click

from frumious.cli.options import pass_options

if TYPE_CHECKING:
    from frumious.cli.findings import Verified
    from frumious.cli.options import Options
    from frumious.mirror import Mirror

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


@click.command(short_help="Find what is missing or damaged, and repair it.")
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
    help="How many files are read at a time, instead of verifiers in the configuration.",
)
@click.option("--restart", is_flag=True, help="Begin anew instead of continuing.")
@click.option(
    "--repair",
    "--json-update",
    is_flag=True,
    help="Fetch what is damaged again, and publish the pages concerned.",
)
@click.option(
    "--delete-orphans",
    "--delete",
    is_flag=True,
    help="Delete the files that no page names.",
)
@click.option("--dry-run", is_flag=True, help="Repair and delete nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@pass_options
def verify(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    *,
    deep: bool,
    sample: float,
    max_rate: float,
    workers: int | None,
    restart: bool,
    repair: bool,
    delete_orphans: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Find what is missing or damaged in the mirror, and what does not belong there.

    Compares what the stored pages name with a listing of the storage: sizes, and with --deep
    hashes. If it is interrupted, the next call goes on from there. --delete and --json-update are
    bandersnatch's names of --delete-orphans and --repair.

    Exit status 1 if damage is left. Orphans and leftovers only take space.
    """
    from frumious.auditing.audit import AuditSettings
    from frumious.cli.findings import show, verify_mirror
    from frumious.cli.process import with_mirror

    settings = AuditSettings(
        deep=deep or sample < 1,
        sample=sample,
        max_rate=max_rate,
        restart=restart,
    )
    repair, delete_orphans = repair and not dry_run, delete_orphans and not dry_run

    async def work(mirror: Mirror) -> Verified:
        return await verify_mirror(
            mirror,
            replace(settings, workers=workers or mirror.config.verifiers),
            repair=repair,
            delete_orphans=delete_orphans,
            shows_progress=not (options.quiet or as_json),
        )

    verified = with_mirror(options, work, exclusive=repair or delete_orphans)
    show(verified, as_json=as_json)
    if verified.is_damaged:
        raise SystemExit(1)
