"""Checks of values in pages of the Simple API, for JSON and HTML alike."""

from __future__ import annotations

import re
import string
from typing import TYPE_CHECKING, Final
from urllib.parse import urljoin, urlsplit

import msgspec
from msgspec.structs import replace
from packaging.utils import InvalidName, NormalizedName, canonicalize_name

from frumious.errors import FrumiousError, Reason
from frumious.model.checksums import DIGEST_LENGTHS
from frumious.model.types import MAX_NAME_LENGTH, MAX_SERIAL, Seconds
from frumious.redaction import redact
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import Json

_API_VERSION: Final = re.compile(r"1\.[0-9]{1,4}")
MAX_URL_LENGTH: Final = 8192  # characters; signed ones have thousands
MAX_FILES: Final = 100_000  # on a page; PyPI's largest projects have a third of it

# Limits of the memory that a page takes; `tests/hostile/test_memory.py` measures it.
_MAX_TEXT_SIZE: Final = 128 * 1024**2  # bytes of a decoded page
_MAX_LINKS_SIZE: Final = 64 * 1024**2  # bytes of a page's resolved links
# The first bytes of UTF-8 characters that widen all characters of a str, to 2 or 4 bytes.
_TWO_BYTES: Final = re.compile(rb"[\xc4-\xef]")
_FOUR_BYTES: Final = re.compile(rb"[\xf0-\xff]")

# In JSON, as `\udXXX`.
_LONE_SURROGATE: Final = re.compile(
    rb"\\u[dD][89abAB][0-9a-fA-F]{2}(?!\\u[dD][c-fC-F])"
    rb"|(?<!\\u[dD][89abAB][0-9a-fA-F]{2})\\u[dD][c-fC-F][0-9a-fA-F]{2}"
)
_ETAG: Final = re.compile(r"[!-~](?:[ -~]{0,254}[!-~])?")
_PRINTABLE: Final = re.compile(r"[!-~]+")
_HEXADECIMAL = frozenset(string.hexdigits)
_SERIAL: Final = re.compile(r"[0-9]{1,18}")


class InvalidPage(FrumiousError):
    """A page that is not a page of the Simple API, or not the requested one."""

    reason = Reason.UPSTREAM_INVALID


class InvalidValue(Exception):
    """A value that the PEPs do not allow; becomes InvalidPage or a refused file."""


class ParsedPage(Value, frozen=True):
    """A project page, and the files on it that cannot be mirrored."""

    page: ProjectPage
    refused: Mapping[str, str]  # filename -> reason
    etag: str = ""
    identities: Mapping[str, str] | None = None  # of private files, by filename; None: upstream's
    sha256: str = ""  # of its bytes, with `discovery = feed`


def project_name(name: object) -> NormalizedName | None:
    """Return the normalised name of a project; None if no project can have this name."""
    if not isinstance(name, str) or len(name) > MAX_NAME_LENGTH:
        return None
    try:
        return canonicalize_name(name, validate=True)
    except InvalidName:
        return None


def check_name(name: str, project: NormalizedName) -> None:
    """Check that a page's name is the project's.

    Raises:
        InvalidValue: it is another project's.
    """
    if project_name(name) == project:
        return
    msg = f"it is the page of {name!r:.80}, not of {project!r}"
    raise InvalidValue(msg)


def check_api_version(version: Json) -> str:
    """Return a page's API version (PEP 629) after checking that it is supported.

    Raises:
        InvalidValue: it is not.
    """
    if isinstance(version, str) and _API_VERSION.fullmatch(version):
        return version
    msg = f"the API version is {version!r:.80}; only 1.x is supported"
    raise InvalidValue(msg)


def parse_seconds(value: object) -> float | None:
    """Return a time in seconds since the epoch; None if it is not one."""
    try:
        return msgspec.convert(value, Seconds)
    except msgspec.ValidationError:
        return None


def without_lone_surrogates(json: bytes) -> bytes:
    """Replace halves of surrogate pairs, which are no text, by the replacement character."""
    return _LONE_SURROGATE.sub(rb"\\ufffd", json)


def valid_etag(etag: str) -> str:
    """Return an ETag (RFC 9110, 8.8.3) that can be stored and sent; empty if it is not one."""
    return etag if _ETAG.fullmatch(etag) else ""


