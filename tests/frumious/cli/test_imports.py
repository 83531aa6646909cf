"""A verb imports what it needs, and no more: imports take most of the time of a short command."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import click
import pytest

from frumious.cli.main import main
from tests.frumious.cli.test_cli import ENVIRONMENT
from tests.upstream import Index, Server

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

PROGRAM = """
import sys
before = set(sys.modules)
from frumious.cli.main import main
main(sys.argv[1:], standalone_mode=False)
print("imported:", *sorted(name for name in set(sys.modules) - before))
"""
# Slow to import, and needed by the work itself alone.
SLOW = {
    *("aiohttp", "asyncio", "boto3", "botocore", "concurrent", "email", "http", "ijson"),
    *("msgspec", "packaging", "rich", "ssl", "swiftclient", "urllib3", "uvloop", "yarl"),
}
VERBS = (
    "bundles",
    "delete",
    "doctor",
    "downloads",
    "explain",
    "follow",
    "keys",
    "plan",
    "pythons",
    "serve",
    "snapshots",
    "status",
    "tokens",
    "verify",
)
OF_THE_COMMAND = {
    *("frumious", "frumious.cli", "frumious.cli.main", "frumious.cli.options"),
    *(f"frumious.cli.{verb}" for verb in VERBS),
    *("frumious.errors", "frumious.redaction"),
}


def imported(*arguments: str, cwd: Path) -> set[str]:
    """Return the modules that the command imports, in a process of its own."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, *arguments],
        env=ENVIRONMENT,
        cwd=cwd,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    return set(done.stdout.splitlines()[-1].removeprefix("imported:").split())


def verbs(group: click.Group, *path: str) -> Iterator[tuple[str, ...]]:
    for name, command in group.commands.items():
        yield (*path, name)
        if isinstance(command, click.Group):
            yield from verbs(command, *path, name)


@pytest.mark.parametrize(
    "arguments",
    [
        ("--help",),
        ("--version",),
        *((*verb, "--help") for verb in verbs(main)),
        ("completion", "bash"),
        ("init",),
    ],
    ids=" ".join,
)
def test_what_only_prints_imports_click_alone(arguments: tuple[str, ...], tmp_path: Path) -> None:
    modules = imported(*arguments, cwd=tmp_path)

    assert {name.partition(".")[0] for name in modules} & SLOW == set()
    assert {name for name in modules if name.startswith("frumious")} <= OF_THE_COMMAND


def test_an_estimate_of_given_numbers_needs_no_upstream(tmp_path: Path) -> None:
    modules = imported("estimate", "--projects", "10", "--json", cwd=tmp_path)

    assert modules & {"aiohttp", "rich", "frumious.mirror", "frumious.upstream"} == set()


def test_a_plan_needs_nothing_of_what_carries_it_out(tmp_path: Path) -> None:
    with Server(Index()) as upstream:
        (tmp_path / "mirror.conf").write_text(
            f"[mirror]\ndirectory = {tmp_path / 'mirror'}\nmaster = {upstream.url}\n"
            "allow-non-https = true\n"
        )
        modules = imported("plan", "--json", cwd=tmp_path)

    assert "frumious.planning.plan" in modules
    assert modules & {"rich", "frumious.local", "frumious.syncing", "frumious.finalizing"} == set()
