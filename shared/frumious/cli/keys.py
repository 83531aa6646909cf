"""The commands for the keys that sign what a mirror publishes or exports."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from frumious.signing.keys import SigningKey

_PASSWORD: Final = "FRUMIOUS_KEY_PASSWORD"  # noqa: S105 (the variable's name)


@click.group(short_help="Make and show the keys that sign bundles.")
def keys() -> None:
    """Make and show the keys that sign bundles, in the format of minisign.

    Keys that minisign made work as well.
    """


@keys.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--password", is_flag=True, help="Encrypt the secret key; every use asks for it.")
def generate(path: Path, *, password: bool) -> None:
    """Make a key pair: PATH, which stays secret, and PATH.pub for those who verify.

    With --password, the password is asked for, or taken from FRUMIOUS_KEY_PASSWORD.
    """
    from frumious.signing.keys import SigningKey

    secret = None
    if password:
        secret = os.environ.get(_PASSWORD) or click.prompt(
            "Password", hide_input=True, confirmation_prompt=True, err=True
        )
    key = SigningKey.generate()
    _create(path, key.file(secret), 0o600)
    public = path.with_name(f"{path.name}.pub")
    _create(public, key.public.file, 0o644)
    click.echo(key.public.text)
    click.echo(f"{path} stays secret; {public} is for those who verify.", err=True)


@keys.command()
@click.argument("path", type=click.Path(path_type=Path, dir_okay=False, exists=True))
def show(path: Path) -> None:
    """Print the public key of a key file, public or secret, as one word."""
    from frumious.signing.keys import InvalidKey, read_verify_key

    try:
        key = read_verify_key(path)
    except InvalidKey:
        key = read_secret_key(path).public
    click.echo(key.text)


def read_secret_key(path: Path) -> SigningKey:
    """Return a secret key; its password comes from the environment or the terminal.

    Raises:
        FrumiousError: it cannot be read, or the password is wrong.
    """
    from frumious.cli.confirmation import is_terminal
    from frumious.signing.keys import PasswordNeeded, read_signing_key

    password = os.environ.get(_PASSWORD)
    try:
        return read_signing_key(path, password)
    except PasswordNeeded as error:
        if not is_terminal():
            msg = f"{error}: set {_PASSWORD}"
            raise FrumiousError(msg) from error
        return read_signing_key(path, click.prompt("Password", hide_input=True, err=True))


def _create(path: Path, text: str, mode: int) -> None:
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, mode)
        with open(descriptor, "w", encoding="utf-8") as file:  # noqa: PTH123 (a descriptor)
            file.write(text)
    except FileExistsError as error:
        msg = f"{str(path)!r} exists, and stays as it is"
        raise click.ClickException(msg) from error
    except OSError as error:
        msg = f"{str(path)!r} cannot be written: {error.strerror}"
        raise click.ClickException(msg) from error
