"""Snapshots of the index: which there are, and what each of them keeps.

A snapshot shares with the live index what has not changed since. Just before a job replaces or
deletes a page, it keeps the page for each snapshot that has none of the project; readers get the
live page where a snapshot keeps none (docs/snapshots.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Final

from msgspec import Meta, Struct
from packaging.utils import canonicalize_name

from frumious.clock import utc
from frumious.model import layout
from frumious.model.runs import CLOCK_SKEW
from frumious.model.types import Filename, Key, Seconds, Serial

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.types import JsonObject

# Seconds after which no job is at work that does not know of a snapshot: as long as Lambda runs a
# function at most, and by how much clocks may differ.
GRACE: Final = 15 * 60 + 5 * 60.0

SNAPSHOTS: Final = Key("state/snapshots.json")
KEPT_PAGES: Final = "state/snapshots/"  # <snapshot>/<project>.json
SNAPSHOT_PAGES: Final = "web/snapshot/"  # <snapshot>/simple/...
LIVE: Final = "live"  # names the live index where a snapshot's name is possible

ROLLBACK: Final = Key("web/rollback")  # in a folder: a link to what readers get as the live index
SNAPSHOT_NAME: Final = r"[a-z0-9](?:[a-z0-9._-]{0,61}[a-z0-9])?"

SnapshotName = Annotated[str, Meta(pattern=rf"\A{SNAPSHOT_NAME}\Z")]
StoreArn = Annotated[str, Meta(max_length=200)]  # checked by EdgeStore


class Snapshot(Struct, frozen=True, kw_only=True):
    """A snapshot of the index."""

    created: Seconds
    fixed: Seconds  # from then on, no job is at work that does not know of the snapshot
    serial: Serial  # of the mirror at that time
    as_of: Seconds | None = None  # an earlier time that it shows; None: when it was created
    creating: bool = False  # its pages are not all there yet: no reader gets it
    deleting: bool = False  # jobs keep nothing for it any more

    def is_fixed(self, now: float) -> bool:
        """Return whether it never changes; a wrong clock may have put that off for years."""
        return not now < self.fixed <= now + GRACE + CLOCK_SKEW


class Snapshots(Struct, frozen=True, kw_only=True):
    """All snapshots, as `state/snapshots.json` keeps them."""

    snapshots: Mapping[SnapshotName, Snapshot] = {}
    served: SnapshotName | None = None  # what readers get as the live index; None: the live one
    store: StoreArn | None = None  # SnapshotStore of the stack whose readers were given snapshots

    @property
    def active(self) -> tuple[str, ...]:
        """The names of those that jobs keep pages for."""
        return tuple(name for name, each in self.snapshots.items() if not each.deleting)

    @property
    def payload(self) -> JsonObject:
        """What the public may know: those that readers get, and which is the live index."""
        known: JsonObject = {
            name: {
                "created": utc(each.created),
                "fixed": utc(each.fixed),
                "as_of": None if each.as_of is None else utc(each.as_of),
                "serial": each.serial or None,
            }
            for name, each in self.snapshots.items()
            if not (each.creating or each.deleting)
        }
        return {"served": self.served, "known": known}


class KeptPage(Struct, frozen=True, kw_only=True):
    """What a snapshot keeps of a project whose live page has changed: the page of that time.

    What readers get of it lacks the files that are `withheld`: blocked by an advisory, or in
    quarantine upstream.
    """

    page: dict[str, object] | None  # the JSON page, parsed; None: the project had none
    withheld: tuple[Filename, ...] = ()


def kept_project(snapshot: str, key: Key) -> NormalizedName | None:
    """Return the project of a key of `kept_page_key`; None for any other key."""
    name = key.removeprefix(f"{KEPT_PAGES}{snapshot}/").removesuffix(".json")
    is_project = layout.is_project(name) and key == kept_page_key(snapshot, canonicalize_name(name))
    return canonicalize_name(name) if is_project else None


def kept_page_key(snapshot: str, project: NormalizedName) -> Key:
    """Return the key of what a snapshot keeps of a project."""
    return Key(f"{KEPT_PAGES}{snapshot}/{project}.json")


def snapshot_key(snapshot: str, page: Key) -> Key:
    """Return where a snapshot has its own copy of what the live index has at `page`."""
    if page.startswith(layout.GZIP_FOLDER):
        msg = f"{page!r} is a compressed variant, and snapshots have none"
        raise ValueError(msg)
    return Key(f"{SNAPSHOT_PAGES}{snapshot}/{page.removeprefix('web/')}")
