"""docs/commands.md is what the commands themselves say."""

from __future__ import annotations

from tests.frumious.cli.commands_page import DOCUMENT, document
from tests.frumious.cli.test_cli import frumious


def test_the_page_is_up_to_date() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document(), "run 'make commands'"


def test_each_verb_is_one_whole_line_of_the_help() -> None:
    _, verbs = frumious("--help").stdout.split("Commands:\n")

    assert "..." not in verbs
