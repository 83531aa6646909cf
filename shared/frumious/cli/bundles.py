"""`frumious export`, `import` and `sync-to`: a mirror is carried to another one."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from frumious.cli.options import json_option, pass_options

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.bundles.direct import Synced
    from frumious.bundles.export import Exported
    from frumious.bundles.manifest import Head
    from frumious.cli.options import Options
    from frumious.mirror import Mirror
    from frumious.model.types import JsonObject

_UNITS: Final = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_MIN_VOLUME: Final = 10**6
_SHOWN: Final = 20  # skipped projects
_LATER: Final = "a later run has them"
_NAMED: Final = "when the mirror has them, export again"


class _Size(click.ParamType[int]):
    name = "size"

    def convert(
        self, value: object, param: click.Parameter | None, ctx: click.Context | None
    ) -> int:
        """Parse a number of bytes."""
        if isinstance(value, int):
            return value
        match = re.fullmatch(r"(\d+)([KMGT]?)", str(value))
        size = int(match[1]) * _UNITS[match[2]] if match is not None else 0
        if size < _MIN_VOLUME:
            self.fail(f"{value!r} is not a size of at least 1M, such as 700M or 4G", param, ctx)
        return size


def _parse_since(_context: click.Context, parameter: click.Parameter, value: str) -> int | None:
    if value == "last":
        return None
    if not value.isdecimal():
        msg = f"{value!r} is neither 'last' nor a serial"
        raise click.BadParameter(msg, param=parameter)
    return int(value)


_confirm_option = click.option(
    "--confirm-removals",
    type=click.IntRange(min=0),
    default=0,
    metavar="NUMBER",
    help="Remove up to so many projects, though max-removals permits fewer.",
)


@click.command(
    short_help="Write what has changed as a signed bundle, for a mirror without network."
)
@click.option(
    "--to",
    "destination",
    required=True,
    metavar="DESTINATION",
    help="A folder, an archive (.tar) or s3://bucket/prefix.",
)
@click.option(
    "--since",
    default="last",
    show_default=True,
    callback=_parse_since,
    metavar="SERIAL",
    help="The serial up to which the destination has everything; 0: it has nothing.",
)
@click.option(
    "--volume-size",
    type=_Size(),
    default="4G",
    show_default=True,
    metavar="BYTES",
    help="The largest file of the bundle, such as 4G for FAT32.",
)
@click.option(
    "--key",
    type=click.Path(path_type=Path, dir_okay=False),
    help="The file of the secret key, instead of [export] secret-key.",
)
@click.option(
    "--projects",
    multiple=True,
    metavar="NAME",
    help="Everything of this project alone, once or more, instead of what has changed.",
)
@click.option(
    "--lock",
    "locks",
    type=click.Path(path_type=Path, dir_okay=False, exists=True),
    multiple=True,
    help="As --projects, for all projects of a lock file or a requirements file.",
)
@json_option
@pass_options
def export(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    *,
    destination: str,
    since: int | None,
    volume_size: int,
    key: Path | None,
    projects: tuple[str, ...],
    locks: tuple[Path, ...],
    as_json: bool,
) -> None:
    """Write what has changed as a signed bundle, which 'frumious import' takes elsewhere.

    A bundle follows the last one for the same destination. If it is interrupted, the next call
    goes on from there. docs/air-gap.md has the way from the first key to the last error.
    """
    from frumious.cli.process import with_mirror

    async def work(mirror: Mirror) -> Exported:
        from frumious.bundles.export import Exporter
        from frumious.cli.keys import read_secret_key

        path = key or mirror.config.export_key
        if not path:
            msg = "which key signs? Name its file with --key, or as [export] secret-key"
            raise click.UsageError(msg)
        named = _named(projects, locks, mirror) if projects or locks else None
        exporter = Exporter(mirror, destination, read_secret_key(Path(path)), volume_size, named)
        return await exporter.export(since)

    done = with_mirror(options, work)
    if as_json:
        payload = {"bundle": done.location, **_numbers(done.head), "skipped": {**done.skipped}}
        click.echo(json.dumps(payload, indent=1))
    else:
        click.echo(f"{done.location}: {_summary(done.head)}")
    _name_skipped(done.skipped, _NAMED if done.head.projects else _LATER)


@click.command(name="import", short_help="Bring the mirror in step by bundles of another one.")
@click.argument("bundles", nargs=-1, required=True, metavar="BUNDLE...")
@click.option(
    "--key",
    "keys",
    multiple=True,
    metavar="KEY",
    help="A public key or its file, instead of [import] public-key.",
)
@_confirm_option
@click.option(
    "--confirm-losses",
    type=click.IntRange(min=0),
    default=0,
    metavar="FILES",
    help="Let pages lose up to so many files, though max-losses permits fewer.",
)
@json_option
@pass_options
def import_(  # noqa: PLR0913 (one parameter for each option)
    options: Options,
    bundles: tuple[str, ...],
    keys: tuple[str, ...],
    confirm_removals: int,
    confirm_losses: int,
    *,
    as_json: bool,
) -> None:
    """Bring the mirror in step by bundles that 'frumious export' made of another mirror.

    A BUNDLE is its folder, its archive, s3://bucket/prefix, or a folder with several. The signature
    and every byte are verified before anything becomes visible. What was imported before is passed
    over, and a gap is refused.
    """
    from frumious.cli.process import with_mirror

    async def work(mirror: Mirror) -> list[Head]:
        from contextlib import AsyncExitStack

        from frumious.bundles.importing import import_bundles, read_signed
        from frumious.bundles.locations import find_bundles
        from frumious.signing.keys import read_verify_key

        names = keys or tuple(filter(None, map(str.strip, mirror.config.import_keys)))
        if not names:
            msg = "which key is to be trusted? Give it with --key, or as [import] public-key"
            raise click.UsageError(msg)
        trusted = [read_verify_key(name) for name in names]
        async with AsyncExitStack() as opened:
            found = [
                await read_signed(bundle, trusted)
                for name in bundles
                for bundle in await opened.enter_async_context(find_bundles(name, mirror.config))
            ]
            done = []
            async for head in import_bundles(found, mirror, confirm_removals, confirm_losses):
                if not (options.quiet or as_json):
                    click.echo(f"{head.name}: {_summary(head)}", err=True)
                done.append(head)
            return done

    done = with_mirror(options, work, exclusive=True)
    if as_json:
        click.echo(json.dumps({"imported": [_numbers(head) for head in done]}, indent=1))
    elif done:
        click.echo(f"The mirror is at serial {done[-1].serial}.")
    else:
        click.echo("Nothing to do: the mirror has all of it.")


@click.command(name="sync-to", short_help="Copy the mirror to another storage, without upstream.")
@click.argument(
    "configuration", type=click.Path(path_type=Path, dir_okay=False, exists=True), metavar="CONFIG"
)
@click.option("--full", is_flag=True, help="Compare everything, not only what has changed.")
@_confirm_option
@json_option
@pass_options
def sync_to(
    options: Options, configuration: Path, confirm_removals: int, *, full: bool, as_json: bool
) -> None:
    """Copy the mirror to the storage of another configuration CONFIG, without asking upstream.

    What has changed since the last time is copied: files first, then pages, then the root index.
    """
    from frumious.cli.options import Options as OtherOptions
    from frumious.cli.process import load_config, locked, with_mirror
    from frumious.mirror import open_mirror

    other = load_config(OtherOptions(path=configuration, quiet=True))

    async def work(mirror: Mirror) -> Synced:
        from frumious.bundles.direct import sync

        async with open_mirror(other) as destination:
            return await sync(mirror, destination, confirm_removals, full=full)

    with locked(other):
        done = with_mirror(options, work)
    if as_json:
        click.echo(json.dumps(done.payload, indent=1))
    else:
        from frumious.cli.sizes import count, size

        text = f"{count(done.changed, 'project')} changed, {done.removed} removed"
        click.echo(f"{text}; {count(done.files, 'object')} copied, {size(done.bytes_)}.")
    _name_skipped(done.skipped, _LATER)


def _named(
    projects: tuple[str, ...], locks: tuple[Path, ...], mirror: Mirror
) -> tuple[NormalizedName, ...]:
    """Return the projects that the options name.

    Raises:
        UsageError: they name none, or something that is no project's name.
    """
    from frumious.config.settings import PYPI
    from frumious.locks.parse import parse_list
    from frumious.simple.values import project_name

    names: set[NormalizedName] = set()
    for text in projects:
        name = project_name(text)
        if name is None:
            msg = f"{text!r} is not a project's name"
            raise click.UsageError(msg)
        names.add(name)
    for path in locks:
        names |= parse_list(str(path), path.read_bytes(), [mirror.config.master, PYPI]).pins.keys()
    if not names:
        msg = "the lock files name no project"
        raise click.UsageError(msg)
    return tuple(sorted(names))


def _summary(head: Head) -> str:
    from frumious.cli.sizes import count, size

    text = f"{count(head.changed, 'project')} changed, {head.removed} removed"
    return f"{text}; {count(head.objects, 'object')}, {size(head.bytes)}"


def _numbers(head: Head) -> JsonObject:
    return {
        "name": head.name,
        "since": head.since,
        "serial": head.serial,
        "complete": head.previous is None and head.projects is None,
        "changed": head.changed,
        "removed": head.removed,
        "objects": head.objects,
        "bytes": head.bytes,
        "volumes": len(head.volumes),
    }


def _name_skipped(skipped: Mapping[str, str], advice: str) -> None:
    """Name what was left out, and end with status 1, if anything was.

    Raises:
        SystemExit: something was.
    """
    for project, problem in sorted(skipped.items())[:_SHOWN]:
        click.echo(f"{project} is left out: {problem}", err=True)
    if skipped:
        click.echo(f"{len(skipped)} left out; {advice}", err=True)
        raise SystemExit(1)
