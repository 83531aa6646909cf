"""Project pages, their files, and the root index."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct, field

from frumious.model.types import Json, PublicKey, RunName
from frumious.value import Value

if TYPE_CHECKING:
    from packaging.utils import NormalizedName


class File(Value, frozen=True, kw_only=True):
    """One file of a release: an sdist or a wheel (PEP 503, 691).

    `url` is absolute where it came from upstream, and relative to the project page where the
    mirror publishes it.
    """

    filename: str
    url: str
    hashes: Mapping[str, str]  # PEP 691: algorithm -> hex digest
    requires_python: str | None = None  # PEP 503
    size: int | None = None  # PEP 700, bytes
    upload_time: str | None = None  # PEP 700, ISO 8601, as upstream wrote it
    yanked: bool | str = False  # PEP 592: a text is the reason
    core_metadata: bool | Mapping[str, str] = False  # PEP 658, 714: hashes of FILE.metadata
    gpg_sig: bool | None = None  # PEP 503
    provenance: str | None = None  # PEP 740, URL
    extra: Mapping[str, Json] = field(default_factory=dict)  # keys we do not know, passed on


class Status(Value, frozen=True, kw_only=True):
    """A project's status, set by its owners or by upstream's administrators (PEP 792)."""

    status: str = "active"  # active, archived, deprecated, quarantined
    reason: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


# A valid version by PEP 440, as upstream spells it.
ReleaseVersion = Annotated[str, Meta(pattern=r"\A[0-9A-Za-z][0-9A-Za-z.!+_-]*\Z", max_length=128)]
ReleaseMd5 = Annotated[str, Meta(pattern=r"\A([0-9a-f]{16})?\Z")]


class LegacyCopy(Struct, frozen=True):
    """Upstream's legacy JSON, as a job stored it before it published the page."""

    # Hexadecimal: on many servers a listing has it. Empty: upstream had no legacy JSON.
    md5: Annotated[str, Meta(pattern="^([0-9a-f]{32})?$")] = ""
    serial: int | None = None


class Publication(Struct, frozen=True, kw_only=True):
    """How the mirror produced its own project page: the private part of the manifest.

    A job that is redelivered, even after a crash between any two steps, reads from it what to
    report and what to delete, without an additional request.
    """

    run: RunName
    selection: str  # fingerprint of the configuration that the page depends on
    etag: str = ""  # of upstream's page, if sent; detects changes that have no event
    added: tuple[PublicKey, ...] = ()
    removed: tuple[PublicKey, ...] = ()
    refused: Mapping[str, str] = {}  # filename -> why it is not here
    stored: bool = True  # False: only the index is mirrored, without the files
    removed_files: bool = False  # whether `state/removed/` knows files that were named earlier
    delayed: bool = False  # whether `removed` are deleted later, as `state/removed/` says
    private: Mapping[str, str] = {}  # filename -> `PrivateFile.identity`; of private projects
    compressed: bool = False  # whether a compressed variant was written before the page
    simple_all: bool = False  # whether the index without the cooldown may have a page of its own
    legacy: LegacyCopy | None = None  # None: it is not mirrored, or nobody kept what was stored
    # Version -> the beginning of the MD5 of its own legacy JSON; empty: upstream has none. Versions
    # of the page that are missing wait for the next job. None: they are not mirrored.
    releases: Mapping[ReleaseVersion, ReleaseMd5] | None = None


class ProjectPage(Value, frozen=True, kw_only=True):
    """A project page of the Simple API (PEP 503, 691, 700, 792)."""

    name: str
    api_version: str = "1.0"  # PEP 629, of upstream's page
    files: tuple[File, ...] = ()
    versions: tuple[str, ...] | None = None  # PEP 700; None: upstream does not list them
    serial: int | None = None  # None: upstream has no serials
    status: Status | None = None
    publication: Publication | None = None  # only on pages that the mirror wrote
    meta: Mapping[str, Json] = field(default_factory=dict)  # other keys of "meta"
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def is_private(self) -> bool:
        """Whether the mirror wrote the page with files of the private directory."""
        return self.publication is not None and bool(self.publication.private)

    @property
    def quarantined(self) -> bool:
        """Whether upstream forbids to offer the project's files (PEP 792)."""
        return self.status is not None and self.status.status == "quarantined"


class ListedProject(Value, frozen=True):
    """A project as the mirror's own root index lists it."""

    name: str
    serial: int | None
    files: int = 0  # on its page
    bytes_: int = 0  # of those files
    rewinding: bool = False  # as a change: it counts although its serial may be lower


class DelistedProject(Value, frozen=True):
    """A project that is removed from the mirror's root index."""

    serial: int | None
    rewinding: bool = False


class RootIndex(Value, frozen=True, kw_only=True):
    """Upstream's list of all projects with their serials, if it has serials (PEP 503, 691).

    A million projects are possible, so it contains only what planning needs.
    """

    projects: Mapping[NormalizedName, int | None]
    serial: int | None = None
    etag: str = ""  # upstream's
