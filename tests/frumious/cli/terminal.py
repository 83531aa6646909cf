"""A pseudo-terminal, and what a person sees on it."""

from __future__ import annotations

import fcntl
import os
import pty
import re
import struct
import subprocess
import sys
import termios
from typing import TYPE_CHECKING, Final

from tests.frumious.cli.test_cli import ENVIRONMENT

if TYPE_CHECKING:
    from collections.abc import Mapping

_SEQUENCE: Final = re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])|([\r\n])|([^\x1b\r\n]+)")


class Screen:
    """What is on a terminal after some output; a colour is shown as `{31}` where it begins."""

    def __init__(self, width: int) -> None:
        self._width = width
        self._rows: list[list[tuple[str, str]]] = [[]]  # characters with their colours
        self._row = self._column = 0
        self._color = ""

    def feed(self, text: str) -> None:
        """Show some output."""
        for parameters, command, control, plain in _SEQUENCE.findall(text):
            number = int(parameters) if parameters.isdigit() else 1
            match control or command:
                case "\r":
                    self._column = 0
                case "\n":
                    self._move_to(self._row + 1)
                case "A":
                    self._row = max(0, self._row - number)
                case "K":
                    kept = 0 if parameters == "2" else self._column
                    del self._rows[self._row][kept:]
                case "m":
                    self._color = "" if parameters in {"", "0"} else parameters
            for character in plain:
                self._put(character)

    @property
    def text(self) -> str:
        """The rows, without spaces at their ends."""
        return "\n".join(map(_render, self._rows)).rstrip("\n") + "\n"

    def _move_to(self, row: int) -> None:
        while len(self._rows) <= row:
            self._rows.append([])
        self._row = row

    def _put(self, character: str) -> None:
        if self._column == self._width:
            self._move_to(self._row + 1)
            self._column = 0
        row = self._rows[self._row]
        row += [(" ", "")] * (self._column + 1 - len(row))
        row[self._column] = character, self._color
        self._column += 1


def _render(row: list[tuple[str, str]]) -> str:
    text, before = "", ""
    for character, color in row:
        text += character if color == before else f"{{{color or 0}}}{character}"
        before = color
    return text.rstrip()


def in_terminal(
    *arguments: str,
    columns: int,
    environment: Mapping[str, str] | None = None,
    answer: str = "",
    prompt: str = "",
) -> tuple[int, str]:
    """Run the command in a terminal; return its exit status and all that it wrote.

    `answer` is what a person types once `prompt` is shown.
    """
    own, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    variables = {**os.environ, **ENVIRONMENT, "TERM": "xterm", **(environment or {})}
    for name in ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "CI"):
        if name not in (environment or {}):
            variables.pop(name, None)
    # The terminal controls the process, so that Ctrl-C becomes a signal; a shell's background job
    # would ignore that.
    control = "import fcntl, os, signal, sys, termios; fcntl.ioctl(0, termios.TIOCSCTTY, 0);"
    control += "signal.signal(signal.SIGINT, signal.SIG_DFL);"
    control += "os.execv(sys.executable, [sys.executable, '-m', 'frumious.cli', *sys.argv[1:]])"
    process = subprocess.Popen(
        [sys.executable, "-c", control, *arguments],
        stdin=its,
        stdout=its,
        stderr=its,
        env=variables,
        start_new_session=True,
    )
    os.close(its)
    output = bytearray()
    while True:
        try:
            block = os.read(own, 65536)
        except OSError:  # Linux's sign for the end
            break
        if not block:
            break
        output += block
        if answer and prompt.encode() in output:
            os.write(own, answer.encode())
            answer = ""
    os.close(own)
    return process.wait(60), output.decode()
