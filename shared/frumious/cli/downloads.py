"""`frumious downloads`: who fetched what, by the web server's access logs."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from datetime import date

    from packaging.utils import NormalizedName

    from frumious.cli.options import Options
    from frumious.config.settings import Config
    from frumious.mirror import Mirror


class _Day(click.ParamType["date"]):
    name = "day"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> date:
        """Parse a day."""
        from datetime import date

        try:
            day = date.fromisoformat(str(value))
        except ValueError:
            self.fail(f"{value!r} is not a day such as 2026-11-28", param, ctx)
        if not date.min < day < date.max:  # the days around it count too
            self.fail(f"{value!r} is out of range", param, ctx)
        return day


class _Statuses(click.ParamType[frozenset[int]]):
    name = "statuses"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> frozenset[int]:
        """Parse numbers with commas between them."""
        if isinstance(value, frozenset):
            return value
        try:
            return frozenset(int(each) for each in str(value).split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of statuses such as 403,404", param, ctx)


@click.command(short_help="Show who downloaded a project, release or file, by access logs.")
@click.argument("subjects", nargs=-1, metavar="[SUBJECT]...")
@click.option(
    "--logs",
    "locations",
    multiple=True,
    envvar="FRUMIOUS_LOGS",
    show_envvar=True,
    metavar="LOCATION",
    help="A log, a folder, a pattern, s3://bucket/prefix, or - for standard input; repeatable.",
)
@click.option("--from", "first", type=_Day(), metavar="DAY", help="The first day, in UTC.")
@click.option("--to", "last", type=_Day(), metavar="DAY", help="The last day, in UTC.")
@click.option(
    "--top",
    type=click.IntRange(min=1),
    metavar="N",
    help="Show the N projects with most downloads.",
)
@click.option("--never", is_flag=True, help="Show the mirror's projects that nobody downloaded.")
@click.option(
    "--status",
    "statuses",
    type=_Statuses(),
    default="200,206",
    show_default=True,
    metavar="LIST",
    help="Count only responses with these statuses; 403,404 shows who asked in vain.",
)
@click.option("--log-format", metavar="FORMAT", help="nginx's log_format, if it is not combined.")
@json_option
@click.option("--csv", "as_csv", is_flag=True, help="Print CSV instead of a table.")
@pass_options
def downloads(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    subjects: tuple[str, ...],
    *,
    locations: tuple[str, ...],
    first: date | None,
    last: date | None,
    top: int | None,
    never: bool,
    statuses: frozenset[int],
    log_format: str | None,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Show who downloaded what, by access logs of CloudFront or nginx.

    A SUBJECT is a project (six), a release (six==1.16.0) or a file. Requests for pages and core
    metadata, HEAD, and 304 are no downloads; a response with a part of a file (206) is counted
    apart. Logs may be compressed with gzip. docs/downloads.md shows what to do when a release is
    malware.

    Exit status 1 if a log or a line of one could not be read: the answer may lack something.
    """
    _check_options(len(subjects), locations, top, never=never, as_json=as_json, as_csv=as_csv)
    from frumious.cli import download_reports as reports
    from frumious.downloads import counting
    from frumious.downloads.days import Days
    from frumious.downloads.files import InvalidSubject, Subject
    from frumious.downloads.line_formats import InvalidLogFormat, LogFormat
    from frumious.downloads.logs import find_logs
    from frumious.downloads.reading import Reading, read_requests
    from frumious.downloads.tally import Tally

    days = Days(first, last)
    if days.begin >= days.end:
        msg = "--to is before --from"
        raise click.UsageError(msg)
    try:
        wanted = [Subject(each) for each in subjects]
        parsed_format = None if log_format is None else LogFormat(log_format)
    except (InvalidSubject, InvalidLogFormat) as error:
        raise click.BadParameter(str(error)) from error

    listed = _listed_projects(options) if never else {}
    reading = Reading()
    logs = find_logs(locations, days, lambda: _configuration(options))
    requests = counting.file_requests(read_requests(logs, days, parsed_format, reading), statuses)
    form = reports.Form.of(as_json=as_json, as_csv=as_csv)
    if wanted:
        with closing(Tally()) as tally:
            counting.count_clients(tally, requests, wanted)
            reports.show(reports.CLIENTS, tally.in_order_of_time(), form, reading, days)
    elif top is not None:
        with closing(Tally()) as tally:
            counting.count_projects(tally, requests)
            reports.show(reports.PROJECTS, tally.top(top), form, reading, days)
    else:
        unused = counting.without_downloads(requests, listed)
        reports.show(reports.UNUSED, unused, form, reading, days)
    if not options.quiet:
        for line in reports.notes(reading, days):
            click.echo(line, err=True)
    if not reading.is_complete:
        raise SystemExit(1)


def _check_options(  # noqa: PLR0913 (the options)
    subjects: int,
    locations: tuple[str, ...],
    top: int | None,
    *,
    never: bool,
    as_json: bool,
    as_csv: bool,
) -> None:
    """Check that the options fit together.

    Raises:
        UsageError: they do not.
    """
    if sum((subjects > 0, top is not None, never)) != 1:
        msg = "name projects, releases or files, or use --top or --never"
        raise click.UsageError(msg)
    if not locations:
        msg = "name the logs with --logs"
        raise click.UsageError(msg)
    if as_json and as_csv:
        msg = "--json and --csv exclude each other"
        raise click.UsageError(msg)


def _listed_projects(options: Options) -> dict[NormalizedName, bool]:
    from frumious.cli.process import with_mirror
    from frumious.simple.values import InvalidPage

    async def work(mirror: Mirror) -> dict[NormalizedName, bool]:
        return {project: False for project, _ in await mirror.pages.listed_projects()}

    try:
        listed = with_mirror(options, work)
    except InvalidPage as error:
        msg = f"{error}; 'frumious doctor --repair' makes the root index again"
        raise click.ClickException(msg) from error
    if not listed:
        msg = "the mirror lists no projects; --config names its configuration"
        raise click.ClickException(msg)
    return listed


def _configuration(options: Options) -> Config:
    """Return the configuration whose [s3] gives access to buckets; without a file, the defaults."""
    from frumious.cli.process import load_config

    if options.path.exists():
        return load_config(options)
    import os

    from frumious.config import loading

    return loading.parse("[mirror]\nstorage-backend = s3\ndirectory = /unused\n", os.environ)
