"""Every key that the mirror stores; `page_layout` makes those of pages.

Keys are relative to the mirror's directory. Only this module makes keys from upstream's filenames
and URLs, and it refuses those that would lead outside the folder they belong to.
"""

from __future__ import annotations

import posixpath
import re
import time
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name, is_normalized_name

from frumious.errors import FrumiousError, Reason
from frumious.model.checksums import ExpectedContent
from frumious.model.types import MAX_NAME_LENGTH, Key, RunId

if TYPE_CHECKING:
    from collections.abc import Iterable

    from packaging.utils import NormalizedName

    from frumious.model.pages import File

STATUS = Key("status")
TODO = Key("todo")  # bandersnatch writes it while a run is incomplete
GENERATION = Key("generation")
LAST_MODIFIED = Key("web/last-modified")
STATUS_JSON = Key("web/status.json")
FRONT_PAGE = Key("web/index.html")
CURSOR = Key("state/cursor.json")
LAGGING = Key("state/lagging.json")
LOSSES = Key("state/losses.json")
SELECTION = Key("state/selection.json")
NAMED = Key("state/named.json")
EXCLUDED = Key("state/excluded.json")
PRIVATE = Key("state/private.json")
COOLDOWN = Key("state/cooldown.json")
LISTS = Key("state/lists.json")
NOTICES = Key("state/notices.json")
CLOSURE = Key("state/closure.json")
NEEDED = Key("state/needed.json")
REQUIREMENTS = Key("state/requirements/")  # <project>.json
ANNOUNCED = Key("state/announced.json")
ADVISORIES = Key("state/advisories/")
ATTESTATIONS = Key("state/attestations/")
UNVERIFIED = Key("state/unverified.json")
RUNS = Key("state/runs/")
INBOX = Key("state/inbox/")
DELETIONS = Key("state/deletions/")
TOMBSTONES = Key("state/tombstones/")
AUDIT = Key("state/audit.json")
AUDIT_FOLDER = Key("state/audit/")
EXPORTS = Key("state/exports.json")
EXPORTS_FOLDER = Key("state/exports/")
IMPORT = Key("state/import.json")
SYNCED = Key("state/synced.ndjson")
FILES = Key("web/packages/")
PROVENANCE = Key("web/integrity/")
CHANGES = Key("web/changes/")  # the change feed
FEED = Key("state/changes.json")  # what the finalizer has to know of it
FEED_PROOF = Key("state/feed-proof.json")  # that upstream's feed was rewritten
SIMPLE_ALL = Key("web/simple-all/")  # the index without the cooldown, and its own files
PYTHON_BUILDS = Key("web/python-builds/")
LEGACY_JSON = Key("web/json/")  # <project>
LEGACY_PAGES = Key("web/pypi/")  # <project>/json

HTML = "index.html"
V1_HTML = "index.v1_html"
V1_JSON = "index.v1_json"
VARIANTS = "-variants.json"
GZIP_FOLDER = "web/gzip/"

_MAX_NAME_BYTES = 255  # the limit of file systems
_MAX_KEY_BYTES = 1024  # the limit of S3
_PYPI_PATH = re.compile(r"(?P<digest>[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60})/(?P<filename>[^/]+)")
_DELETION = re.compile(r"(?P<hour>\d{8}T\d\d)/(?P<project>[^/]+)\.json")
_OWN_FOLDER = re.compile(r"[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{28,124}")  # of a digest's length
_RESERVED = re.compile(r"index\.(?:html|v1_html|v1_json)(?:\..*)?|.*\.metadata|\.frumious.*")


class UnsafeName(FrumiousError):
    """A filename or a URL from upstream that must not become a key."""

    reason = Reason.UPSTREAM_INVALID


def root_page(form: str) -> Key:
    """Return the key of a published root index; `form` is HTML, V1_HTML or V1_JSON."""
    return Key(f"web/simple/{form}")


