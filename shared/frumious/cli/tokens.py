"""The commands for a private mirror's access tokens; each imports what it needs when it runs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from frumious.access.token_store import TokenStore

_MAX_DAYS = 3650


def _open_store(_context: click.Context, _parameter: click.Parameter, arn: str) -> TokenStore:
    from frumious.access.token_store import TokenStore

    return TokenStore(arn)


_store_option = click.option(
    "--store",
    required=True,
    callback=_open_store,
    envvar="FRUMIOUS_TOKEN_STORE",
    show_envvar=True,
    metavar="ARN",
    help="The store: the stack's output TokenStore.",
)


@click.group(short_help="Manage the access tokens of a private mirror in AWS.")
def token() -> None:
    """Create, list and revoke the access tokens of a private mirror in AWS.

    The stack needs the parameter AccessTokens=true. A client sends a token as its password; the
    username does not matter. A change reaches all edge locations within seconds.
    """


@token.command()
@click.argument("name")
@click.option(
    "--days",
    type=click.IntRange(1, _MAX_DAYS),
    help="The token expires after so many days; without it, never.",
)
@_store_option
def add(name: str, days: int | None, store: TokenStore) -> None:
    """Create the token NAME, and print it: it is not stored, and never shown again."""
    from frumious.access.tokens import issue
    from frumious.clock import Clock

    secret, record = issue(name, Clock().now(), days=days)
    store.add(record)
    click.echo(secret)
    click.echo(f"{name} is valid until {_time(record.expires, never='it is revoked')}.", err=True)


@token.command(name="list")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of a table.")
@_store_option
def list_(store: TokenStore, *, as_json: bool) -> None:
    """Show all tokens, without their secrets."""
    import json

    from rich.box import SIMPLE_HEAD
    from rich.table import Table

    from frumious.cli.console import stdout_console
    from frumious.clock import Clock

    now = Clock().now()
    tokens = store.tokens()
    if as_json:
        rows = [
            {"name": t.name, "created": t.created, "expires": t.expires, "expired": t.expired(now)}
            for t in tokens
        ]
        click.echo(json.dumps(rows, indent=1))
        return
    table = Table("Name", "Created", "Expires", box=SIMPLE_HEAD)
    for t in tokens:
        suffix = " (expired)" if t.expired(now) else ""
        table.add_row(t.name, _time(t.created), _time(t.expires) + suffix)
    stdout_console().print(table)


@token.command()
@click.argument("name")
@_store_option
def revoke(name: str, store: TokenStore) -> None:
    """Delete the token NAME; the edge refuses it within seconds."""
    store.revoke(name)
    click.echo(f"{name} is revoked.", err=True)


def _time(seconds: int | None, never: str = "never") -> str:
    if seconds is None:
        return never
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M UTC")
