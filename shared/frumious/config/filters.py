"""The options of filters, and their parsers, which raise ValueError with the valid values."""

from __future__ import annotations

import codecs
import re
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.utils import canonicalize_name
from packaging.version import InvalidVersion, Version

from frumious.config import values
from frumious.encodings import encoding_of
from frumious.locks.requirements import logical_lines, without_hashes
from frumious.redaction import SecretText, check_login

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from packaging.requirements import Requirement
    from packaging.utils import NormalizedName

    from frumious.config.reader import Reader

T = TypeVar("T")

REGEX_SECTION: Final = "filter_regex"
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_SIZE: Final = re.compile(r"(?P<number>\d+(?:\.\d+)?)\s*(?P<unit>[KMGT]?)(?:i?B)?", re.IGNORECASE)
_BOMS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16, whose mark is the beginning of this one
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_ENCODING: Final = re.compile(rb"\s*#.*?coding[:=]\s*([-\w.]+)")  # PEP 263


class Required(NamedTuple):
    """What `[allowlist] requirements` names."""

    entries: tuple[Requirement, ...] = ()  # of files
    addresses: tuple[str, ...] = ()  # s3:// and https, which are read when a run is planned

    @property
    def pins(self) -> tuple[Requirement, ...]:
        """The entries with a version specifier."""
        return tuple(entry for entry in self.entries if entry.specifier)


class FilterOptions:
    """The lists of a configuration that several filters read."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader

    @cached_property
    def allowed(self) -> tuple[Requirement, ...]:
        """The entries of `[allowlist] packages`."""
        return self.reader.get("allowlist", "packages", values.requirements, ())

    @cached_property
    def blocked(self) -> tuple[Requirement, ...]:
        """The entries of `[blocklist] packages`."""
        return self.reader.get("blocklist", "packages", values.requirements, ())

    @cached_property
    def regex_search(self) -> bool:
        """Whether the patterns of `[filter_regex]` match anywhere; else from the beginning."""
        return self.reader.get(REGEX_SECTION, "search", values.boolean, False)

    @cached_property
    def required(self) -> Required:
        """What `[allowlist] requirements` names, in `requirements_path`."""
        folder = self.reader.get("allowlist", "requirements_path", _folder, "")

        def parse(text: str) -> Required:
            return _required(folder, text)

        return self.reader.get("allowlist", "requirements", parse, Required())

    @cached_property
    def locks(self) -> tuple[str, ...]:
        """The files, patterns and addresses of `[locks] files`."""
        return self.reader.get("locks", "files", sources, NO_TEXTS)

    @cached_property
    def top(self) -> int:
        """How many projects of its list `[top]` selects; 0: it is not set."""
        return self.reader.get("top", "projects", values.whole_number(1), 0)


NO_TEXTS: Final[tuple[str, ...]] = ()


def lines(text: str) -> tuple[str, ...]:
    """Return the lines that are not empty, without comments."""
    entries = (line.partition("#")[0].strip() for line in text.splitlines())
    return tuple(entry for entry in entries if entry)


def sources(text: str) -> tuple[str, ...]:
    """Parse files, patterns of files, s3:// and https addresses, one on each line."""
    found = lines(text)
    for source in filter(is_address, found):
        check_address(source)
    return tuple(map(SecretText, found))


def is_address(text: str) -> bool:
    """Return whether a text is an address, and not a file or a pattern of files."""
    return "://" in text


def check_address(source: str) -> None:
    """Check that a list can be read from an address.

    Raises:
        ValueError: it is neither s3://bucket/key nor an https address, or a pattern.
    """
    check_login(source)
    scheme, _, path = source.partition("://")
    if scheme not in {"s3", "https", "http"}:
        msg = f"{source!r} must be a file, s3://bucket/key or https://..."
        raise ValueError(msg)
    if scheme == "s3" and not all(path.partition("/")):
        msg = f"{source!r} is not s3://bucket/key"
        raise ValueError(msg)
    if scheme != "s3" and not _has_host(source):
        msg = f"{source!r} has no valid host and port"
        raise ValueError(msg)
    if "*" in path.partition("?")[0]:
        msg = f"{source!r} is a pattern, and only files may have one: list each address"
        raise ValueError(msg)


def _has_host(url: str) -> bool:
    try:
        return values.address(url) is not None
    except ValueError:  # its text may quote a password
        return False


def names(text: str) -> frozenset[NormalizedName]:
    """Parse names of projects, one on each line."""
    return frozenset(canonicalize_name(line) for line in lines(text))


def patterns(text: str) -> tuple[str, ...]:
    """Parse regular expressions, one on each line."""
    found = tuple(line.strip() for line in text.splitlines() if line.strip())
    for pattern in found:
        try:
            re.compile(pattern)
        except re.error as error:
            msg = f"{pattern!r} is not a regular expression: {error}"
            raise ValueError(msg) from error
    return found


