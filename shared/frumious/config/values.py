"""What an option's text may say, and what it means.

Each function reads the text of one kind of option and raises ValueError with what is allowed.
"""

from __future__ import annotations

import configparser
import posixpath
import re
from pathlib import Path
from typing import TYPE_CHECKING, Final, TypeVar
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

from frumious.config.choices import Backend
from frumious.model.checksums import DIGEST_LENGTHS

if TYPE_CHECKING:
    from collections.abc import Callable
    from enum import StrEnum

E = TypeVar("E", bound="StrEnum")

_PLUGINS: Final = (
    "allowlist_project",
    "allowlist_release",
    "blocklist_project",
    "blocklist_release",
)
_MOST_WORKERS: Final = 10
DIRECTORIES: Final = {
    Backend.FILESYSTEM: "the absolute path of a folder, /data/pypi/mirror",
    Backend.S3: "/bucket or /bucket/prefix",
    Backend.SWIFT: "/prefix, or / for a container of its own",
}
_ALL: Final = 100  # percent


def hosts(text: str) -> frozenset[str]:
    """Read hosts' names, without scheme and port."""
    hosts = text.lower().split()
    for host in hosts:
        if not re.fullmatch(r"[a-z0-9._-]+|[0-9a-f:]+", host):
            msg = f"{host!r} is no host's name: name hosts without scheme and port"
            raise ValueError(msg)
    return frozenset(hosts)


def text_or_none(text: str) -> str | None:
    """Read any text; an empty one is none."""
    return text or None


def header_text(text: str) -> str:
    """Read what can stand in an HTTP header."""
    if text.isprintable() and text.isascii():
        return text
    msg = "only printable ASCII can stand in a User-Agent"
    raise ValueError(msg)


def boolean(text: str) -> bool:
    """Read true or false, as INI files have them."""
    try:
        return configparser.RawConfigParser.BOOLEAN_STATES[text.lower()]
    except KeyError:
        msg = "allowed are true and false"
        raise ValueError(msg) from None


def seconds(text: str) -> float:
    """Read a number of seconds above 0."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = 0
    if 0 < seconds < float("inf"):
        return seconds
    msg = "allowed is a number of seconds above 0"
    raise ValueError(msg)


def days(text: str) -> float:
    """Read a number of days; 0 is never."""
    try:
        days = float(text)
    except ValueError:
        days = -1
    if 0 <= days < float("inf"):
        return days
    msg = "allowed is a number of days; 0 is never"
    raise ValueError(msg)


def removals(text: str) -> tuple[float, int]:
    """Read how much may be removed: a share and a number, of which the larger counts."""
    said = re.fullmatch(r"(\d+(?:\.\d+)?)%\s+(\d+)", text)
    if said is None or float(said[1]) > _ALL:
        msg = "allowed are a share and a number, of which the larger counts, such as '5% 10'"
        raise ValueError(msg)
    return float(said[1]) / _ALL, int(said[2])


def workers(text: str) -> int:
    """Read how many files may be under way at the same time."""
    if text.isdecimal() and 1 <= int(text) <= _MOST_WORKERS:
        return int(text)
    msg = f"allowed is a whole number from 1 to {_MOST_WORKERS}"
    raise ValueError(msg)


def whole_number(least: int) -> Callable[[str], int]:
    """Read a whole number that is not below `least`."""

    def read(text: str) -> int:
        if text.isascii() and text.isdecimal() and int(text) >= least:
            return int(text)
        msg = f"allowed is a whole number from {least} on"
        raise ValueError(msg)

    return read


def one_of(*allowed: str) -> Callable[[str], str]:
    """Read one of a few words."""

    def read(text: str) -> str:
        if text in allowed:
            return text
        msg = f"allowed: {', '.join(allowed)}"
        raise ValueError(msg)

    return read


def choice(words: type[E]) -> Callable[[str], E]:
    """Read one of an enumeration's words, in any case."""

    def read(text: str) -> E:
        for word in words:
            if word.lower() == text.lower():
                return word
        msg = f"allowed: {', '.join(words)}"
        raise ValueError(msg)

    return read


def digest_name(text: str) -> str:
    """Read the name of a hash that can verify a file."""
    if text.lower() in DIGEST_LENGTHS:
        return text.lower()
    msg = f"allowed: {', '.join(DIGEST_LENGTHS)}"
    raise ValueError(msg)


def path(text: str) -> Path | None:
    """Read a file's path; nothing is none."""
    return Path(text) if text else None


def role(text: str) -> str | None:
    """Read an IAM role's ARN, or nothing."""
    if not text or re.fullmatch(r"arn:[a-z-]+:iam::\d{12}:role/\S+", text):
        return text or None
    msg = "allowed is arn:aws:iam::<account>:role/<name>"
    raise ValueError(msg)


def directory(backend: Backend) -> Callable[[str], str]:
    """Read where the mirror lies, as the storage has it; without a slash at its end."""

    def read(text: str) -> str:
        if text.startswith("/"):
            # The one that begins with two slashes is POSIX's: it may mean anything.
            directory = posixpath.normpath(f"/{text.lstrip('/')}")
            if directory != "/":
                return directory
            if backend is Backend.SWIFT:
                return ""
        msg = f"allowed is {DIRECTORIES[backend]}"
        raise ValueError(msg)

    return read


def diff_file(backend: Backend, directory: str) -> Callable[[str], tuple[str | None, str]]:
    """Read where the list of what changed lies: a directory, and the key in it.

    The directory is None where it is the mirror's own. A bucket takes the list anywhere; one
    bucket's list does not go into another.
    """

    def read(text: str) -> tuple[str | None, str]:
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
            msg = f"the diff-file must be an absolute path {where}"
            raise ValueError(msg)
        if backend is Backend.FILESYSTEM:
            return posixpath.split(absolute)
        return outside, absolute.removeprefix(f"{outside}/")

    return read


def optional_address(*, insecure: bool) -> Callable[[str], str]:
    """Read an address, or nothing."""
    read = address(insecure=insecure)
    return lambda text: read(text) if text else ""


def address(*, insecure: bool) -> Callable[[str], str]:
    """Read an address, without the slash at its end; http only where that is allowed."""

    def read(text: str) -> str:
        url = urlsplit(text)
        if url.scheme == "http" and not insecure:
            msg = "http is refused unless allow-non-https = true"
            raise ValueError(msg)
        if url.scheme in {"http", "https"} and url.netloc:
            return text.rstrip("/")
        msg = "allowed is an address that begins with https://"
        raise ValueError(msg)

    return read


def plugins(text: str) -> frozenset[str]:
    """Read the enabled filters' names."""
    names = frozenset(text.split())
    if names == {"all"}:
        return frozenset(_PLUGINS)
    unknown = sorted(names - frozenset(_PLUGINS))
    if unknown:
        msg = f"{', '.join(unknown)}: not known; there are {', '.join(_PLUGINS)} and all"
        raise ValueError(msg)
    return names


def requirements(text: str) -> tuple[Requirement, ...]:
    """Read projects' names with or without specifiers, one in a line."""
    entries = [line.partition("#")[0].strip() for line in text.splitlines()]
    try:
        return tuple(Requirement(entry) for entry in entries if entry)
    except InvalidRequirement as error:
        msg = f"every line is a project's name, with or without a specifier: {error}"
        raise ValueError(msg) from error
