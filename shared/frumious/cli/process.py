"""The process that a command runs in: configuration, logs, locks, and how it ends."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
import signal
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import click

from frumious.config import loading
from frumious.config.choices import Backend
from frumious.errors import FrumiousError
from frumious.mirror import Mirror, open_mirror
from frumious.storage.filesystem.lock import lock

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from frumious.config.settings import Config

T = TypeVar("T")


class _BadConfig(click.ClickException):
    exit_code = 2


def with_mirror(
    place: tuple[Path, bool], work: Callable[[Mirror], Awaitable[T]], *, alone: bool = False
) -> T:
    """Do something with the mirror that the configuration at a path describes.

    With `alone` no other process of this machine does so in the same folder at the same time.
    """
    path, verbose = place
    try:
        settings = loading.load(path, os.environ)
        _set_up_logs(settings, verbose=verbose)
    except loading.ConfigError as error:
        raise _BadConfig(str(error)) from error
    for warning in settings.warnings:
        click.echo(f"{path}: {warning}", err=True)
    try:
        with ExitStack() as held:
            if alone and settings.backend is Backend.FILESYSTEM:
                held.enter_context(lock(Path(settings.directory)))
            return asyncio.run(_opened(settings, work, alone=alone))
    except FrumiousError as error:
        raise click.ClickException(str(error)) from error
    except (KeyboardInterrupt, asyncio.CancelledError) as error:
        msg = "stopped: what is done counts, the next run goes on from there"
        raise click.ClickException(msg) from error


async def _opened(settings: Config, work: Callable[[Mirror], Awaitable[T]], *, alone: bool) -> T:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_mirror(settings) as mirror:
        if alone:
            await mirror.storage.remove_leftovers()
        return await work(mirror)


def _set_up_logs(settings: Config, *, verbose: bool) -> None:
    """Log as `log-config` says; without it, warnings alone, or with `verbose` what is done.

    Raises:
        ConfigError: the file that `log-config` names is no logging configuration.
    """
    if settings.log_config is None:
        level = logging.DEBUG if verbose else logging.ERROR
        logging.basicConfig(level=level, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
        return
    try:
        logging.config.fileConfig(settings.log_config, disable_existing_loggers=False)
    except (OSError, KeyError, ValueError, RuntimeError) as error:
        msg = f"[mirror] log-config = {str(settings.log_config)!r} cannot be used: {error}"
        raise loading.ConfigError(msg) from error
