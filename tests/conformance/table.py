"""The rows of docs/conformance.md, and how they are written down: the same each time."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from tests.conformance.seen import ABSENT, CANNOT

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_LONG_DIGEST: Final = re.compile(r"[0-9a-f]{24,}")

_TITLES: Final = {
    "503": "the Simple API, in HTML",
    "592": "yanked files",
    "629": "versions of the API",
    "658 and 714": "core metadata beside files",
    "691": "the Simple API, in JSON",
    "700": "versions, sizes, upload times",
    "740": "provenance",
    "792": "project status",
    "752 and beyond": "what later versions bring",
}

_HEAD: Final = """\
# Conformance

Made by `make conformance`; do not edit. Each row is measured: the tests' upstream says something,
jobs mirror it into a bucket, the pages are read back through the distribution's edge function,
and the JSON page, the HTML page and what pip's and `packaging`'s own parsers make of both are
compared with what upstream said. `packaging` has no parser of index pages; it parses filenames,
versions, specifiers, names and core metadata.

*nothing* means that the key or attribute is not there, *n/a* that the form cannot say it. Digests
are cut short, and addresses are replaced by `https://upstream` and `https://mirror`.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One field: what upstream said, what the mirror serves, and whether that is right."""

    pep: str
    field: str
    said: Any
    json: Any = CANNOT
    html: Any = CANNOT
    read: str = ""  # who parsed it, and what came out
    note: str = ""
    right: bool


def render(rows: Iterable[Row], addresses: Mapping[str, str]) -> str:
    """Write the rows as Markdown; `addresses` are replaced by what they stand for."""
    ordered = sorted(rows, key=lambda row: list(_TITLES).index(row.pep))
    parts = [_HEAD]
    for pep, group in groupby(ordered, key=lambda row: row.pep):
        members = list(group)
        title = "PEPs" if " and " in pep and "beyond" not in pep else "PEP"
        parts.append(
            f"## {title} {pep}: {_TITLES[pep]}\n\n"
            "| field | upstream said | mirror, JSON | mirror, HTML | parsed by | |\n"
            "| --- | --- | --- | --- | --- | --- |\n"
        )
        parts[-1] += "".join(f"{_line(row, addresses)}\n" for row in members)
        notes = [f"- {row.field}: {row.note}\n" for row in members if row.note]
        if notes:
            parts.append("".join(notes))
    count = len(ordered)
    wrong = sum(not row.right for row in ordered)
    parts.append(f"{count} rows, {wrong} of them wrong.\n")
    return "\n".join(parts)


def show(value: Any, addresses: Mapping[str, str], *, bare: bool = False) -> str:
    """Write a value as JSON, a `bare` text as it is; the same each time, and fit for a table."""
    if value is CANNOT:
        return "*n/a*"
    if value is ABSENT:
        return "*nothing*"
    text = json.dumps(value, ensure_ascii=False)
    if bare and isinstance(value, str):
        text = value or '""'
    for address, name in addresses.items():
        text = text.replace(address, name)
    text = _LONG_DIGEST.sub(lambda found: f"{found[0][:8]}…", text)
    text = text.replace("|", r"\|")
    return f"`{text}`"


def _line(row: Row, addresses: Mapping[str, str]) -> str:
    values = [
        show(row.said, addresses),
        show(row.json, addresses),
        show(row.html, addresses, bare=True),
    ]
    verdict = "right" if row.right else "**WRONG**"
    return f"| {row.field} | {' | '.join(values)} | {row.read} | {verdict} |"
