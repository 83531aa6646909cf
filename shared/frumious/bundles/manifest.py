"""What a bundle says of itself: a small head, which is signed, and the manifest that it verifies.

The manifest has a line for each project, so that its size does not matter.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Final

import msgspec
from msgspec import Meta, Struct

from frumious.bundles.errors import InvalidBundle
from frumious.model import layout
from frumious.model.page_layout import age_of_version
from frumious.model.release_json import is_release_key
from frumious.model.types import Count, Key, ProjectName, Seconds, Serial
from frumious.pythons.published import LIST, is_build_key
from frumious.simple.values import project_name
from frumious.state.bundle_records import Id, Number

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.page_layout import PageLayout

FORMAT: Final = 1
HEAD: Final = "bundle.json"
SIGNATURE: Final = f"{HEAD}.minisig"
MANIFEST: Final = "manifest.ndjson"
MAX_HEAD: Final = 16 * 1024**2  # bytes: 100,000 volumes
MAX_LINE: Final = 64 * 1024**2  # bytes: a project with 200,000 files

Sha256 = Annotated[str, Meta(pattern=r"\A[0-9a-f]{64}\Z")]
_VolumeName = Annotated[str, Meta(pattern=r"\A(files|pages)-[0-9]{3,9}\.tar\Z")]


class Part(Struct, frozen=True, array_like=True):
    """Where bytes of an object are: a large one may be in several volumes."""

    volume: Number
    offset: Count
    size: Count


class Object(Struct, frozen=True, array_like=True):
    """An object of the mirror."""

    key: Annotated[str, Meta(max_length=1024)]
    size: Count
    sha256: Sha256
    parts: tuple[Part, ...]


class Listed(Struct, frozen=True, array_like=True):
    """What the root index says of a project."""

    name: str
    serial: Serial | None
    files: Count
    bytes: Count


class Line(Struct, frozen=True, omit_defaults=True):
    """What the bundle has of a project; without a project, of the mirror as a whole.

    The latter has pages alone; builds of Python, lines with nothing but files.
    """

    project: ProjectName | None = None
    removed: bool = False
    files: tuple[Object, ...] = ()  # those that the earlier bundles do not have
    pages: tuple[Object, ...] = ()  # all of them, the manifest last
    listed: Listed | None = None  # in a bundle of named projects, which has no root index


class Volume(Struct, frozen=True):
    """A file with objects."""

    name: _VolumeName
    size: Count


class Head(Struct, frozen=True, kw_only=True):
    """What is signed."""

    format: Count
    source: Id  # identifies the mirror that was exported
    id: Id
    sequence: Number  # counts the bundles for one destination
    previous: Id | None  # the bundle that this one follows; None: it is complete
    since: Serial  # the source's serial at that bundle
    serial: Serial  # the source's serial now
    created: Seconds
    layout: str  # `PageLayout.name` of the source
    projects: tuple[ProjectName, ...] | None = None  # None: all that have changed
    changed: Count  # projects
    removed: Count  # projects
    objects: Count
    bytes: Count
    manifest: Sha256
    manifest_size: Count
    volumes: tuple[Volume, ...]

    @property
    def name(self) -> str:
        """The name of the bundle's folder, which sorts by sequence."""
        return bundle_name(self.sequence, self.since, self.serial)


def bundle_name(sequence: int, since: int, serial: int) -> str:
    """Return the name of a bundle's folder."""
    return f"frumious-{sequence:06}-from-{since}-to-{serial}"


def render_head(head: Head) -> bytes:
    """Render a head."""
    return msgspec.json.format(msgspec.json.encode(head), indent=1) + b"\n"


def parse_head(body: bytes) -> Head:
    """Parse a head whose signature was verified.

    Raises:
        InvalidBundle: it is not one, or a later version has written it.
    """
    try:
        payload = msgspec.json.decode(body)
        version = payload.get("format") if isinstance(payload, dict) else None
        if isinstance(version, int) and version > FORMAT:
            msg = f"the bundle has format {version}; import it with a later version of Frumious"
            raise InvalidBundle(msg)
        return msgspec.convert(payload, Head)
    except (ValueError, RecursionError) as error:
        msg = f"the bundle's {HEAD} is invalid: {error}"
        raise InvalidBundle(msg) from error


def render_line(line: Line) -> bytes:
    """Render a line of the manifest."""
    return msgspec.json.encode(line) + b"\n"


def parse_line(body: bytes, page_layout: PageLayout) -> Line:
    """Parse a line of a manifest, for a mirror with that layout.

    Raises:
        InvalidBundle: it is not one, or names an object that no bundle may write.
    """
    try:
        line = msgspec.json.decode(body, type=Line)
    except (ValueError, RecursionError) as error:
        msg = f"a line of the bundle's {MANIFEST} is invalid: {error}"
        raise InvalidBundle(msg) from error
    for each in (*line.files, *line.pages):
        if sum(part.size for part in each.parts) != each.size:
            msg = f"the parts of {each.key!r} do not have its size"
            raise InvalidBundle(msg)
    wrong = [each.key for each in line.files if not is_file(each.key, line.project)]
    wrong += [each.key for each in line.pages if not is_page(each.key, line.project, page_layout)]
    if wrong:
        msg = f"the bundle has the key {wrong[0]!r:.200} for {line.project}, which it may not write"
        raise InvalidBundle(msg)
    is_of_builds = line.project is None and line.files and not (line.pages or line.removed)
    if line.listed is not None and project_name(line.listed.name) != line.project:
        msg = f"the bundle lists {line.project} under another name"
        raise InvalidBundle(msg)
    manifest = None if line.project is None else page_layout.manifest(line.project)
    is_complete = not line.pages or manifest in {None, line.pages[-1].key}
    if not is_complete or (manifest is None and (line.files or line.removed) and not is_of_builds):
        msg = f"the line of {line.project} in the bundle's {MANIFEST} is incomplete"
        raise InvalidBundle(msg)
    return line


def is_file(key: str, project: NormalizedName | None) -> bool:
    """Return whether a key is one of a project's file, its core metadata or its provenance.

    Without a project, one of a build of Python.
    """
    if project is None:
        return is_build_key(key)
    return key.isprintable() and (layout.is_file_key(key) or layout.is_provenance_key(key, project))


def is_page(key: str, project: NormalizedName | None, page_layout: PageLayout) -> bool:
    """Return whether a key is one of a project's pages, or of the mirror's own as a whole.

    Compressed variants are not among them: the importing mirror compresses its pages itself.
    """
    if project is None:
        return key in site_keys(page_layout)
    pages = (page_layout.page(project, form) for form in page_layout.forms)
    if key in {*pages, page_layout.manifest(project), *layout.legacy_json(project)}:
        return True
    if is_release_key(key, project):
        return True
    versions = page_layout.versions(project)
    name = key.removeprefix(versions)
    return key == versions + name and "/" not in name and bool(age_of_version(Key(name)))


def site_keys(page_layout: PageLayout) -> tuple[Key, ...]:
    """Return the keys of the mirror as a whole, in the order in which they are published."""
    return (
        *page_layout.root_html,
        page_layout.root_manifest,
        layout.FRONT_PAGE,
        layout.GENERATION,
        layout.LAST_MODIFIED,
        layout.STATUS,
        layout.STATUS_JSON,
        LIST,
    )
