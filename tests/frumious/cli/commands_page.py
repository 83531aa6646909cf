"""Write docs/commands.md, which is made from the commands themselves (`make commands`)."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import TYPE_CHECKING, Final

import click

from frumious.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator

DOCUMENT: Final = Path(__file__).parents[3] / "docs" / "commands.md"
_COMMON: Final = ("config", "verbose", "quiet", "help")  # every verb has these
_INTRODUCTION: Final = """\
# Commands

`make commands` makes this page from the commands' own help. `docs/configuration.md` describes
`mirror.conf`.
"""
_END: Final = """\
## Exit statuses

| status | meaning |
| --- | --- |
| 0 | All went well. |
| 1 | Projects are lagging, which the command names with their reasons, or something else failed. \
`sync` and `delete` answer for the projects that they name. |
| 2 | The configuration or the command line cannot be used; nothing was done. |
| 130, 143 | Ctrl-C or SIGTERM stopped the command. What is done counts; the next run continues. |

## Output

What a command finds is on stdout. How a run goes is on stderr: a line for each project as it ends,
and at once why work is slow or failing. On a terminal there is a bar of bytes with speed and time
left (`~` marks a total that is an estimate); elsewhere, a line every half minute says the same.
`NO_COLOR` turns colours off. With `--json`, stdout is one JSON document.
"""


def document() -> str:
    """Return the page."""
    context = click.Context(main, info_name="frumious", **main.context_settings)
    sections = [_INTRODUCTION, _section(main, context)]
    sections += [_section(command, child) for command, child in _verbs(main, context)]
    return "\n".join([*sections, _END])


def _verbs(
    group: click.Group, context: click.Context
) -> Iterator[tuple[click.Command, click.Context]]:
    for name, command in sorted(group.commands.items()):
        child = click.Context(command, parent=context, info_name=name)
        yield command, child
        if isinstance(command, click.Group):
            yield from _verbs(command, child)


def _section(command: click.Command, context: click.Context) -> str:
    """Return what a command is for, and its options."""
    usage = " ".join([context.command_path, *command.collect_usage_pieces(context)])
    lines = [f"## {context.command_path}", "", f"    {usage}", ""]
    for paragraph in inspect.cleandoc(command.help or "").split("\n\n"):
        first, *rest = paragraph.removeprefix("\b\n").splitlines()
        if paragraph.startswith("\b"):  # click's sign for lines that stay as they are
            rest = ["", *(f"  {line}" for line in rest)]
        lines += [first, *rest, ""]
    shown = _COMMON if command is not main else ()
    options = [
        record
        for parameter in command.get_params(context)
        if isinstance(parameter, click.Option)
        and not any(f"--{name}" in parameter.opts for name in shown)
        and (record := parameter.get_help_record(context)) is not None
    ]
    if options:
        lines += ["| option | meaning |", "| --- | --- |"]
        lines += [f"| `{names}` | {' '.join(text.split())} |" for names, text in options]
        lines.append("")
    return "\n".join(lines)


if __name__ == "__main__":
    DOCUMENT.write_text(document(), encoding="utf-8")
