"""Project pages, their files, and the root index."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.model.types import Json, Key, RunId


@dataclass(frozen=True, slots=True, kw_only=True)
class File:
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Status:
    """What the project's owners or upstream's admins say of it (PEP 792)."""

    status: str = "active"  # active, archived, deprecated, quarantined
    reason: str | None = None
    extra: Mapping[str, Json] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Publication:
    """How the mirror's own project page came to be: the private part of the manifest.

    With it a job that is delivered again, even after a crash between any two steps, reports
    what it changed and deletes what it left, without a request more.
    """

    run: RunId
    selection: str  # fingerprint of the configuration that shaped the page
    etag: str = ""  # of upstream's page, where it sends one: what differs without an event
    added: tuple[Key, ...] = ()
    removed: tuple[Key, ...] = ()
    refused: Mapping[str, str] = field(default_factory=dict)  # filename -> why it is not here
    stored: bool = True  # False: only the index is mirrored, none of the files is here


@dataclass(frozen=True, slots=True, kw_only=True)
class ProjectPage:
    """A project page of the Simple API (PEP 503, 691, 700, 792)."""

    name: str
    api_version: str = "1.0"  # PEP 629: what upstream's page claims to be complete for
    files: tuple[File, ...] = ()
    versions: tuple[str, ...] | None = None  # PEP 700; None: upstream does not list them
    serial: int | None = None  # None: upstream keeps no serials
    status: Status | None = None
    publication: Publication | None = None  # only on pages that the mirror wrote
    meta: Mapping[str, Json] = field(default_factory=dict)  # other keys of "meta"
    extra: Mapping[str, Json] = field(default_factory=dict)

    @property
    def quarantined(self) -> bool:
        """Whether upstream asks that nobody gets the project's files (PEP 792)."""
        return self.status is not None and self.status.status == "quarantined"


@dataclass(frozen=True, slots=True)
class ListedProject:
    """A project as the mirror's own root index lists it."""

    name: str
    serial: int | None
    files: int = 0  # that its page names
    bytes_: int = 0  # that those files have


@dataclass(frozen=True, slots=True)
class DelistedProject:
    """A project that leaves the mirror's root index."""

    serial: int | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RootIndex:
    """Upstream's list of all projects (PEP 503, 691): of each its serial, where there are any.

    There may be a million of them: nothing is kept that planning does not need.
    """

    projects: Mapping[NormalizedName, int | None]
    serial: int | None = None
    etag: str = ""  # upstream's
