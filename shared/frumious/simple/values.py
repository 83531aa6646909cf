"""What a Simple API answer may say, in whichever form it says it. Pure checks."""

from __future__ import annotations

import re
import string
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packaging.utils import InvalidName, canonicalize_name

from frumious.errors import FrumiousError
from frumious.model.checksums import DIGEST_LENGTHS

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Json

API_VERSION: Final = re.compile(r"1\.[0-9]{1,4}")
LONGEST_URL: Final = 8192  # characters; signed ones have thousands

_HEXADECIMAL = frozenset(string.hexdigits)
_BEYOND_SERIALS: Final = 10**18
_SERIAL: Final = re.compile(r"[0-9]{1,18}")


class InvalidPage(FrumiousError):
    """A page that is not a Simple API page, or not the one that was asked for."""


class InvalidValue(Exception):
    """A value that the PEPs do not allow; becomes InvalidPage or a refused file."""


@dataclass(frozen=True, slots=True)
class ParsedPage:
    """A project page, and the files that it names but that cannot be mirrored."""

    page: ProjectPage
    refused: Mapping[str, str]  # filename -> why
    etag: str = ""  # that upstream sent with it


def checked_name(name: str, project: NormalizedName) -> None:
    """Make sure that a page is the project's.

    Raises:
        InvalidValue: it is another's.
    """
    try:
        if canonicalize_name(name, validate=True) == project:
            return
    except InvalidName:
        pass
    msg = f"it is the page of {name!r:.80}, not of {project!r}"
    raise InvalidValue(msg)


def checked_serial(said: Json) -> int | None:
    """Return `_last-serial`: PyPI gives a number, bandersnatch's pages have it as text.

    Raises:
        InvalidValue: it is neither.
    """
    if type(said) is int and 0 <= said < _BEYOND_SERIALS:  # a root index has a million of them
        return said
    if said is None:
        return None
    if isinstance(said, str) and _SERIAL.fullmatch(said):
        return int(said)
    msg = f"'_last-serial' is {said!r:.80}, not a number"
    raise InvalidValue(msg)


def checked_hashes(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes, those that can be checked in lower case.

    Raises:
        InvalidValue: one is no digest, or there is none that can verify the file.
    """
    checked = dict(hashes)
    for name, length in DIGEST_LENGTHS.items():
        if name not in checked:
            continue
        digest = checked[name]
        if len(digest) != length or not _HEXADECIMAL.issuperset(digest):
            msg = f"its {name} is {digest!r:.80}, not {length} hexadecimal digits"
            raise InvalidValue(msg)
        checked[name] = digest.lower()
    if DIGEST_LENGTHS.keys().isdisjoint(checked):
        msg = f"no hash can verify it, only {sorted(checked)!r:.80}; a sha256 is asked for"
        raise InvalidValue(msg)
    return checked


def check_url(url: str) -> str:
    """Return a file's address if it is one that can be fetched, or one of the mirror's own.

    Raises:
        InvalidValue, ValueError: it is not.
    """
    if len(url) > LONGEST_URL:
        msg = f"its URL {url!r:.120} is longer than {LONGEST_URL} characters"
        raise InvalidValue(msg)
    url.encode()  # raises ValueError where it has half a surrogate pair
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http", ""}:
        msg = f"its URL {url!r:.120} is neither https nor http"
        raise InvalidValue(msg)
    if parts.username is not None or (parts.scheme and not parts.hostname):
        msg = f"its URL {url!r:.120} has no host, or a user's name in it"
        raise InvalidValue(msg)
    _ = parts.port  # raises ValueError when it is none
    return url


def without_duplicates(page: ProjectPage, refused: Mapping[str, str]) -> ParsedPage:
    """Keep the first of several files with one name: which one is meant, nobody can tell."""
    first: dict[str, File] = {}
    all_refused = dict(refused)
    for file in page.files:
        if first.setdefault(file.filename, file) is not file:
            all_refused[file.filename] = f"the page names {file.filename!r:.120} more than once"
    return ParsedPage(replace(page, files=tuple(first.values())), all_refused)