def file_key(file: File) -> Key:
    """Return the key of `file`: upstream's path, if it has PyPI's form.

    PyPI's paths are `/packages/<2>/<2>/<60>/<filename>` of the content's blake2b-256. Files of an
    upstream with other paths get one of that form from their hash: a key identifies its content,
    so that no project can replace another project's file.

    Raises:
        UnsafeName: the filename or the URL has a segment that must not be in a key.
    """
    _check_segment(file.filename)
    _, packages, path = unquote(urlsplit(file.url).path).rpartition("/packages/")
    if packages:
        match = _PYPI_PATH.fullmatch(path)
        if match is not None and match["filename"] == file.filename:
            return Key(f"web/packages/{path}")
        _check_path(path)
    digest = ExpectedContent.of(file.hashes).digest
    return Key(f"web/packages/{digest[:2]}/{digest[2:4]}/{digest[4:]}/{file.filename}")


def digest_in(key: Key) -> str | None:
    """Return the digest that is part of a file's key; None where there is none.

    It is the content's blake2b-256 (PyPI's), or the hash that the key was made from.
    """
    match = _PYPI_PATH.fullmatch(key.removeprefix("web/packages/"))
    return match["digest"].replace("/", "") if match is not None else None


def stored_key(file: File) -> Key:
    """Return the key of a file on the mirror's own page: the path that its URL names.

    It is not always `file_key`: the page may have more hashes than upstream's page had.

    Raises:
        UnsafeName: as `file_key`.
    """
    _check_segment(file.filename)
    _, _, path = unquote(urlsplit(file.url).path).rpartition("/packages/")
    digest, _, name = path.rpartition("/")
    if name == file.filename and _OWN_FOLDER.fullmatch(digest):
        return Key(f"web/packages/{path}")
    return file_key(file)


def may_change(name: str) -> bool:
    """Return whether other bytes may replace a file: the variants of a release (draft PEP 825)."""
    return name.endswith(VARIANTS)


def filename(key: Key) -> str:
    """Return the last part of a key."""
    return posixpath.basename(key)


def metadata_key(file_at: Key) -> Key:
    """Return the key of the core metadata of the file at `file_at` (PEP 658)."""
    return Key(file_at + ".metadata")


def count_files(keys: Iterable[str]) -> int:
    """Return how many of the keys are files of releases: core metadata and provenance are not."""
    return sum(map(is_file, keys))


def is_file(key: str) -> bool:
    """Return whether a key is that of a file of a release."""
    return key.startswith("web/packages/") and not key.endswith(".metadata")


def provenance_key(project: NormalizedName, file: File) -> Key:
    """Return the key of a file's provenance: the path of PyPI's integrity API (PEP 740).

    Raises:
        UnsafeName: the version in the provenance's URL must not be in a key.
    """
    path = unquote(urlsplit(file.provenance or "").path)
    *_, version, url_filename, last = path.split("/") if path.count("/") > 1 else ("", "", "")
    if last != "provenance" or url_filename != file.filename:
        version = "unknown"
    _check_segment(version)
    return Key(f"web/integrity/{project}/{version}/{file.filename}/provenance")


def is_file_key(key: str) -> bool:
    """Return whether a key can be that of a file or its core metadata."""
    try:
        _check_path(key.removeprefix(FILES))
    except UnsafeName:
        return False
    return key.startswith(FILES) and key.count("/") > FILES.count("/")


def is_provenance_key(key: str, project: str) -> bool:
    """Return whether a key can be that of the provenance of a project's file."""
    prefix = f"{PROVENANCE}{project}/"
    segments = key.removeprefix(prefix).split("/")
    try:
        for segment in segments:
            _check_segment(segment)
    except UnsafeName:
        return False
    is_complete = len(segments) == 3 and segments[-1] == "provenance"  # noqa: PLR2004 (with a version)
    return key.startswith(prefix) and is_complete


def exported(export: str) -> Key:
    """Return the key of what the destination of an export has after it."""
    return Key(f"{EXPORTS_FOLDER}{export}.ndjson")


def is_provenance_url(url: str, key: Key) -> bool:
    """Return whether the path of a URL is that of the provenance at `key`.

    Other paths could make the mirror publish anything that upstream serves to it.
    """
    project, *rest = [unquote(part) for part in urlsplit(url).path.split("/")[-4:]]
    return [canonicalize_name(project), *rest] == key.split("/")[2:]


def legacy_json(project: NormalizedName) -> tuple[Key, ...]:
    """Return the keys of a project's legacy JSON, the same as bandersnatch's."""
    return Key(f"{LEGACY_JSON}{project}"), Key(f"{LEGACY_PAGES}{project}/json")


