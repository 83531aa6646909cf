"""Parsers of option values.

Each function parses the text of one kind of option, and raises ValueError with the valid values.
"""

from __future__ import annotations

import base64
import configparser
import math
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar
from urllib.parse import unquote_to_bytes, urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from frumious.config.choices import Backend, LossLimit, Removals
from frumious.model.checksums import DIGEST_LENGTHS
from frumious.model.types import MAX_NAME_LENGTH
from frumious.redaction import check_login

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")
Address: TypeAlias = tuple[str, int]  # host and port

_PORTS: Final = {"https": 443, "http": 80}
DIRECTORIES: Final = {
    Backend.FILESYSTEM: "the absolute path of a folder, such as /data/pypi/mirror",
    Backend.S3: "/bucket or /bucket/prefix",
    Backend.SWIFT: "/prefix, or / for a container of its own",
}
_ALL: Final = 100  # percent
_MAX_DELAY: Final = 3650  # days
_MAX_WRONG_LINES: Final = 10  # of a list, that an error names


def hosts(text: str) -> frozenset[Address]:
    """Parse hosts with optional ports; a host without one has those of https and http."""
    hosts = set[Address]()
    for host in text.lower().split():
        match = re.fullmatch(
            r"(?P<name>[a-z0-9._-]+)(:(?P<port>\d{1,5}))?"
            r"|\[(?P<ip>[0-9a-f:.]+)\](:(?P<ip_port>\d{1,5}))?|(?P<bare_ip>[0-9a-f:]*:[0-9a-f:.]*)",
            host,
        )
        if match is None:
            msg = f"{host!r} is not a host name with an optional port; remove the scheme"
            raise ValueError(msg)
        name = match["name"] or match["ip"] or match["bare_ip"]
        port = match["port"] or match["ip_port"]
        hosts.update((name, number) for number in ([int(port)] if port else _PORTS.values()))
    return frozenset(hosts)


def address(url: str) -> Address | None:
    """Return the host and port of a URL; None if it has no host.

    Raises:
        ValueError: its port is invalid.
    """
    parts = urlsplit(url)
    port = _PORTS.get(parts.scheme, 0) if parts.port is None else parts.port
    host = parts.hostname or ""
    return (host if host.isascii() else host.encode("idna").decode(), port) if host else None


def text_or_none(text: str) -> str | None:
    """Return the text, or None if it is empty."""
    return text or None


def header_text(text: str) -> str:
    """Parse the value of an HTTP header."""
    if text.isprintable() and text.isascii():
        return text
    msg = "must be printable ASCII, as it becomes part of the User-Agent"
    raise ValueError(msg)


def boolean(text: str) -> bool:
    """Parse a boolean of an INI file."""
    try:
        return configparser.RawConfigParser.BOOLEAN_STATES[text.lower()]
    except KeyError:
        msg = "must be true or false"
        raise ValueError(msg) from None


def seconds(text: str) -> float:
    """Parse a number of seconds above 0."""
    if seconds := _number(text):
        return seconds
    msg = "must be a number of seconds above 0"
    raise ValueError(msg)


def days(text: str) -> float:
    """Parse a number of days; 0 means never."""
    if (days := _number(text)) is not None:
        return days
    msg = "must be a number of days; 0 means never"
    raise ValueError(msg)


def delay(text: str) -> float:
    """Parse a number of days up to ten years, as seconds."""
    days = _number(text)
    if days is not None and days <= _MAX_DELAY:
        return days * 24 * 3600
    msg = f"must be a number of days, at most {_MAX_DELAY}; 0 means at once"
    raise ValueError(msg)


def _number(text: str) -> float | None:
    try:
        number = float(text)
    except ValueError:
        return None
    return number if 0 <= number < float("inf") else None


