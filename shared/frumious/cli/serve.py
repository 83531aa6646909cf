"""`frumious serve`: a mirror in a folder over HTTP."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from frumious.cli.options import pass_options

if TYPE_CHECKING:
    from yarl import URL

    from frumious.cli.options import Options


@click.command(short_help="Serve the mirror's folder over HTTP.")
@click.option("--host", default="127.0.0.1", show_default=True, help="The address to listen on.")
@click.option(
    "--port",
    type=click.IntRange(0, 65535),
    default=8080,
    show_default=True,
    help="The port to listen on; 0: any free one.",
)
@click.option(
    "--simple-all",
    is_flag=True,
    help="Serve the index without the cooldown as well, to everybody who reaches the address.",
)
@pass_options
def serve(options: Options, host: str, port: int, *, simple_all: bool) -> None:
    """Serve the mirror's folder over HTTP, to try it out or for a small team; Ctrl-C ends it.

    There is no TLS: installers trust plain HTTP on loopback alone. nginx serves the same URLs with
    docs/serving/nginx.conf.
    """
    import asyncio

    from frumious.cli.process import load_config
    from frumious.config.choices import Backend
    from frumious.storage.filesystem.os_errors import access_advice
    from frumious.web_server import Site, run

    config = load_config(options)
    if config.backend is not Backend.FILESYSTEM:
        msg = f"only a mirror in a folder can be served; storage-backend is {config.backend}"
        raise click.ClickException(msg)
    folder = Path(config.directory)
    for each in (folder, folder / "web"):
        if os.path.lexists(each) and not os.access(each, os.R_OK | os.X_OK):
            msg = f"cannot read {str(each)!r}: {access_advice(str(each))}"
            raise click.ClickException(msg)
    if not (folder / "web").is_dir():
        msg = f"there is no mirror in {config.directory!r} yet: run 'frumious mirror' first"
        raise click.ClickException(msg)

    def show(url: URL) -> None:
        click.echo(f"Serving {folder / 'web'} at {url} until Ctrl-C. To install from it:")
        click.echo(f"  pip install --index-url {url / 'simple'}/ PROJECT")

    try:
        site = Site(folder, config.page_layout, simple_all=simple_all)
        asyncio.run(run(site, host, port, show))
    except OSError as error:
        msg = f"cannot listen on {host!r}, port {port}: {error.strerror}; try another --port"
        raise click.ClickException(msg) from error
    except KeyboardInterrupt:
        click.echo("Stopped.")