def versions(text: str) -> tuple[Version, ...]:
    """Parse versions, one on each line."""
    try:
        return tuple(map(Version, lines(text)))
    except InvalidVersion as error:
        msg = f"each line must be a version such as 3.11: {error}"
        raise ValueError(msg) from error


def size(text: str) -> int:
    """Parse a number of bytes above 0, with an optional unit K, M, G or T of 1024."""
    found = _SIZE.fullmatch(text)
    number = int(float(found["number"]) * _UNITS[found["unit"].upper()]) if found else 0
    if number:
        return number
    msg = "must be a number of bytes above 0, with an optional unit K, M, G or T, such as 1G"
    raise ValueError(msg)


def cooldown(text: str) -> float:
    """Parse a number of days up to ten years, as seconds."""
    try:
        return values.delay(text)
    except ValueError:
        msg = "must be a number of days, such as 7 or 0.5, at most 3650; 0 means no cooldown"
        raise ValueError(msg) from None


def _folder(text: str) -> str:
    """Parse a folder, or an address that names of files may follow."""
    if is_address(text):
        check_address(f"{text.rstrip('/')}/file")
        if "?" in text:
            msg = "has a query: list whole addresses as requirements"
            raise ValueError(msg)
    return text


def _required(folder: str, text: str) -> Required:
    """Parse names of requirements files, patterns and addresses, one on each line of `text`."""
    entries: list[Requirement] = []
    addresses: list[str] = []
    for name in lines(text):
        if is_address(name) or is_address(folder):
            address = name if is_address(name) else f"{folder.rstrip('/')}/{name}"
            check_address(address)
            addresses.append(SecretText(address))
        else:
            entries += _requirement_files(Path(folder), name)
    return Required(tuple(entries), tuple(dict.fromkeys(addresses)))


def _requirement_files(folder: Path, name: str) -> Iterator[Requirement]:
    """Yield the requirements of a file, or of all files that match a pattern."""
    paths = sorted(folder.glob(name)) if "*" in name else [folder / name]
    if not paths:
        msg = f"no file matches {str(folder / name)!r}"
        raise ValueError(msg)
    for path in paths:
        yield from parsed_file(path, requirement_entries)


def parsed_file(path: Path, parse: Callable[[bytes], T]) -> T:
    """Parse a list in a file.

    Raises:
        ValueError: it cannot be read, or `parse` refuses it; the text names it.
    """
    try:
        return parse(path.read_bytes())
    except OSError as error:
        msg = f"{str(path)!r} cannot be read: {error.strerror}"
        raise ValueError(msg) from error
    except ValueError as error:
        msg = f"{str(path)!r}: {error}"
        raise ValueError(msg) from error


def requirement_entries(data: bytes) -> tuple[Requirement, ...]:
    """Parse a requirements file; lines with options of pip are passed over.

    It may begin with a byte order mark or a line with its encoding (PEP 263).

    Raises:
        ValueError: it is not text, or a line is not a requirement.
    """
    try:
        text = decode(data)
    except (UnicodeDecodeError, LookupError) as error:
        msg = f"it is not text: {error}"
        raise ValueError(msg) from error
    entries = (line for _, line in logical_lines(text) if not line.startswith("-"))
    return values.requirements("\n".join(map(without_hashes, entries)))


def decode(data: bytes) -> str:
    """Decode a text with a byte order mark, or a line with its encoding (PEP 263); else UTF-8."""
    for mark, encoding in _BOMS:
        if data.startswith(mark):
            return data.decode(encoding)
    for line in data.splitlines()[:2]:
        if found := _ENCODING.match(line):
            return data.decode(encoding_of(found[1]))
    return data.decode()


def specifier(text: object) -> SpecifierSet | None:
    """Return a version specifier; None for anything else."""
    try:
        return SpecifierSet(text) if isinstance(text, str) and text else None
    except InvalidSpecifier:
        return None


def plugins(known: frozenset[str]) -> Callable[[str], frozenset[str]]:
    """Return a parser of the names of enabled filters."""

    def parse(text: str) -> frozenset[str]:
        names = frozenset(text.split())
        if names == {"all"}:
            return known
        unknown = sorted(names - known)
        if unknown:
            renamed = {
                name: re.sub("white", "allow", re.sub("black", "block", name)) for name in unknown
            }
            hints = (
                f"{name} is called {new} now" if new in known else f"{name} is unknown"
                for name, new in renamed.items()
            )
            msg = f"{', '.join(hints)}; must be some of {', '.join(sorted(known))}, or all"
            raise ValueError(msg)
        return names

    return parse
