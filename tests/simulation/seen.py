"""What is wrong in a history, and the mirror's pages as a reader sees them."""

from __future__ import annotations

import gzip
import json
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple

import msgspec
from packaging.utils import canonicalize_name

from tests.faults.pages import GZIP, HTML, V1_HTML, V1_JSON, Page, is_variant, plain, read_page
from tests.soak.witness import root_names as read_root_names


class Kind(StrEnum):
    """What can be wrong."""

    ALIEN = "alien"
    BACKWARDS = "backwards"
    CHANGED = "changed"
    CLAIM = "claim"
    CRASH = "crash"
    DELETED = "deleted"
    DIFF_FILE = "diff-file"
    DIFFERS = "differs"
    FALSE_ALARM = "false alarm"
    FOREIGN = "foreign"
    LEFT_OVER = "left over"
    LIMIT = "limit"
    MISSING = "missing"
    OVERWRITTEN = "overwritten"
    STUCK = "stuck"
    UNFINISHED = "unfinished"
    UNREADABLE = "unreadable"
    WITHHELD = "withheld"
    WRONG = "wrong"


class Violation(Exception):
    """Something that always holds does not; `kind` says what."""

    def __init__(self, kind: Kind, text: str) -> None:
        super().__init__(text)
        self.kind = kind


class Seen(NamedTuple):
    """A project page, and what it names: key -> sha256."""

    page: Page
    objects: dict[str, str]
    provenance: frozenset[str]


@lru_cache(maxsize=20_000)
def seen(key: str, body: bytes) -> Seen:
    """Read a page of the mirror's; the same one occurs in many histories, and in several forms."""
    if is_variant(key) and body.startswith(GZIP):
        return seen(plain(key), gzip.decompress(body))._replace(provenance=frozenset())
    if key.endswith(V1_HTML):
        return seen(f"{key.removesuffix(V1_HTML)}{HTML}", body)
    page = read_page(key, body)
    provenance = []
    if key.endswith(V1_JSON) and not is_variant(key):
        project = key.split("/")[-2]
        for file in msgspec.json.decode(body)["files"]:
            if address := file.get("provenance"):
                version = address.split("/")[-3]
                name = f"web/integrity/{project}/{version}/{file['filename']}/provenance"
                provenance.append(name)
    return Seen(page, page.objects(), frozenset(provenance))


@lru_cache(maxsize=5000)
def listed(body: bytes) -> frozenset[str]:
    """Return the projects of a JSON root index."""
    return frozenset(
        canonicalize_name(each["name"]) for each in msgspec.json.decode(body)["projects"]
    )


@lru_cache(maxsize=5000)
def root_serials(body: bytes) -> tuple[int, tuple[tuple[str, int], ...]]:
    """Return the serial of a JSON root index, and those of its projects by normalized name."""
    payload = json.loads(body)
    projects = (
        (canonicalize_name(each["name"]), each["_last-serial"]) for each in payload["projects"]
    )
    return payload["meta"].get("_last-serial") or 0, tuple(projects)


@lru_cache(maxsize=5000)
def check_compressed(body: bytes) -> None:
    """Check that clients can decompress a root index.

    Raises:
        OSError, EOFError: they cannot.
    """
    gzip.decompress(body)


@lru_cache(maxsize=5000)
def root_names(body: bytes) -> dict[str, str]:
    """Return the names of an HTML root index, by their normalized form."""
    return read_root_names(body)
