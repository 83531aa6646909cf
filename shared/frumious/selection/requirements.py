"""What core metadata requires: parsed, and evaluated for the configured environments. Pure.

Markers are evaluated as far as an environment says something: what it leaves open counts.
"""

from __future__ import annotations

import re
from collections import defaultdict
from typing import TYPE_CHECKING, Final, NamedTuple

from packaging.markers import InvalidMarker, Marker
from packaging.requirements import InvalidRequirement, Requirement
from packaging.utils import canonicalize_name

from frumious.model.closure import (
    MAX_DEPENDENCIES,
    MAX_LINE_LENGTH,
    Dependency,
    check_specifier,
)
from frumious.model.types import MAX_NAME_LENGTH

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

HEADERS_SIZE: Final = 1024**2  # bytes; what follows them is the description
_MAX_LINES: Final = 10_000  # requirements of a file
_MAX_MARKER: Final = 500  # characters
_MAX_NESTING: Final = 30
_MAX_SHOWN: Final = 80  # characters
_OPERAND: Final = r"""(?:"[^"]*"|'[^']*'|\w+)"""
_COMPARISON: Final = re.compile(
    rf"(?P<left>{_OPERAND}) (?:<=|>=|===|==|!=|~=|<|>|not in|in) (?P<right>{_OPERAND})"
)
_EXTRA: Final = re.compile(r"""extra (?:==|!=) (?:"([^"]*)"|'([^']*)')""")
_TRUE: Final = 'python_version >= "0"'


class RawRequirements(NamedTuple):
    """The requirements of a file, as its core metadata has them."""

    lines: tuple[str, ...] = ()
    problem: str = ""  # why they are not known; empty: they are


def parse_metadata(headers: bytes) -> RawRequirements:
    """Return what the headers of core metadata require; `headers` may go on after them."""
    from packaging.metadata import parse_email  # noqa: PLC0415 (few mirrors have a closure)

    end = re.search(rb"\r?\n\r?\n", headers)
    if end is None and len(headers) >= HEADERS_SIZE:
        return RawRequirements(problem=f"its metadata has headers of over {HEADERS_SIZE} bytes")
    raw, unparsed = parse_email(headers if end is None else headers[: end.start() + 1])
    if "metadata_version" not in raw or "requires-dist" in unparsed:
        return RawRequirements(problem="its metadata is not valid")
    dynamic = {field.lower() for field in raw.get("dynamic", ())}
    if dynamic & {"requires-dist", "provides-extra"}:
        return RawRequirements(problem="its requirements are dynamic")
    lines = raw.get("requires_dist", [])
    if len(lines) > _MAX_LINES:
        return RawRequirements(problem=f"it has {len(lines)} requirements, over {_MAX_LINES}")
    return RawRequirements(tuple(sorted({*lines})))


def dependencies_of(
    lines: Iterable[str], environments: Sequence[Mapping[str, str]]
) -> tuple[tuple[Dependency, ...], list[str]]:
    """Return the dependencies of some requirements, and what is wrong with the others."""
    found: defaultdict[Dependency, set[str]] = defaultdict(set)
    always: set[Dependency] = set()
    problems: list[str] = []
    for line in lines:
        try:
            dependency, marker = _parse(line)
        except (InvalidRequirement, ValueError) as error:
            problems.append(f"{line!r:.{_MAX_SHOWN}} is left out: {str(error).splitlines()[0]:.99}")
            continue
        extras = None if marker is None else _enabled_by(marker, environments)
        if extras is None:
            always.add(dependency)
        elif extras:
            found[dependency] |= extras
    conditional = (
        Dependency(each.project, each.specifier, each.extras, tuple(sorted(extras)))
        for each, extras in found.items()
        if each not in always
    )
    together = sorted((*always, *conditional))
    if len(together) > MAX_DEPENDENCIES:
        problems.append(f"{len(together)} dependencies, of which {MAX_DEPENDENCIES} count")
    return tuple(together[:MAX_DEPENDENCIES]), problems


def _parse(line: str) -> tuple[Dependency, Marker | None]:
    """Parse a requirement.

    Raises:
        InvalidRequirement, ValueError: it is not valid, or leads away from the index.
    """
    if len(line) > MAX_LINE_LENGTH:
        msg = f"it is longer than {MAX_LINE_LENGTH} characters"
        raise ValueError(msg)
    if line.count("(") > _MAX_NESTING:  # the parser is recursive
        msg = f"it has more than {_MAX_NESTING} parentheses"
        raise ValueError(msg)
    requirement = Requirement(line)
    if requirement.url:
        msg = "it names an address, and not a project of the index"
        raise ValueError(msg)
    if len(requirement.name) > MAX_NAME_LENGTH:
        msg = "its name is too long"
        raise ValueError(msg)
    specifier = str(requirement.specifier)
    check_specifier(specifier)
    extras = sorted({str(canonicalize_name(extra)) for extra in requirement.extras})
    dependency = Dependency(canonicalize_name(requirement.name), specifier, tuple(extras))
    return dependency, requirement.marker


def _enabled_by(marker: Marker, environments: Sequence[Mapping[str, str]]) -> set[str] | None:
    """Return the extras with which a marker may be true; None: it may be without any."""
    text = str(marker)
    if len(text) > _MAX_MARKER:
        return None
    extras = {str(canonicalize_name(one or two)) for one, two in _EXTRA.findall(text)}
    enabled: set[str] = set()
    for environment in environments or ({},):
        known = _known_part(text, environment)
        if known is None or _is_true(known, environment, ""):
            return None
        enabled |= {extra for extra in extras if _is_true(known, environment, extra)}
    return enabled


def _known_part(text: str, environment: Mapping[str, str]) -> Marker | None:
    """Return a marker in which every comparison that the environment leaves open is true."""

    def replaced(match: re.Match[str]) -> str:
        names = {each for each in match.group("left", "right") if each[0] not in "\"'"}
        return match[0] if names <= {"extra", *environment} else _TRUE

    try:
        return Marker(_COMPARISON.sub(replaced, text))
    except InvalidMarker:
        return None


def _is_true(marker: Marker, environment: Mapping[str, str], extra: str) -> bool:
    try:
        return marker.evaluate({"python_version": "3.99", **environment, "extra": extra})
    except ValueError:  # versions that cannot be compared
        return True
