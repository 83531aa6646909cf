"""`frumious follow`: the mirror of another mirror, by its change feed."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

import click

from frumious.cli.options import everything_option, pass_options
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.plans import Plan


class _Rewritten(click.ClickException):
    exit_code = 3


@click.command(short_help="Follow another mirror by its change feed.")
@click.argument("url", required=False)
@click.option("--key", metavar="KEY", help="The public key that has to sign the feed (feed-key).")
@click.option(
    "--every",
    type=click.FloatRange(min=1),
    default=60.0,
    show_default=True,
    metavar="SECONDS",
    help="How often the feed is read.",
)
@click.option("--once", is_flag=True, help="Read it once, as from cron.")
@everything_option
@pass_options
def follow(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    url: str | None,
    key: str | None,
    every: float,
    *,
    once: bool,
    everything: bool,
) -> None:
    """Mirror another Frumious mirror by its change feed, until Ctrl-C.

    This is 'frumious mirror' again and again, with discovery = feed; URL and KEY take the place of
    master and feed-key in mirror.conf. One request if nothing has changed.

    Exit status 3: the mirror has rewritten its history. state/feed-proof.json keeps the proof.
    """
    from frumious.cli.confirmation import confirm_everything
    from frumious.cli.runs import run
    from frumious.planning.advisories import plan_advisories
    from frumious.planning.plan import plan_changes
    from frumious.upstream.feed import FeedRewritten

    settings = {
        "FRUMIOUS_DISCOVERY": "feed",
        "FRUMIOUS_MASTER": url,
        "FRUMIOUS_FEED_KEY": key,
    }
    options = options._replace(variables={k: v for k, v in settings.items() if v})

    async def make_plan(mirror: Mirror) -> Plan:
        planned = await plan_changes(mirror)
        if not everything:
            await confirm_everything(planned, mirror)
        return planned

    shown = options if once or options.verbose else options._replace(quiet=True)
    while True:
        began = time.monotonic()
        try:
            run(shown, make_plan, advisories=plan_advisories)
        except FeedRewritten as error:
            raise _Rewritten(str(error)) from error
        except FrumiousError as error:
            if once:
                raise
            click.echo(f"Error: {error}", err=True)
        except SystemExit:  # projects lag, which are shown
            if once:
                raise
        if once:
            return
        time.sleep(max(0.0, every - (time.monotonic() - began)))
