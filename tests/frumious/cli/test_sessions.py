"""What a person sees: recorded sessions on terminals, wide and narrow, with colours and without.

`make sessions` records them anew: look at the difference before you commit it.
"""

from __future__ import annotations

import os
import re
import shlex
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pytest

from tests.frumious.cli.terminal import Screen, in_terminal
from tests.frumious.cli.test_cli import frumious
from tests.upstream import Fault, Slow, Status

if TYPE_CHECKING:
    from tests.upstream import Index, Server

SESSIONS: Final = Path(__file__).parent / "sessions"
# name -> columns, environment; 0 columns: no terminal
TERMINALS: Final[dict[str, tuple[int, dict[str, str]]]] = {
    "80-columns": (80, {}),
    "40-columns": (40, {}),
    "80-columns-without-colour": (80, {"NO_COLOR": "1"}),
    "no-terminal": (0, {}),
}
_COLOUR: Final = re.compile(r"\{\d+\}")
_PROJECT: Final = re.compile(r"(?:idna|six|zope): ")
_TIME: Final = re.compile(r"\b\d+(?:\.\d+)? (?:s|min)\b")


class Session:
    """Runs command lines on a terminal, and keeps what a person sees of them."""

    def __init__(self, terminal: str, folder: Path, upstream: Server) -> None:
        self._columns, self._environment = TERMINALS[terminal]
        self._folder = folder
        self._upstream = upstream
        self.text = ""

    def run(self, command: str) -> None:
        arguments = ["-c", f"{self._folder}/mirror.conf", *shlex.split(command)]
        if self._columns:
            status, output = in_terminal(
                *arguments, columns=self._columns, environment=self._environment
            )
            screen = Screen(self._columns)
            screen.feed(self._normalized(output))
            shown = _in_order(screen.text, self._columns)
        else:
            done = frumious(*arguments)
            status, shown = (
                done.returncode,
                _in_order(self._normalized(done.stderr + done.stdout), 10_000),
            )
        self.text += f"$ frumious {command}\n{shown.strip()}\n[{status}]\n\n"

    def _normalized(self, output: str) -> str:
        """Return the output as if it was that of another day and machine."""
        output = output.replace(self._upstream.url, "http://upstream")
        return _TIME.sub("5 s", output.replace(str(self._folder), "/srv"))


def _in_order(shown: str, columns: int) -> str:
    """Sort the lines of projects that follow each other: they end in any order."""
    lines: list[tuple[bool, str, list[str]]] = []
    for row in shown.splitlines():
        if lines and len(_COLOUR.sub("", lines[-1][2][-1])) == columns:
            lines[-1][2].append(row)  # the line goes on
        else:
            match = _PROJECT.match(_COLOUR.sub("", row))
            lines.append((match is not None, match[0] if match else "", [row]))
    ordered: list[str] = []
    for _, group in groupby(lines, key=itemgetter(0)):
        together = [*group]
        if together[0][0]:
            together.sort(key=itemgetter(1))
        ordered += [row for _, _, rows in together for row in rows]
    return "\n".join(ordered)


@pytest.mark.parametrize("terminal", TERMINALS)
def test_a_session_looks_as_recorded(
    terminal: str, index: Index, upstream: Server, tmp_path: Path
) -> None:
    (tmp_path / "mirror.conf").write_text(
        f"[mirror]\ndirectory = {tmp_path}/pypi\nmaster = {upstream.url}\n"
        "allow-non-https = true\nworkers = 1\nretry-pause = 600\n"
    )
    session = Session(terminal, tmp_path, upstream)
    index.add_file("idna", "idna-3.10.tar.gz", size=190_490)
    index.add_file("six", "six-1.17.0.tar.gz", size=34_031)
    index.add_file("six", "six-1.16.0.tar.gz", size=34_041)
    index.add_file("zope", "zope-1.0.tar.gz", size=1000)
    missing = upstream.faults.add(Fault(Status(404), "/packages/", project="zope"))

    session.run("plan")
    session.run("mirror")
    session.run("mirror")
    session.run("status")

    upstream.faults.remove(missing)
    index.remove_project("idna")
    index.remove_release("six", "1.16.0")
    session.run("retry zope")
    session.run("plan")
    session.run("mirror")
    session.run("plan --force-check")
    session.run("sync nothing six")

    upstream.faults.add(Fault(Status(503)))
    session.run("mirror")

    recorded = SESSIONS / f"{terminal}.txt"
    if os.environ.get("RECORD"):
        recorded.write_text(session.text, encoding="utf-8")
    assert session.text == recorded.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("columns", "last_row"),
    [
        (80, r"[━╸╺ ]+ 0 of 1 project, [\d.]+ [kM]?B of 2\.0 MB, [\d.]+ [kM]?B/s, [\d.]+ s left"),
        (40, r"[\d.]+ [kM]?B of 2\.0 MB, [\d.]+ s left"),
    ],
)
def test_a_bar_shows_bytes_speed_and_time_left(
    columns: int, last_row: str, index: Index, upstream: Server, tmp_path: Path
) -> None:
    conf = tmp_path / "mirror.conf"
    conf.write_text(
        f"[mirror]\ndirectory = {tmp_path}/pypi\nmaster = {upstream.url}\nallow-non-https = true\n"
    )
    index.add_file("big", "big-1.0.tar.gz", size=2_000_000)
    upstream.faults.add(Fault(Slow(rate=1_000_000), "/packages/"))

    status, output = in_terminal(
        "mirror", "-c", str(conf), columns=columns, environment={"NO_COLOR": "1"}
    )

    assert status == 0, output
    rows = set()
    screen = Screen(columns)
    for frame in re.split(r"(?<=left)", output):
        screen.feed(frame)
        rows.add(screen.text.splitlines()[-1].strip())
    assert any(re.fullmatch(last_row, row) for row in rows), rows
    screen.feed("")
    assert screen.text.splitlines()[0] == "big: 1 file, 2.0 MB", "the bar is gone"
