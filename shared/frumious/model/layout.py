"""Every key that the mirror stores, and how the objects behind the keys are served.

Keys are relative to the mirror's directory. What upstream says becomes a key here or nowhere:
whatever would leave its place is refused.
"""

from __future__ import annotations

import posixpath
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote, urlsplit

from packaging.utils import canonicalize_name, is_normalized_name

from frumious.errors import FrumiousError
from frumious.model.checksums import ExpectedContent
from frumious.model.types import Key, RunId

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.pages import File

STATUS = Key("status")
TODO = Key("todo")  # bandersnatch's, of a run that was interrupted
GENERATION = Key("generation")
LAST_MODIFIED = Key("web/last-modified")
STATUS_JSON = Key("web/status.json")
CURSOR = Key("state/cursor.json")
LAGGING = Key("state/lagging.json")
SELECTION = Key("state/selection.json")
RUNS = Key("state/runs/")

HTML = "index.html"
V1_HTML = "index.v1_html"
V1_JSON = "index.v1_json"

CONTENT_TYPES = {
    HTML: "text/html; charset=utf-8",
    V1_HTML: "application/vnd.pypi.simple.v1+html",
    V1_JSON: "application/vnd.pypi.simple.v1+json",
}

_LONGEST_NAME = 255  # bytes, what file systems take
_LONGEST_KEY = 1024  # bytes, what S3 takes
_PYPI_PLACE = re.compile(r"(?P<digest>[0-9a-f]{2}/[0-9a-f]{2}/[0-9a-f]{60})/(?P<filename>[^/]+)")
_VERSION = re.compile(r"index_(?P<serial>\d+)_(?P<time>[^/]+)\.(?:html|v1_html|v1_json)")
_PAGE_AGE = "public, max-age=60"
_FILE_AGE = "public, max-age=31536000, immutable"


class UnsafeName(FrumiousError):
    """A filename or a URL from upstream that must not become a key."""


@dataclass(frozen=True, slots=True)
class Headers:
    """What an object is served with."""

    content_type: str
    cache_control: str | None


def headers(key: Key) -> Headers:
    """Say what the object at `key` is served with."""
    if not key.startswith("web/"):
        json = key.endswith((".json", V1_JSON))
        return Headers("application/json" if json else "text/plain; charset=utf-8", None)
    if key.startswith("web/packages/"):
        return Headers("application/octet-stream", _FILE_AGE)
    if key.startswith("web/integrity/"):
        return Headers("application/vnd.pypi.integrity.v1+json", _PAGE_AGE)
    if key.startswith(("web/json/", "web/pypi/")):
        return Headers("application/json", _PAGE_AGE)
    name = filename(key)
    page = f"index.{name.rpartition('.')[2]}"  # an older version is called index_<...>.<form>
    if page in CONTENT_TYPES and (name == page or name.startswith("index_")):
        return Headers(CONTENT_TYPES[page], _PAGE_AGE)
    kind = "application/json" if name.endswith(".json") else "text/plain; charset=utf-8"
    return Headers(kind, _PAGE_AGE)


@dataclass(frozen=True, slots=True)
class PageLayout:
    """Where pages lie and which forms readers get: `hash-index` and `simple-format`.

    The JSON pages are the mirror's own books as well. Where readers are to have HTML alone, they
    are kept as state.
    """

    hashed: bool = False  # project pages lie below their first letter
    html: bool = True
    json: bool = True

    @classmethod
    def named(cls, name: str) -> PageLayout:
        """Read what `name` says."""
        words = name.split()
        return cls("hashed" in words, html="html" in words, json="json" in words)

    @property
    def name(self) -> str:
        """How the ledger calls them."""
        words = (("hashed", self.hashed), ("html", self.html), ("json", self.json))
        return " ".join(word for word, holds in words if holds)

    @property
    def forms(self) -> tuple[str, ...]:
        """The forms that readers get."""
        return (*((HTML, V1_HTML) if self.html else ()), *((V1_JSON,) if self.json else ()))

    @property
    def manifest_prefix(self) -> str:
        """What the keys of all JSON pages begin with."""
        return "web/simple/" if self.json else "state/simple/"

    @property
    def root_manifest(self) -> Key:
        """The key of the JSON root index."""
        return Key(f"{self.manifest_prefix}{V1_JSON}")

    @property
    def root_html(self) -> tuple[Key, ...]:
        """The keys of the root index in HTML."""
        return tuple(root_page(form) for form in self.forms if form != V1_JSON)

    def keys(self, project: str) -> tuple[Key, ...]:
        """Return the keys of a project's pages that readers get."""
        return tuple(Key(f"web/simple/{self._folder(project)}/{form}") for form in self.forms)

    def page(self, project: str, form: str) -> Key:
        """Return the key of a project page for readers; `form` is HTML, V1_HTML or V1_JSON."""
        return Key(f"web/simple/{self._folder(project)}/{form}")

    def manifest(self, project: str) -> Key:
        """Return the key of a project's JSON page, whoever reads it."""
        return Key(f"{self.manifest_prefix}{self._folder(project)}/{V1_JSON}")

    def versions(self, project: str) -> str:
        """Return the prefix of a project's older pages."""
        return f"web/simple/{self._folder(project)}/versions/"

    def project_of(self, key: Key) -> NormalizedName | None:
        """Return whose JSON project page a key is; None where it is something else."""
        *_, project, _ = ("", "", *key.split("/"))
        if is_normalized_name(project) and key == self.manifest(canonicalize_name(project)):
            return canonicalize_name(project)
        return None

    def after_manifest(self, project: str) -> str:
        """Return what lies behind a project's JSON page in the order of keys, before the next's."""
        return f"{self.manifest_prefix}{self._folder(project)}/~"

    def _folder(self, project: str) -> str:
        return f"{project[0]}/{project}" if self.hashed else project


