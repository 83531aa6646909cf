"""What all verbs share: their options, accepted before and after the verb, and their exit codes."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Concatenate, Final, NamedTuple, ParamSpec, TypeVar

import click
from click.core import ParameterSource

from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

P = ParamSpec("P")
T = TypeVar("T")

_DEFAULT: Final = "mirror.conf"


class Options(NamedTuple):
    """The options of all verbs."""

    path: Path = Path(_DEFAULT)  # of the configuration
    verbose: bool = False  # name each file
    quiet: bool = False  # show errors alone
    variables: Mapping[str, str] = {}  # for the configuration, besides those of the environment


class Interrupted(click.ClickException):
    """Ctrl-C stopped the command."""

    exit_code = 130

    def __init__(self) -> None:
        super().__init__("stopped; run again to continue")


class Terminated(Interrupted):
    """SIGTERM stopped the command."""

    exit_code = 143


class Verbs(click.Group):
    """The group of all verbs: turns expected errors into exit codes."""

    def invoke(self, ctx: click.Context) -> object:
        """Run a verb.

        Raises:
            ClickException: the verb failed, or a signal stopped it.
        """
        try:
            return super().invoke(ctx)
        except FrumiousError as error:
            raise click.ClickException(str(error)) from error
        except (KeyboardInterrupt, click.Abort) as error:  # Abort: Ctrl-C at a prompt
            raise Interrupted from error


def common_options(function: Callable[P, T]) -> Callable[P, T]:
    """Add the options of all verbs to a command; their values go into the context's `Options`."""
    options = (
        click.option(
            "-c",
            "--config",
            "path",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="FRUMIOUS_CONFIG",
            help=f"The configuration, with bandersnatch's keys.  [default: {_DEFAULT}]",
            expose_value=False,
            callback=_keep,
        ),
        click.option(
            "-v",
            "--verbose",
            is_flag=True,
            help="Name each file, and log each step.",
            expose_value=False,
            callback=_keep,
        ),
        click.option(
            "-q",
            "--quiet",
            is_flag=True,
            help="Show errors alone.",
            expose_value=False,
            callback=_keep,
        ),
    )
    for option in reversed(options):
        function = option(function)
    return function


def json_option(function: Callable[P, T]) -> Callable[P, T]:
    """Add `--json` to a verb, as the parameter `as_json`."""
    text = "Print one JSON document on stdout instead of text."
    return click.option("--json", "as_json", is_flag=True, help=text)(function)


def everything_option(function: Callable[P, T]) -> Callable[P, T]:
    """Add `--all` to a verb that may begin a mirror, as the parameter `everything`."""
    text = "Begin a mirror of all of upstream's projects, however many, without a question."
    return click.option("--all", "everything", is_flag=True, help=text)(function)


def pass_options(function: Callable[Concatenate[Options, P], T]) -> Callable[P, T]:
    """Make a verb accept the common options, and pass them as its first argument."""
    return common_options(click.pass_obj(function))


def _keep(context: click.Context, parameter: click.Parameter, value: Path | bool | None) -> None:  # noqa: FBT001 (click's signature)
    """Keep the value of a common option: what stands after the verb counts.

    Raises:
        UsageError: the options exclude each other.
    """
    options, name = context.ensure_object(Options), str(parameter.name)
    inherited = context.parent is not None and (
        context.get_parameter_source(name) is ParameterSource.ENVIRONMENT
    )
    if value and not inherited:
        context.obj = Options(**{**options._asdict(), name: value})
    if context.obj.verbose and context.obj.quiet:
        msg = "--verbose and --quiet exclude each other"
        raise click.UsageError(msg)
