"""What an audit finds, and how far it is."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Annotated, Final

from msgspec import Meta, Struct

from frumious.model.types import Count, Key, ProjectName, Seconds, Serial


class Kind(StrEnum):
    """What is wrong with an object."""

    MISSING_FILE = "missing-file"
    WRONG_SIZE = "wrong-size"
    WRONG_HASH = "wrong-hash"
    MISSING_METADATA = "missing-metadata"
    WRONG_METADATA = "wrong-metadata"
    MISSING_PROVENANCE = "missing-provenance"
    WRONG_PROVENANCE = "wrong-provenance"  # it is not JSON
    WRONG_TYPE = "wrong-content-type"
    MISSING_PAGE = "missing-page"
    WRONG_PAGE = "wrong-page"  # it differs from the project's JSON page
    UNREADABLE_PAGE = "unreadable-page"
    MISSING_LEGACY = "missing-legacy-json"
    WRONG_LEGACY = "wrong-legacy-json"  # it is not what was stored with the page, or is older
    WRONG_ROOT = "wrong-root-index"  # a page of it is missing, damaged, or differs from its JSON
    OLD_ROOT = "older-root-index"  # it is not the last one that was published
    UNLISTED = "unlisted-project"  # it has a page, but the root index lacks it
    WRONG_ENTRY = "wrong-root-entry"  # the root index has another serial or name than the page
    DAMAGED_STATE = "damaged-state"
    DAMAGED_FEED = "damaged-change-feed"
    DAMAGED_SNAPSHOT = "damaged-snapshot"  # what it shows is not what it keeps, or is not stored
    DAMAGED_SIMPLE_ALL = "damaged-simple-all"  # a page or file of the index without the cooldown
    DAMAGED_BUILD = "damaged-python-build"  # or a missing one, or their list
    ORPHAN = "orphan"  # no page names the file
    LEFTOVER = "leftover"  # no part of this mirror: another program, or a person, put it there

    @property
    def is_damage(self) -> bool:
        """Whether readers may miss something; orphans and leftovers only take space."""
        return self is not Kind.ORPHAN and self is not Kind.LEFTOVER

    @property
    def is_content(self) -> bool:
        """Whether a page names an object that is not what the page promises."""
        return self in _CONTENT

    @property
    def advice(self) -> str:
        """What to do about it."""
        if self is Kind.ORPHAN:
            return "--delete-orphans deletes it"
        if self is Kind.LEFTOVER:
            return "delete it if nobody needs it"
        if self is Kind.DAMAGED_FEED:
            return "restore its version, or begin a new feed (docs/changes.md)"
        if self is Kind.DAMAGED_BUILD:
            return "'frumious pythons --deep' fetches it again"
        if self is Kind.DAMAGED_STATE:
            return "'frumious doctor --repair' repairs it"
        return "--repair repairs it"


_CONTENT: Final = frozenset(
    {
        Kind.MISSING_FILE,
        Kind.WRONG_SIZE,
        Kind.WRONG_HASH,
        Kind.MISSING_METADATA,
        Kind.WRONG_METADATA,
        Kind.MISSING_PROVENANCE,
        Kind.WRONG_PROVENANCE,
    }
)


class Finding(Struct, frozen=True, omit_defaults=True):
    """An object that is not as it should be."""

    kind: Kind
    key: Key
    project: str = ""  # whose page names the object; empty: none
    detail: str = ""

    def __str__(self) -> str:
        """Return the finding as a line of text."""
        detail = f" ({self.detail})" if self.detail else ""
        return f"{self.kind}: {self.key}{detail}"


class Phase(StrEnum):
    """The parts of an audit, in their order."""

    PAGES = "pages"
    FILES = "files"
    SNAPSHOTS = "snapshots"
    REST = "rest"
    ROOT = "root"
    DONE = "done"


_Objects = Annotated[int, Meta(ge=0, le=100_000)]  # at most one a minute, or for a million keys


class AuditProgress(Struct, frozen=True, kw_only=True):
    """How far an audit is: enough to continue it in another process."""

    began: Seconds
    deep: bool = False
    sample: Annotated[float, Meta(gt=0, le=1)] = 1.0  # the share of files that a deep audit reads
    phase: Phase = Phase.PAGES
    after: str = ""  # the folder up to which pages are checked, or the key of a kept page
    shards: Annotated[int, Meta(ge=1, le=256)] = 1  # ranges of keys in which files are checked
    shard: Count = 0  # the next one
    batches: _Objects = 0  # of what pages name, as stored for the later phases
    reported: _Objects = 0  # objects with findings
    counts: Mapping[Kind, Count] = {}
    projects: Count = 0  # whose pages are checked
    objects: Count = 0  # that are checked
    read: Count = 0  # bytes of the files that were read
    finished: Seconds = 0.0

    @property
    def damaged(self) -> int:
        """How many findings are damage."""
        return sum(count for kind, count in self.counts.items() if kind.is_damage)

    @property
    def share(self) -> float:
        """How much of the listing of files is done, between 0 and 1."""
        if self.phase in {Phase.PAGES, Phase.FILES}:
            return self.shard / self.shards
        return 1.0


class NamedPage(Struct, frozen=True, array_like=True):
    """What a project's page says about it in the root index, as an audit keeps it."""

    project: ProjectName
    name: str
    serial: Serial | None
    listed: bool
    files: Count
    bytes_: Count
    run: str = ""  # that published the page
