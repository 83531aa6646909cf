"""Answers about downloads: as a table, as JSON and as CSV."""

from __future__ import annotations

import csv
import json
import sys
from datetime import UTC, datetime
from enum import Enum, auto
from typing import TYPE_CHECKING, Final, NamedTuple

from frumious.cli.sizes import count, size
from frumious.downloads.agents import parse_agent
from frumious.downloads.files import releases_of

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from frumious.downloads.days import Days
    from frumious.downloads.reading import Reading
    from frumious.downloads.tally import Counts
    from frumious.model.types import Json, JsonObject

_MAX_ROWS: Final = 1000  # of a table
_FORMULA: Final = ("=", "+", "-", "@", "\t")  # spreadsheets calculate what begins like that


class Form(Enum):
    """How an answer is printed."""

    TABLE = auto()
    JSON = auto()
    CSV = auto()

    @classmethod
    def of(cls, *, as_json: bool, as_csv: bool) -> Form:
        """Return the form that the options ask for."""
        if as_json:
            return cls.JSON
        return cls.CSV if as_csv else cls.TABLE


class Kind(NamedTuple):
    """A kind of answer: its name in JSON, the fields and values of a row, and a table's columns."""

    name: str
    fields: Sequence[str]
    values: Callable[..., JsonObject]
    columns: Sequence[str]
    cells: Callable[[JsonObject], Sequence[str]]


def show(kind: Kind, rows: Iterable[object], form: Form, reading: Reading, days: Days) -> None:
    """Print an answer; rows are printed as they come, but for those of a table."""
    values = map(kind.values, rows)
    if form is Form.JSON:
        _print_json(kind, values, reading, days)
    elif form is Form.CSV:
        _print_csv(kind, values)
    else:
        _print_table(kind, values)


def notes(reading: Reading, days: Days) -> Iterator[str]:
    """Yield what was read, and what could not be."""
    if reading.first is None or reading.last is None:
        asked = "" if days == (None, None) else " of these days"
        yield f"Read {count(reading.logs, 'log')}: there are no requests{asked}."
    else:
        spans = f"{_time(reading.first)} to {_time(reading.last)} UTC"
        requests = count(reading.requests, "request")
        yield f"Read {count(reading.logs, 'log')} with {requests} of {spans}."
    yield from reading.problems
    if not reading.is_complete:
        lines, logs = count(reading.damaged_lines, "line"), count(reading.damaged_logs, "log")
        yield f"Not read: {lines}, and {logs} or the rest of them. The answer may lack something."


def _client(row: Counts) -> JsonObject:
    filename, address, forwarded_for, user, agent = row.key
    release = next(iter(releases_of(filename)), None)
    known = parse_agent(agent)
    return {
        "filename": filename,
        "project": None if release is None else release.project,
        "version": None if release is None else release.version,
        "address": address or None,
        "forwarded_for": forwarded_for or None,
        "user": user or None,
        "agent": agent or None,
        "installer": known.installer or None,
        "python": known.python or None,
        "system": known.system or None,
        "ci": known.ci,
        **_counts(row),
    }


def _client_cells(row: JsonObject) -> Sequence[str]:
    client = str(row["address"] or "unknown")
    if row["forwarded_for"] is not None:
        client = f"{client} for {row['forwarded_for']}"
    if row["user"] is not None:
        client = f"{row['user']} at {client}"
    return [client, str(parse_agent(str(row["agent"] or ""))), str(row["filename"]), *_cells(row)]


def _project(row: Counts) -> JsonObject:
    return {"project": row.key[0], **_counts(row)}


def _counts(row: Counts) -> JsonObject:
    return {
        "downloads": row.downloads,
        "partial": row.partial,
        "bytes": row.bytes_,
        "first": f"{_time(row.first).replace(' ', 'T')}Z",
        "last": f"{_time(row.last).replace(' ', 'T')}Z",
    }


def _cells(row: JsonObject) -> Sequence[str]:
    first, last = (str(row[name])[:16].replace("T", " ") for name in ("first", "last"))
    numbers = [f"{row[name]:,}" for name in ("downloads", "partial")]
    return [*numbers, size(float(str(row["bytes"]))), first, last]


_CLIENT_FIELDS: Final = (
    *("filename", "project", "version", "address", "forwarded_for", "user"),
    *("agent", "installer", "python", "system", "ci"),
)
_COUNT_FIELDS: Final = ("downloads", "partial", "bytes", "first", "last")
_COUNTED: Final = ("Downloads", "Parts", "Sent", "First (UTC)", "Last (UTC)")
CLIENTS: Final = Kind(
    "clients",
    (*_CLIENT_FIELDS, *_COUNT_FIELDS),
    _client,
    ("Client", "Installer", "File", *_COUNTED),
    _client_cells,
)
PROJECTS: Final = Kind(
    "projects",
    ("project", *_COUNT_FIELDS),
    _project,
    ("Project", *_COUNTED),
    lambda row: [str(row["project"]), *_cells(row)],
)
UNUSED: Final = Kind(
    "never_downloaded",
    ("project",),
    lambda project: {"project": project},
    ("Project",),
    lambda row: [str(row["project"])],
)


def _print_json(kind: Kind, rows: Iterable[JsonObject], reading: Reading, days: Days) -> None:
    write = sys.stdout.write
    first, last = (None if day is None else day.isoformat() for day in days)
    found: dict[str, Json] = {
        "read": reading.logs,
        "requests": reading.requests,
        "first": None if reading.first is None else _time(reading.first),
        "last": None if reading.last is None else _time(reading.last),
        "damaged_lines": reading.damaged_lines,
        "damaged_logs": reading.damaged_logs,
        "problems": [*reading.problems],
    }
    write(f'{{"from": {json.dumps(first)}, "to": {json.dumps(last)},\n')
    write(f' "logs": {json.dumps(found)},\n "{kind.name}": [')
    separator = "\n  "
    for row in rows:
        write(separator + json.dumps(row))
        separator = ",\n  "
    write("\n]}\n")


def _print_csv(kind: Kind, rows: Iterable[JsonObject]) -> None:
    writer = csv.DictWriter(sys.stdout, kind.fields, lineterminator="\n")
    writer.writeheader()
    for row in rows:
        writer.writerow({name: _csv_cell(value) for name, value in row.items()})


def _csv_cell(value: Json) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and value.startswith(_FORMULA):  # clients choose their agents
        return f"'{value}"
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _print_table(kind: Kind, rows: Iterable[JsonObject]) -> None:
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415 (slow to import)
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    from frumious.cli.console import stdout_console  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD)
    for column in kind.columns:
        is_number = column in {"Downloads", "Parts", "Sent"}
        table.add_column(column, justify="right" if is_number else "left", overflow="fold")
    more = 0
    for row in rows:
        if table.row_count < _MAX_ROWS:
            table.add_row(*map(Text, kind.cells(row)))
        else:
            more += 1
    console = stdout_console()
    if table.row_count:
        console.print(table)
    else:
        console.print("Nobody." if kind is CLIENTS else "None.")
    if more:
        console.print(f"{more:,} more: --json and --csv show them.")


def _time(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S")
