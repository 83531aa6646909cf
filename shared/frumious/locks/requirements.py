"""Parses requirements files, with or without hashes, as a list of what they pin."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from packaging.requirements import InvalidRequirement, Requirement

from frumious.model.lists import MAX_REQUIREMENT

if TYPE_CHECKING:
    from collections.abc import Iterator

    from frumious.locks.found import Found

MAX_ENTRIES: Final = 100_000  # that a list may have

_HASH: Final = re.compile(r"\s--hash[=\s]\s*(\S+)")
_COMMENT: Final = re.compile(r"(^|\s)#.*")
_INDEX: Final = re.compile(r"(?:-i|--index-url)[=\s]\s*(\S+)")
# Other files, paths and addresses, which pip accepts too.
_OTHERS: Final = re.compile(r"(?:-[rce]|--requirement|--constraint|--editable)\b|[./]|\w+(\+\w+)?:")


def parse_requirements(text: str, found: Found) -> None:
    """Add each requirement of a file; leave out what is from elsewhere than the index.

    Raises:
        ValueError: a line is invalid; the text has its number.
    """
    index = ""  # another one than ours
    for number, line in logical_lines(text):
        if option := _INDEX.match(line):
            index = "" if found.is_from_index(option[1]) else option[1]
        elif _OTHERS.match(line):
            found.leave_out(f"line {number}", line)
        elif not line.startswith("-"):
            try:
                _add(line, index, found)
            except (InvalidRequirement, ValueError) as error:
                msg = f"line {number}: {str(error).splitlines()[0]}"
                raise ValueError(msg) from error


def _add(line: str, index: str, found: Found) -> None:
    requirement = Requirement(without_hashes(line))
    if requirement.url is not None or index:
        found.leave_out(requirement.name, requirement.url or index)
        return
    files = (("", [each]) for each in _HASH.findall(line))
    found.add(requirement.name, str(requirement.specifier), files)


def without_hashes(line: str) -> str:
    """Return a requirement without its `--hash` options.

    Raises:
        ValueError: it is too long.
    """
    requirement = _HASH.sub("", line).strip()
    if len(requirement) > MAX_REQUIREMENT:
        msg = f"{requirement!r:.80} is longer than {MAX_REQUIREMENT} characters"
        raise ValueError(msg)
    return requirement


def logical_lines(text: str) -> Iterator[tuple[int, str]]:
    """Yield the lines, of which a backslash joins several, without comments.

    Raises:
        ValueError: while iterating; there are more than `MAX_ENTRIES`.
    """
    for count, line in enumerate(_logical_lines(text)):
        if count == MAX_ENTRIES:
            msg = f"it has more than {MAX_ENTRIES:,} entries"
            raise ValueError(msg)
        yield line


def _logical_lines(text: str) -> Iterator[tuple[int, str]]:
    joined, first = "", 0
    for number, line in enumerate(text.splitlines(), start=1):
        first = first or number
        stripped = line if joined else _COMMENT.sub("", line)
        if stripped.rstrip().endswith("\\"):
            joined += stripped.rstrip().removesuffix("\\") + " "
            continue
        logical = _COMMENT.sub("", joined + stripped).strip()
        if logical:
            yield first, logical
        joined, first = "", 0
    if joined.strip():
        yield first, joined.strip()
