"""Parses lock files and requirements files, whose format follows from their content."""

from __future__ import annotations

import json
import re
import tomllib
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import unquote, urlsplit

import msgspec
from msgspec import UNSET, Struct
from packaging.version import Version

from frumious.config.filters import decode
from frumious.errors import FrumiousError
from frumious.locks import formats
from frumious.locks.found import Found, check_version
from frumious.locks.requirements import parse_requirements

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Iterator

    from frumious.locks.formats import Table

T = TypeVar("T")

_MAX_DOTS: Final = 50
_STRING: Final = re.compile(r""""(?:[^"\\]|\\.)*(?:"|\\?$)|'[^']*(?:'|$)""")  # within a line


class InvalidList(FrumiousError):
    """A list that is damaged, or in a format that is not known."""


def parse_list(source: str, data: bytes, indexes: Collection[str]) -> Found:
    """Parse a list; `indexes` are the addresses that the index has in lock files.

    A file or an address whose path ends in `.txt` or `.in` is a requirements file.

    Raises:
        InvalidList: it cannot be parsed; the text names the list and what is wrong in it.
    """
    found = Found(indexes)
    try:
        path = urlsplit(source).path if "://" in source else source
        _parse(path, decode(data), found)
    except RecursionError as error:
        msg = f"{source} is invalid: it is nested too deeply"
        raise InvalidList(msg) from error
    except (ValueError, LookupError) as error:  # of parsers and encodings
        msg = f"{source} is invalid: {error!s:.1000}"
        raise InvalidList(msg) from error
    return found


def _parse(path: str, text: str, found: Found) -> None:
    if path.endswith((".txt", ".in")):
        parse_requirements(text, found)
        return
    if text.lstrip().startswith("{"):
        _pipfile(json.loads(text), found)
        return
    _check_keys(text)
    table = tomllib.loads(text)
    metadata = table.get("metadata")
    keys = metadata.keys() if isinstance(metadata, dict) else ()
    if "lock-version" in table:
        _pylock(table, found)
    elif "lock-version" in keys:
        _poetry(table, found)
    elif "lock_version" in keys:
        _pdm(table, found)
    elif "version" in table:
        _uv(table, found)
    else:
        msg = (
            "it is no pylock.toml, uv.lock, poetry.lock, pdm.lock or Pipfile.lock; the name of a"
            " requirements file ends in .txt or .in"
        )
        raise ValueError(msg)


def _check_keys(text: str) -> None:
    """Check that no line has a key of many parts: tomllib takes time by the square of their number.

    Raises:
        ValueError: one has.
    """
    for number, line in enumerate(text.splitlines(), start=1):
        if line.count(".") > _MAX_DOTS and _STRING.sub("", line).count(".") > _MAX_DOTS:
            msg = f"line {number} has more than {_MAX_DOTS} dots outside of strings"
            raise ValueError(msg)


def _pylock(table: Table, found: Found) -> None:
    lock = _converted(table, formats.Pylock, "packages")
    _check_version(lock.lock_version, formats.PYLOCK_VERSIONS)

    def add(package: formats.PylockPackage) -> None:
        direct = [kind for kind in ("vcs", "directory", "archive") if getattr(package, kind)]
        dists = [*filter(None, [package.sdist]), *package.wheels]
        of_index = [each for each in dists if each.url or not each.path]
        if direct:
            found.leave_out(package.name, direct[0])
        elif package.index and not found.is_from_index(package.index):
            found.leave_out(package.name, package.index)
        elif dists and not of_index:
            found.leave_out(package.name, "path")
        else:
            files = (
                (each.name or _filename(each.url), [":".join(pair) for pair in each.hashes.items()])
                for each in of_index
            )
            found.add(package.name, _exactly(package.version), files)

    _add_all(lock.packages, formats.PylockPackage, add)


def _uv(table: Table, found: Found) -> None:
    lock = _converted(table, formats.UvLock, "package")
    _check_version(lock.version, formats.UV_VERSIONS)

    def add(package: formats.UvPackage) -> None:
        source = package.source
        if not source.registry:
            kind = _set_key(source, "git", "url", "path", "directory", "editable", "virtual")
            if kind not in {"virtual", "editable"}:  # those are the project's own packages
                found.leave_out(package.name, kind or "unknown source")
        elif not found.is_from_index(source.registry):
            found.leave_out(package.name, source.registry)
        else:
            dists = [*filter(None, [package.sdist]), *package.wheels]
            files = ((each.filename or _filename(each.url), [each.hash]) for each in dists)
            found.add(package.name, _exactly(package.version), files)

    _add_all(lock.package, formats.UvPackage, add)