def parse_serial(value: Json) -> int | None:
    """Parse `_last-serial`: a number on PyPI's pages, a string on bandersnatch's.

    Raises:
        InvalidValue: it is neither.
    """
    if type(value) is int and 0 <= value <= MAX_SERIAL:  # the fast path of a million projects
        return value
    if value is None:
        return None
    if isinstance(value, str) and _SERIAL.fullmatch(value):
        return int(value)
    msg = f"'_last-serial' is {value!r:.80}, not a number"
    raise InvalidValue(msg)


def parse_hashes(hashes: Mapping[str, str]) -> dict[str, str]:
    """Return the hashes, those of known algorithms in lower case.

    Raises:
        InvalidValue: one is not a digest, or none can verify the file.
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
        msg = f"no hash can verify it, only {sorted(checked)!r:.80}; a sha256 is required"
        raise InvalidValue(msg)
    return checked


def check_url(url: str) -> str:
    """Return a file's URL after checking that it is an HTTP URL or relative.

    Raises:
        InvalidValue, ValueError: it is neither.
    """
    if len(url) > MAX_URL_LENGTH:
        msg = f"its URL {redact(url)!r:.120} exceeds {MAX_URL_LENGTH} characters"
        raise InvalidValue(msg)
    url.encode()  # raises ValueError for half a surrogate pair
    parts = urlsplit(url)
    if parts.scheme not in {"https", "http", ""}:
        msg = f"its URL {redact(url)!r:.120} is neither https nor http"
        raise InvalidValue(msg)
    if parts.username is not None or (parts.scheme and not parts.hostname):
        msg = f"its URL {redact(url)!r:.120} has no host, or has a user name"
        raise InvalidValue(msg)
    _ = parts.port  # raises ValueError if it is invalid
    return url


def resolve(base: str, url: str) -> str:
    """Return the absolute form of a URL; it stays as it is, byte for byte, where it can.

    Signatures cover the bytes. urljoin drops empty parameters, and slashes of relative paths.

    Raises:
        ValueError: it is invalid.
    """
    if _PRINTABLE.fullmatch(url):
        if url.startswith(("https://", "http://")):
            return url
        path = url.partition("?")[0]
        if path.startswith("/") and not path.startswith("//") and "/." not in path:
            parts = urlsplit(base)
            return f"{parts.scheme}://{parts.netloc}{url}" if parts.netloc else url
        if "//" in path[1:] and not path.startswith("/") and "#" not in url:
            joined, parts = urlsplit(url), urlsplit(base)
            if parts.netloc and not (joined.scheme or joined.netloc):
                absolute = _without_dots(f"{parts.path.rpartition('/')[0]}/{path}")
                return f"{parts.scheme}://{parts.netloc}{absolute}{url[len(path) :]}"
    return urljoin(base, url)


def _without_dots(path: str) -> str:
    """Return an absolute path without `.` and `..` (RFC 3986, 5.2.4), and with all its slashes."""
    *folders, last = path.split("/")[1:]
    kept: list[str] = []
    for folder in [*folders, *([last, ""] if last in {".", ".."} else [])]:
        if folder == "..":
            del kept[-1:]
        elif folder != ".":
            kept.append(folder)
    return "/".join(["", *kept] if last in {".", ".."} else ["", *kept, last])


def check_decoded_size(body: bytes, url: str) -> None:
    """Check that a page does not take too much memory as text.

    Raises:
        InvalidPage: it does.
    """
    width = 4 if _FOUR_BYTES.search(body) else 2 if _TWO_BYTES.search(body) else 1
    if width * len(body) > _MAX_TEXT_SIZE:
        msg = f"{url} takes more than {_MAX_TEXT_SIZE} bytes of memory as text"
        raise InvalidPage(msg)


def check_links(count: int, base: str, url: str) -> None:
    """Check that a page does not have too many files, or too long links relative to its base.

    Raises:
        InvalidPage: it has.
    """
    if count > MAX_FILES:
        msg = f"{url} has {count} files, more than {MAX_FILES}"
        raise InvalidPage(msg)
    if count * len(base) > _MAX_LINKS_SIZE:
        msg = f"{url} has {count} links relative to a base of {len(base)} characters"
        raise InvalidPage(msg)


def without_duplicates(page: ProjectPage, refused: Mapping[str, str]) -> ParsedPage:
    """Keep the first of several files with the same name, and refuse the others."""
    files: dict[str, File] = {}
    all_refused = dict(refused)
    for file in page.files:
        if files.setdefault(file.filename, file) is not file:
            all_refused[file.filename] = f"the page lists {file.filename!r:.120} more than once"
    return ParsedPage(replace(page, files=tuple(files.values())), all_refused)