def root_page(form: str) -> Key:
    """Return the key of the root index for readers; `form` is HTML, V1_HTML or V1_JSON."""
    return Key(f"web/simple/{form}")


def version_of_page(serial: int | None, run: RunId, form: str) -> str:
    """Return what an older page is called: by its serial and when its run began."""
    began, _, _ = run.partition("-")
    if began[:8].isdecimal():
        began = f"{began[:4]}-{began[4:6]}-{began[6:]}Z"
    return f"index_{serial or 0}_{began}.{form.removeprefix('index.')}"


def age_of_version(key: Key) -> tuple[int, str] | None:
    """Return what orders older pages by age, the same for all forms; None where it is none."""
    found = _VERSION.fullmatch(filename(key))
    return (int(found["serial"]), found["time"]) if found is not None else None


def file_key(file: File) -> Key:
    """Return where `file` is stored: as upstream's path has it, where that is of PyPI's form.

    PyPI's paths are `/packages/<2>/<2>/<60>/<filename>` of the content's blake2b-256. An
    upstream with other paths gets the like from the file's hash: a place says what lies there,
    so that no project can put other bytes into another's.

    Raises:
        UnsafeName: the filename or the URL would leave its place.
    """
    _check_segment(file.filename)
    _, packages, path = unquote(urlsplit(file.url).path).rpartition("/packages/")
    if packages:
        _check_path(path)
    place = _PYPI_PLACE.fullmatch(path)
    if not packages or place is None or place["filename"] != file.filename:
        digest = ExpectedContent.of(file.hashes).digest
        path = f"{digest[:2]}/{digest[2:4]}/{digest[4:]}/{file.filename}"
    return Key(f"web/packages/{path}")


def digest_in(key: Key) -> str | None:
    """Return the digest of what has to lie at a file's key, as the key itself has it.

    It is of the content's blake2b-256 (PyPI's), or of the hash that the place was made from.
    """
    place = _PYPI_PLACE.fullmatch(key.removeprefix("web/packages/"))
    return "".join(place["digest"].split("/")) if place is not None else None


def filename(key: Key) -> str:
    """Return the last part of a key."""
    return posixpath.basename(key)


def metadata_key(file_at: Key) -> Key:
    """Return where the core metadata of the file at `file_at` is stored (PEP 658)."""
    return Key(file_at + ".metadata")


def provenance_key(project: NormalizedName, file: File) -> Key:
    """Return where a file's provenance is stored: as PyPI's integrity API has it (PEP 740).

    Raises:
        UnsafeName: the provenance's address would leave its place.
    """
    path = unquote(urlsplit(file.provenance or "").path)
    *_, version, filename_there, last = path.split("/") if path.count("/") > 1 else ("", "", "")
    if last != "provenance" or filename_there != file.filename:
        version = "unknown"
    _check_segment(version)
    return Key(f"web/integrity/{project}/{version}/{file.filename}/provenance")


def legacy_json(project: NormalizedName) -> tuple[Key, ...]:
    """Return the keys of a project's legacy JSON, as bandersnatch has them."""
    return Key(f"web/json/{project}"), Key(f"web/pypi/{project}/json")


def file_url(key: Key, root_uri: str) -> str:
    """Return how project pages link to what is at `key`.

    Relative to the page, or below `root_uri` where the configuration names one.
    """
    path = quote(key.removeprefix("web/"))
    return f"{root_uri.rstrip('/')}/{path}" if root_uri else f"../../{path}"


def tombstone(project: NormalizedName) -> Key:
    """Return the key of what is remembered of a project that was removed."""
    return Key(f"state/tombstones/{project}.json")


def plan(run: RunId) -> Key:
    """Return the key of a run's plan."""
    return Key(f"{RUNS}{run}/plan.json")


def run_of(key: Key) -> RunId:
    """Return the run that a key of the ledger belongs to."""
    return RunId(key.removeprefix(RUNS).partition("/")[0])


def results(run: RunId) -> Key:
    """Return the prefix of a run's results."""
    return Key(f"{RUNS}{run}/results/")


def result(run: RunId, name: str) -> Key:
    """Return the key of one worker's results for a run."""
    return Key(f"{results(run)}{name}.json")


def _check_path(path: str) -> None:
    for segment in path.split("/"):
        _check_segment(segment)
    if len(f"web/packages/{path}.metadata".encode()) > _LONGEST_KEY:
        msg = f"the path {path!r:.120} is longer than the {_LONGEST_KEY} bytes that a key may have"
        raise UnsafeName(msg)


def _check_segment(segment: str) -> None:
    if segment in {"", ".", ".."}:
        msg = f"the path segment {segment!r} is not a name"
    elif any(char in "/\\" or not char.isprintable() for char in segment):
        msg = f"the name {segment!r:.120} has a slash, a backslash or a control character"
    elif len(segment.encode(errors="surrogatepass")) + len(".metadata") > _LONGEST_NAME:
        msg = f"the name {segment!r:.120} is longer than {_LONGEST_NAME} bytes with its '.metadata'"
    else:
        return
    raise UnsafeName(msg)