def removals(text: str) -> Removals:
    """Parse a share and a number, such as '5% 10'."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%\s+(\d+)", text)
    if match is None or float(match[1]) > _ALL:
        msg = "must be a share and a number, such as '5% 10'; the larger one counts"
        raise ValueError(msg)
    return Removals(float(match[1]) / _ALL, int(match[2]))


def losses(text: str) -> LossLimit:
    """Parse a share, a number of files and GiB, such as '5% 1000 10GiB'."""
    match = re.fullmatch(r"(\d+(?:\.\d+)?)%\s+(\d+)\s+(\d+(?:\.\d+)?)\s*GiB", text)
    if match is None or float(match[1]) > _ALL:
        msg = "must be a share, a number of files and GiB, such as '5% 1000 10GiB'"
        raise ValueError(msg)
    return LossLimit(float(match[1]) / _ALL, int(match[2]), int(float(match[3]) * 1024**3))


def whole_number(minimum: int, maximum: float = math.inf) -> Callable[[str], int]:
    """Return a parser of whole numbers from `minimum` to `maximum`."""
    limits = f"of at least {minimum}" if maximum == math.inf else f"from {minimum} to {maximum}"

    def parse(text: str) -> int:
        if text.isascii() and text.isdecimal() and minimum <= int(text) <= maximum:
            return int(text)
        msg = f"must be a whole number {limits}"
        raise ValueError(msg)

    return parse


def number_of(*choices: int) -> Callable[[str], int]:
    """Return a parser that accepts only these numbers."""
    parse = one_of(*map(str, choices))
    return lambda text: int(parse(text))


def one_of(*choices: str) -> Callable[[str], str]:
    """Return a parser that accepts only the choices."""

    def parse(text: str) -> str:
        if text in choices:
            return text
        msg = f"must be one of {', '.join(choices)}"
        raise ValueError(msg)

    return parse


def choice(choices: type[E]) -> Callable[[str], E]:
    """Return a parser of an enumeration that ignores case."""

    def parse(text: str) -> E:
        for member in choices:
            if member.lower() == text.lower():
                return member
        msg = f"must be one of {', '.join(choices)}"
        raise ValueError(msg)

    return parse


def digest_name(text: str) -> str:
    """Parse the name of a hash that can verify a file."""
    return one_of(*DIGEST_LENGTHS)(text.lower())


def path(text: str) -> Path | None:
    """Parse a file's path; None if the text is empty."""
    return Path(text) if text else None


def role(text: str) -> str | None:
    """Parse an IAM role's ARN; None if the text is empty."""
    if not text or re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/\S+", text):
        return text or None
    msg = "must be arn:aws:iam::<account>:role/<name>"
    raise ValueError(msg)


def directory(backend: Backend) -> Callable[[str], str]:
    """Return a parser of the mirror's directory, which removes a trailing slash."""

    def parse(text: str) -> str:
        if text.startswith("/"):
            # POSIX leaves the meaning of two leading slashes open, so normpath would keep them.
            directory = posixpath.normpath(f"/{text.lstrip('/')}")
            if directory != "/":
                return directory
            if backend is Backend.SWIFT:
                return ""
        msg = f"must be {DIRECTORIES[backend]}"
        raise ValueError(msg)

    return parse


def diff_file(backend: Backend, directory: str) -> Callable[[str], tuple[str | None, str]]:
    """Return a parser of the diff-file's location: a directory and the key in it.

    The directory is None if it is the mirror's own. In a bucket the diff-file can have any key,
    but it cannot be in another bucket.
    """

    def parse(text: str) -> tuple[str | None, str]:
        if not text:
            return None, ""
        name = f"{text}mirrored-files" if text.endswith("/") else text
        absolute = posixpath.normpath(f"/{name.lstrip('/')}")
        if text.startswith("/") and absolute.startswith(f"{directory}/"):
            return None, absolute.removeprefix(f"{directory}/")
        bucket = posixpath.join("/", *directory.split("/")[1:2])
        outside = {Backend.FILESYSTEM: "/", Backend.S3: bucket, Backend.SWIFT: ""}[backend]
        if not text.startswith("/") or not absolute.startswith(f"{outside.rstrip('/')}/"):
            where = f"in the mirror's bucket, {outside}/" if backend is Backend.S3 else "/..."
            msg = f"must be an absolute path {where}"
            raise ValueError(msg)
        if backend is Backend.FILESYSTEM:
            return posixpath.split(absolute)
        return outside, absolute.removeprefix(f"{outside}/")

    return parse


