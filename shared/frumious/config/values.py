"""What an option's text may say, and what it means.

Each function reads the text of one kind of option and raises ValueError with what is allowed.
"""

from __future__ import annotations

import configparser
import re
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from packaging.requirements import InvalidRequirement, Requirement

if TYPE_CHECKING:
    from collections.abc import Callable

_PLUGINS: Final = (
    "allowlist_project",
    "allowlist_release",
    "blocklist_project",
    "blocklist_release",
)
_MOST_WORKERS: Final = 10
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


def one_of(*allowed: str) -> Callable[[str], str]:
    """Read one of a few words."""

    def read(text: str) -> str:
        if text in allowed:
            return text
        msg = f"allowed: {', '.join(allowed)}"
        raise ValueError(msg)

    return read


def directory(text: str) -> str:
    """Read where the mirror lies: `bucket` or `bucket/prefix`, without the first slash."""
    directory = text.strip("/")
    if text.startswith("/") and directory:
        return directory
    msg = "allowed is /bucket or /bucket/prefix"
    raise ValueError(msg)


def below(directory: str) -> Callable[[str], str]:
    """Read a path below the mirror's directory, and return the key that it is."""

    def read(text: str) -> str:
        if text.startswith(f"/{directory}/"):
            key = text.removeprefix(f"/{directory}/")
            return f"{key}mirrored-files" if text.endswith("/") else key
        msg = f"the diff-file must lie below the mirror's directory, /{directory}/"
        raise ValueError(msg)

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
