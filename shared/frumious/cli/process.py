"""The environment of a command: configuration, logging, lock, signals and exit codes."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import os
import signal
import sys
import traceback
from contextlib import ExitStack, aclosing, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

import frumious.certificates  # noqa: F401 (before aiohttp)
from frumious.cli.notes import Notes
from frumious.cli.options import Terminated
from frumious.config import loading
from frumious.config.choices import Backend
from frumious.garbage import collect_rarely
from frumious.mirror import CLOCK, Mirror, open_mirror
from frumious.redaction import redact, redact_record
from frumious.selection.unread import ListsUnread
from frumious.state.objects import LedgerCorrupt
from frumious.storage.filesystem.atomic_write import Folder
from frumious.storage.filesystem.lock import MirrorLocked, lock
from frumious.upstream.client import Client
from frumious.upstream.upstream import Upstream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Coroutine, Iterator
    from types import TracebackType

    from frumious.cli.options import Options
    from frumious.config.settings import Config

T = TypeVar("T")


class _InvalidConfig(click.ClickException):
    exit_code = 2


def with_mirror(
    options: Options, work: Callable[[Mirror], Awaitable[T]], *, exclusive: bool = False
) -> T:
    """Return the result of `work` with the mirror.

    An `exclusive` command locks a mirror in a folder against other processes of this machine.

    Raises:
        ClickException: the configuration is invalid, or a signal stopped the command.
        FrumiousError: the command failed.
    """
    settings = load_config(options)
    with locked(settings) if exclusive else nullcontext():
        return _run_until_complete(_run(settings, work, exclusive=exclusive))


def with_mirror_alone(options: Options, work: Callable[[Mirror, bool], Awaitable[T]]) -> T:
    """Return the result of `work` with the mirror, which is locked unless another process uses it.

    `work` gets whether no job can be at work.

    Raises:
        ClickException, FrumiousError: as for `with_mirror`.
    """
    settings = load_config(options)
    alone = settings.backend is Backend.FILESYSTEM
    with ExitStack() as opened:
        try:
            opened.enter_context(locked(settings))
        except MirrorLocked:
            alone = False
        return _run_until_complete(
            _run(settings, lambda mirror: work(mirror, alone), exclusive=alone)
        )


@contextmanager
def locked(settings: Config) -> Iterator[None]:
    """Lock a mirror in a folder against other processes of this machine.

    Raises:
        FrumiousError: another process has locked it, or it cannot be written.
    """
    if settings.backend is not Backend.FILESYSTEM:
        yield
        return
    permissions = settings.manage_permissions
    with lock(Folder.at(Path(settings.directory), manage_permissions=permissions)):
        yield


def with_upstream(options: Options, work: Callable[[Upstream, Config], Awaitable[T]]) -> T:
    """Return the result of `work` with upstream alone.

    The storage is opened only where it says which names upstream must not be asked for.

    Raises:
        ClickException, FrumiousError: as for `with_mirror`.
    """
    settings = load_config(options)

    async def opened() -> T:
        if settings.private.directory:
            from frumious.private.refresh import refresh  # noqa: PLC0415 (rarely needed)

            async with open_mirror(settings) as mirror:
                await refresh(mirror)
                return await work(mirror.upstream, settings)
        async with aclosing(Upstream(settings, Client(settings, CLOCK))) as upstream:
            return await work(upstream, settings)

    return _run_until_complete(opened())


def load_config(options: Options) -> Config:
    """Return the configuration; print its warnings, and configure logging.

    Raises:
        ClickException: it is invalid; exit code 2.
    """
    path = options.path
    sys.excepthook = _print_exception
    try:
        settings = loading.load(path, {**os.environ, **options.variables})
        _configure_logging(settings, options)
    except loading.ConfigError as error:
        raise _InvalidConfig(str(error)) from error
    if settings.backend is Backend.FILESYSTEM:
        _check_folder(Path(settings.directory), path)
    for warning in settings.warnings if not options.quiet else ():
        click.echo(f"{path}: {warning}", err=True)
    return settings


def _check_folder(directory: Path, config: Path) -> None:
    """Check that the mirror's directory may be one.

    Raises:
        ClickException: it, or what should contain it, is a file.
    """
    for path in (directory, *directory.parents):
        if os.path.isfile(path):  # noqa: PTH113 (False where the path cannot be accessed)
            msg = (
                f"{config} is invalid:\n- [mirror] directory = {str(directory)!r}: {str(path)!r}"
                " is a file; name a folder, which may not exist yet"
            )
            raise _InvalidConfig(msg)


def _run_until_complete(work: Coroutine[Any, Any, T]) -> T:
    """Run a coroutine in uvloop's event loop where it is installed: it takes a third less time."""
    loop_factory: Callable[[], asyncio.AbstractEventLoop] | None = None
    with suppress(ImportError):
        from uvloop import new_event_loop as loop_factory  # noqa: PLC0415 (not on every platform)
    collect_rarely()
    try:
        with asyncio.Runner(loop_factory=loop_factory) as runner:
            return runner.run(work)
    except asyncio.CancelledError as error:
        raise Terminated from error


async def _run(settings: Config, work: Callable[[Mirror], Awaitable[T]], *, exclusive: bool) -> T:
    task = asyncio.current_task()
    if task is not None:
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    async with open_mirror(settings) as opened:
        mirror = opened
        if exclusive and settings.backend is Backend.FILESYSTEM:
            await mirror.storage.remove_leftovers()
        with suppress(ListsUnread, LedgerCorrupt):  # what needs them says so
            mirror = await mirror.with_stored_lists()
        return await work(mirror)


def _configure_logging(settings: Config, options: Options) -> None:
    """Configure logging by `log-config`; without it, show warnings, or as the options say.

    Raises:
        ConfigError: the file that `log-config` names is not a logging configuration.
    """
    if settings.log_config is None:
        # Libraries never log more than warnings: at DEBUG they log credentials.
        level = logging.WARNING if options.verbose else logging.ERROR
        logging.basicConfig(level=level, handlers=[Notes(verbose=options.verbose)])
        own_level = logging.DEBUG if options.verbose else logging.WARNING
        logging.getLogger("frumious").setLevel(logging.ERROR if options.quiet else own_level)
        if not (options.quiet or options.verbose):  # why nothing happens just now
            logging.getLogger("frumious.backoff").setLevel(logging.INFO)
    elif not settings.log_config.is_file():
        msg = f"[mirror] log-config = {str(settings.log_config)!r}: there is no such file"
        raise loading.ConfigError(msg)
    else:
        try:
            logging.config.fileConfig(settings.log_config, disable_existing_loggers=False)
        except KeyError as error:
            msg = f"[mirror] log-config = {str(settings.log_config)!r} has no {error}"
            raise loading.ConfigError(msg) from error
        except (OSError, ValueError, RuntimeError) as error:
            msg = f"[mirror] log-config = {str(settings.log_config)!r} is invalid: {error}"
            raise loading.ConfigError(msg) from error
    for logger in (
        logging.getLogger(),
        *map(logging.getLogger, [*logging.root.manager.loggerDict]),
    ):
        for handler in logger.handlers:
            handler.addFilter(redact_record)


def _print_exception(
    _: type[BaseException], error: BaseException, __: TracebackType | None
) -> None:
    sys.stderr.write(redact("".join(traceback.format_exception(error))))
