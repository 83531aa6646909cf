"""Check what a mirror contains at a moment, and find objects that do not belong to it.

Takes all contents by key; shares no code with the mirror.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import re
from typing import TYPE_CHECKING

from packaging.utils import canonicalize_name

from tests.faults.pages import FORMS, V1_JSON, is_variant, read_page

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.upstream import Index

_FORM = r"index\.(?:html|v1_html|v1_json)"
_PAGE = re.compile(rf"web/(?:gzip/)?simple/[^/]+/{_FORM}(?:\.gz)?")
_FILE = re.compile(r"web(/packages/[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60}/([^/.][^/]*))")
_PROVENANCE = re.compile(r"web/integrity/[^/]+/[^/]+/[^/]+/provenance")
_OTHER_KEY = re.compile(
    rf"web/(?:gzip/)?simple/{_FORM}(?:\.gz)?|web/(?:last-modified|status\.json|index\.html)|status|generation"
    r"|state/(?:cursor|lagging|losses|selection|s3-server)\.json|state/(?:tombstones|removed)/[^/]+\.json"
    r"|state/runs/[^/]+/(?:plan|progress)\.json|state/(?:inbox|damaged)/[^/]+\.json|state/deletions/[^/]+/[^/]+\.json"
    r"|\.lock|\.frumious/lock"  # locks stay, so that no process locks a deleted file
)
_MIRROR_KEYS = (_PAGE, _FILE, _PROVENANCE, _OTHER_KEY)
_METADATA = ".metadata"


def problems(contents: Mapping[str, bytes], index: Index) -> Iterator[str]:
    """Yield everything that could mislead a reader."""
    digests = {
        key: hashlib.sha256(body).hexdigest()
        for key, body in contents.items()
        if key.startswith("web/packages/")
    }
    for key, body in contents.items():
        if not key.startswith("web/") or is_hidden(key):
            continue
        if not _belongs_to_mirror(key):
            yield f"{key} is visible, and does not belong to a mirror"
        elif _PAGE.fullmatch(key):
            yield from _page_problems(key, body, digests)
        elif file := _FILE.fullmatch(key):
            if digests[key] not in _known_digests(index, file[1], file[2]):
                yield f"{key} has {len(body)} bytes that upstream never had at that path"
        elif not _is_complete(key, body):
            yield f"{key} is incomplete: {body[-60:]!r}"


def unexpected_objects(contents: Mapping[str, bytes]) -> Iterator[str]:
    """Yield every object that does not belong to the mirror."""
    for key in unexpected_keys(contents):
        yield f"{key} does not belong to the mirror"


def unexpected_keys(contents: Mapping[str, bytes]) -> list[str]:
    """Return the keys that do not belong to the mirror."""
    return [key for key in contents if not _belongs_to_mirror(key)]


def is_hidden(key: str) -> bool:
    """Say whether a web server would hide the key: a temporary file in a folder."""
    return any(part.startswith(".") for part in key.split("/"))


def named(contents: Mapping[str, bytes]) -> Iterator[str]:
    """Yield the keys that JSON pages name, including provenance."""
    for key, body in contents.items():
        if _PAGE.fullmatch(key) and key.endswith(V1_JSON) and not is_variant(key):
            yield from read_page(key, body).objects()
            project = key.split("/")[2]
            for file in json.loads(body)["files"]:
                if address := file.get("provenance"):
                    version = address.split("/")[-3]
                    yield f"web/integrity/{project}/{version}/{file['filename']}/provenance"


def listed(contents: Mapping[str, bytes]) -> dict[str, int]:
    """Return the projects of the root index with their serials."""
    payload = json.loads(contents.get(f"web/simple/{V1_JSON}", b'{"projects": []}'))
    return {canonicalize_name(each["name"]): each["_last-serial"] for each in payload["projects"]}


def serial(contents: Mapping[str, bytes]) -> int:
    """Return the mirror's serial; 0 if it has none yet."""
    return int(contents.get("status", b"0"))


def open_runs(contents: Mapping[str, bytes]) -> int:
    """Return the number of open runs."""
    return len(json.loads(contents.get("state/cursor.json", b"{}")).get("runs", ()))


def _belongs_to_mirror(key: str) -> bool:
    return any(pattern.fullmatch(key) for pattern in _MIRROR_KEYS)


def _page_problems(key: str, body: bytes, digests: Mapping[str, str]) -> Iterator[str]:
    try:
        page = read_page(key, body)
    except (ValueError, KeyError, TypeError, AttributeError, OSError, EOFError) as error:
        yield f"{key} cannot be read: {error!r}"
        return
    for name, digest in page.objects().items():
        if name not in digests:
            yield f"{key} names {name}, which is missing"
        elif digests[name] != digest:
            yield f"{key} names {name}, which has other bytes"


def _known_digests(index: Index, path: str, filename: str) -> set[str]:
    """Return the sha256 of everything that upstream ever had at a path."""
    if filename.endswith(_METADATA):
        files = index.files_named(filename.removesuffix(_METADATA))
        contents = [file.core_metadata for file in files if f"{file.path}{_METADATA}" == path]
    else:
        contents = [file.content for file in index.files_named(filename) if file.path == path]
    return {content.sha256 for content in contents if content is not None}


def _is_complete(key: str, body: bytes) -> bool:
    if is_variant(key):
        try:
            gzip.decompress(body)
        except (OSError, EOFError):
            return False
        return True
    if key.endswith(("json", "provenance")):
        try:
            json.loads(body)
        except ValueError:
            return False
        return True
    if key.rpartition("/")[2] in FORMS:
        return body[:15].lower() == b"<!doctype html>" and b"</html>" in body[-60:]
    return bool(body)