def optional_url(*, insecure: bool, login: bool = False) -> Callable[[str], str]:
    """Return a parser like `url` that also accepts an empty text."""
    parse = url(insecure=insecure, login=login)
    return lambda text: parse(text) if text else ""


def url(*, insecure: bool, login: bool = False) -> Callable[[str], str]:
    """Return a parser of URLs that removes a trailing slash.

    Only `insecure` accepts http; only `login` accepts a user name and a password.
    """

    def parse(text: str) -> str:
        parts = urlsplit(text)
        if parts.scheme == "http" and not insecure:
            msg = "http requires allow-non-https = true"
            raise ValueError(msg)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            msg = "must be a URL that begins with https://"
            raise ValueError(msg)
        try:
            _ = parts.port
        except ValueError:  # its text may quote a password
            msg = "must be a URL with a valid port"
            raise ValueError(msg) from None
        if parts.query or parts.fragment:
            bare = parts._replace(query="", fragment="").geturl()
            hint = "" if "@" in parts.netloc else f"; {bare!r} is one"
            msg = f"must be a URL without a query{hint}"
            raise ValueError(msg)
        if "@" in parts.netloc and not login:
            msg = "must be a URL without a user name and password"
            raise ValueError(msg)
        check_login(text)
        return text.rstrip("/")

    return parse


def index_url(pypi: str, *, insecure: bool) -> Callable[[str], str]:
    """Return a parser of an index's base URL, which accepts the URL of its Simple API as well.

    PyPI's URL, `pypi`, has no path.
    """
    parse_url = url(insecure=insecure, login=True)
    pypi_host = urlsplit(pypi).hostname

    def parse(text: str) -> str:
        base = parse_url(text).removesuffix("/simple").rstrip("/")
        parts = urlsplit(base)
        if parts.hostname == pypi_host and parts.path:
            msg = f"must be {pypi!r}, without a path"
            raise ValueError(msg)
        return base

    return parse


def split_login(url: str) -> tuple[str, str | None]:
    """Return a URL without its user name and password, and these as an Authorization header."""
    parts = urlsplit(url)
    userinfo = parts.netloc.rpartition("@")[0]
    if not userinfo:
        return url, None
    encoded = base64.b64encode(unquote_to_bytes(f"{parts.username}:{parts.password or ''}"))
    return url.replace(f"{userinfo}@", "", 1), f"Basic {encoded.decode()}"


def requirements(text: str) -> tuple[Requirement, ...]:
    """Parse names of projects with optional version specifiers, one on each line."""
    parsed: list[Requirement] = []
    wrong: list[str] = []
    for line in text.splitlines():
        entry = line.partition("#")[0].strip()
        if not entry:
            continue
        try:
            parsed.append(Requirement(entry))
        except InvalidRequirement as error:
            wrong.append(f"{entry!r:.80} ({str(error).splitlines()[0]:.200})")
    if wrong:
        listed = "; ".join(wrong[:_MAX_WRONG_LINES])
        more = (
            f"; and {len(wrong) - _MAX_WRONG_LINES} more" if len(wrong) > _MAX_WRONG_LINES else ""
        )
        msg = (
            "each line must be a project's name with an optional version specifier, and these are"
            f" not: {listed}{more}"
        )
        raise ValueError(msg)
    if any(len(entry.name) > MAX_NAME_LENGTH for entry in parsed):
        msg = f"a project's name has at most {MAX_NAME_LENGTH} characters"
        raise ValueError(msg)
    return tuple(parsed)