def file_url(key: Key, root_uri: str) -> str:
    """Return the URL of `key` in project pages: relative to the page, or below `root_uri`."""
    path = quote(key.removeprefix("web/"))
    return f"{root_uri.rstrip('/')}/{path}" if root_uri else f"../../{path}"


def tombstone(project: NormalizedName) -> Key:
    """Return the key of a removed project's tombstone."""
    return Key(f"{TOMBSTONES}{project}.json")


def attestations(project: NormalizedName) -> Key:
    """Return the key of what is known of a project's attestations."""
    return Key(f"{ATTESTATIONS}{project}.json")


def project_of_tombstone(key: Key) -> NormalizedName | None:
    """Return the project of a key of `tombstone`; None for any other key."""
    name = key.removeprefix(TOMBSTONES).removesuffix(".json")
    return canonicalize_name(name) if is_project(name) else None


def removed_files(project: NormalizedName) -> Key:
    """Return the key of what is kept of the files that a project's page named once."""
    return Key(f"state/removed/{project}.json")


def hour(seconds: float) -> str:
    """Return the hour of a time since the epoch as text, which sorts in the order of time."""
    return time.strftime("%Y%m%dT%H", time.gmtime(seconds))


def deletion(due: str, project: NormalizedName) -> Key:
    """Return the key that says that files of a project are due for deletion at an hour."""
    return Key(f"{DELETIONS}{due}/{project}.json")


def deletion_of(key: Key) -> tuple[str, NormalizedName] | None:
    """Return the hour and the project of a key of `deletion`; None for any other key."""
    match = _DELETION.fullmatch(key.removeprefix(DELETIONS))
    if match is None or not is_project(match["project"]):
        return None
    return match["hour"], canonicalize_name(match["project"])


def advisories(digest: str) -> Key:
    """Return the key of the advisories with a digest."""
    return Key(f"{ADVISORIES}{digest}.json")


def plan(run: RunId) -> Key:
    """Return the key of a run's plan."""
    return Key(f"{RUNS}{run}/plan.json")


def run_of(key: Key) -> RunId:
    """Return the run that a key below RUNS belongs to."""
    return RunId(key.removeprefix(RUNS).partition("/")[0])


def progress(run: RunId) -> Key:
    """Return the key of what is known of an open run's results."""
    return Key(f"{RUNS}{run}/progress.json")


def own_results(run: RunId) -> Key:
    """Return the prefix of a run's results, as version 0 kept them."""
    return Key(f"{RUNS}{run}/results/")


def inbox(name: str) -> Key:
    """Return the key of a batch's reports."""
    return Key(f"{INBOX}{name}.json")


def damaged(key: Key) -> Key:
    """Return where a copy of an object is kept that cannot be read."""
    return Key(f"state/damaged/{key.removeprefix('state/')}")


def is_project(name: str) -> bool:
    """Return whether a text is the normalised name of a project."""
    return len(name) <= MAX_NAME_LENGTH and is_normalized_name(name)


def check_reserved(name: str) -> None:
    """Check that a file's name is not one that the mirror itself gives to objects.

    File systems may ignore case.

    Raises:
        UnsafeName: it is.
    """
    if _RESERVED.fullmatch(name.lower()):
        msg = f"the name {name!r:.120} is reserved for the mirror's own objects"
        raise UnsafeName(msg)


def _check_path(path: str) -> None:
    for segment in path.split("/"):
        _check_segment(segment)
    if len(f"web/packages/{path}.metadata".encode()) > _MAX_KEY_BYTES:
        msg = f"the path {path!r:.120} exceeds the limit of {_MAX_KEY_BYTES} bytes for a key"
        raise UnsafeName(msg)


def _check_segment(segment: str) -> None:
    if segment in {"", ".", ".."}:
        msg = f"the path segment {segment!r} is not a name"
    elif not segment.isprintable() or "/" in segment or "\\" in segment:
        msg = f"the name {segment!r:.120} contains a slash, a backslash or a control character"
    elif len(segment.encode()) + len(".metadata") > _MAX_NAME_BYTES:
        msg = f"the name {segment!r:.120} with '.metadata' exceeds {_MAX_NAME_BYTES} bytes"
    else:
        return
    raise UnsafeName(msg)