def _poetry(table: Table, found: Found) -> None:
    lock = _converted(table, formats.PoetryLock, "package")
    _check_version(lock.metadata.lock_version, formats.POETRY_VERSIONS)

    def add(package: formats.PoetryPackage) -> None:
        source = package.source
        if source is not None and source.type not in {"legacy", "pypi"}:
            found.leave_out(package.name, source.type)
        elif source is not None and source.url and not found.is_from_index(source.url):
            found.leave_out(package.name, source.url)
        else:
            dists = package.files or lock.metadata.files.get(package.name, [])
            files = ((each.file, [each.hash]) for each in dists)
            found.add(package.name, _exactly(package.version), files)

    _add_all(lock.package, formats.PoetryPackage, add)


def _pdm(table: Table, found: Found) -> None:
    lock = _converted(table, formats.PdmLock, "package")
    _check_version(lock.metadata.lock_version, formats.PDM_VERSIONS)

    def add(package: formats.PdmPackage) -> None:
        kind = _set_key(package, "git", "hg", "svn", "bzr", "url", "path")
        if kind:
            found.leave_out(package.name, kind)
        else:
            files = ((each.file or _filename(each.url), [each.hash]) for each in package.files)
            found.add(package.name, _exactly(package.version), files)

    _add_all(lock.package, formats.PdmPackage, add)


def _pipfile(table: Table, found: Found) -> None:
    metadata = _converted(table.get("_meta"), formats.PipfileMetadata, "_meta")
    _check_version(metadata.spec, formats.PIPFILE_VERSIONS)
    urls = {source.name: source.url for source in metadata.sources}
    default = next(iter(urls.values()), "")
    for category, packages in table.items():
        if category == "_meta":
            continue
        for name, entry in _converted(packages, dict[str, Any], category).items():
            package = _converted(entry, formats.PipfilePackage, f"{category} {name!r:.120}")
            kind = _set_key(package, "git", "hg", "svn", "bzr", "path", "file")
            index = urls.get(package.index, default)
            if kind:
                found.leave_out(name, kind)
            elif index and not found.is_from_index(index):
                found.leave_out(name, index)
            else:
                version = package.version if package.version != "*" else ""
                files = (("", [each]) for each in package.hashes)
                with _named(f"{category} {name!r:.120}"):
                    found.add(name, version, files)


def _set_key(table: Struct, *keys: str) -> str:
    """Return the first of some keys that a table has; empty: none."""
    return next((key for key in keys if getattr(table, key) is not UNSET), "")


def _add_all(entries: Iterable[Any], kind: type[T], add: Callable[[T], None]) -> None:
    for number, entry in enumerate(entries, start=1):
        name = entry.get("name") if isinstance(entry, dict) else None
        with _named(f"package {number} ({name!r:.120})"):
            add(_converted(entry, kind, ""))


@contextmanager
def _named(label: str) -> Iterator[None]:
    """Begin the texts of errors with what they concern."""
    try:
        yield
    except ValueError as error:
        msg = f"{label}: {error}"
        raise ValueError(msg) from error


def _converted(value: object, kind: type[T], label: str) -> T:
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as error:
        msg = f"{label}: {error}" if label else str(error)
        raise ValueError(msg) from error


def _check_version(version: str | int, known: tuple[str, ...] | tuple[int, ...]) -> None:
    is_known = any(
        version == each if isinstance(each, int) else str(version).startswith(each)
        for each in known
    )
    if not is_known:
        texts = ", ".join(f"{each}x" if isinstance(each, str) else str(each) for each in known)
        msg = f"its format has version {version!r:.20}; known is {texts}"
        raise ValueError(msg)


def _exactly(version: str) -> str:
    """Return the specifier of a version, which is valid; of any version if it is empty.

    Raises:
        ValueError: it is invalid (PEP 440).
    """
    check_version(version)
    return f"=={Version(version)}" if version else ""


def _filename(url: str) -> str:
    return unquote(urlsplit(url).path.rpartition("/")[2])
