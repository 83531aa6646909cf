"""How far the mirror is: `status`, `web/status.json`, `web/last-modified`, and the front page."""

from __future__ import annotations

import json
import logging
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Final, Self, cast

import msgspec
from msgspec.structs import replace

from frumious.clock import utc
from frumious.errors import Reason
from frumious.finalizing import front_page
from frumious.finalizing.root_index import read_totals
from frumious.finalizing.run_events import summary
from frumious.model import layout
from frumious.model.advisories import Feed
from frumious.model.closure import ClosureMark
from frumious.model.notices import Notices
from frumious.state.notices import read_notices
from frumious.state.objects import LedgerCorrupt
from frumious.state.replacing import replace_object
from frumious.state.snapshot_status import publish_snapshots
from frumious.state.snapshots import read_snapshots
from frumious.state.status_files import parse_serial, parse_status
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.finalizing.completion import RunReview
    from frumious.finalizing.ripening import Waiting
    from frumious.finalizing.root_index import Totals
    from frumious.model.runs import Cursor, Lagging
    from frumious.model.types import Json, JsonObject
    from frumious.state.page_store import PageStore
    from frumious.storage.protocol import Storage

logger = logging.getLogger(__name__)

GENERATION: Final = b"5"  # bandersnatch's number for this layout

NO_FEED: Final = Feed()
NO_CLOSURE: Final = ClosureMark()
_MAX_RUNS: Final = 10  # in status.json
_REFRESH: Final = timedelta(minutes=5)  # after which status.json is written all the same
# What time changes, and upstream's changes of projects that are not mirrored.
_VOLATILE: Final = frozenset({"updated", "checked", "lag_seconds", "serial", "upstream_serial"})
_ATTEMPTS: Final = 5


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far the mirror is behind upstream."""

    serial: int | None  # the mirror's
    upstream_serial: int | None  # upstream's, when it was last asked
    checked: float  # when that was, in seconds since the epoch; 0: never
    lag_seconds: float  # since the mirror is known to have been equal to upstream
    resets: int = 0  # how often the mirror began to count anew
    problem: Reason | None = None  # why upstream's changes are not followed
    advisories: Feed = NO_FEED
    closure: ClosureMark = NO_CLOSURE
    notices: int = 0  # the revision of what waits for a person
    unverified: int = 0  # projects with faults of their attestations
    first_run: bool = False  # which is not done yet: the mirror never had all changes

    @property
    def known_lag_seconds(self) -> int | None:
        """`lag_seconds` for people; None: the mirror was never equal to upstream."""
        return None if self.first_run else round(self.lag_seconds)

    @property
    def lag_serials(self) -> int | None:
        """How many of upstream's changes are missing; None: upstream does not count them."""
        if self.serial is None or self.upstream_serial is None or self.problem is not None:
            return None
        return max(0, self.upstream_serial - self.serial)

    @classmethod
    def of(cls, cursor: Cursor, now: float) -> Self:
        """Return how fresh the mirror is, by what the cursor knows."""
        waiting = [run.behind for run in cursor.runs if run.since is not None and run.behind]
        regressed = [cursor.regressed] if cursor.regressed else []
        equal = min([*waiting, *regressed, cursor.asked])
        has_serial = cursor.mirror_serial is not None or cursor.upstream is None
        return cls(
            serial=cursor.mirror_serial,
            upstream_serial=cursor.upstream,
            checked=cursor.asked,
            lag_seconds=max(0.0, now - equal) if cursor.asked else 0.0,
            resets=cursor.resets,
            problem=Reason.UPSTREAM_REGRESSED if cursor.is_regressed(now) else None,
            advisories=cursor.advisories,
            closure=cursor.closure,
            notices=cursor.notices,
            unverified=cursor.unverified,
            first_run=bool(cursor.runs) and not (cursor.projects and has_serial),
        )


async def publish_status(  # noqa: PLR0913 (what it is made of)
    closed: Sequence[RunReview],
    freshness: Freshness,
    totals: Totals | None,
    lagging: Mapping[NormalizedName, Lagging],
    pages: PageStore,
    *,
    now: float,
    changed: bool,
    waiting: Waiting | None = None,
) -> None:
    """Write how far the mirror is: rarely while nothing happens, and never an older serial.

    A serial of a mirror that counts anew is later than all before.

    `totals` and `waiting` are None where they have not changed; `changed` says whether anything was
    published. status.json comes last: if it is up to date, the others are. A damaged one is made
    again, without the runs that it named.

    Raises:
        Conflict: others wrote it again and again.
    """
    storage = pages.storage
    for _ in range(_ATTEMPTS):
        try:
            stored = await storage.read(layout.STATUS_JSON)
            before = parse_status(stored)
            if stored is not None and not before and totals is None:
                totals = await read_totals(pages)
            status = _status(before, closed, freshness, totals, lagging, waiting, now)
            status |= await _notices(before, freshness.notices, storage)
            if not before:  # commands change it later
                status |= await _snapshots(storage)
            if not changed and not _is_outdated(before, status, now):
                return
            resets = cast("int", before.get("resets") or 0)
            if resets > freshness.resets:
                return
            rewound = freshness.resets > resets
            await _publish_serial(freshness.serial, storage, now, changed=changed, rewound=rewound)
            if before.get("front_page") != front_page.VERSION:  # so that no tick has to read it
                await front_page.publish_front_page(storage)
            if cast("int", before.get("serial") or 0) > (freshness.serial or 0) and not rewound:
                return
            body = msgspec.json.format(json.dumps(status).encode(), indent=1)
            etag = None if stored is None else stored.etag
            await replace_object(layout.STATUS_JSON, body, etag, storage)
            if not before:
                await _publish_snapshots(storage)
            return  # noqa: TRY300
        except Conflict:
            continue  # another finalizer wrote in between: what it wrote counts as well
    msg = f"{layout.STATUS!r} was replaced by others {_ATTEMPTS} times in a row"
    raise Conflict(msg)


def _status(  # noqa: PLR0913, PLR0917 (what it is made of)
    before: JsonObject,
    closed: Sequence[RunReview],
    freshness: Freshness,
    totals: Totals | None,
    lagging: Mapping[NormalizedName, Lagging],
    waiting: Waiting | None,
    now: float,
) -> JsonObject:
    """Return what status.json is to say."""
    held_back = before.get("held_back") if waiting is None else waiting.payload
    sizes: JsonObject = {name: before.get(name, 0) for name in ("projects", "files", "bytes")}
    if totals is not None:
        sizes = {"projects": totals.projects, "files": totals.files, "bytes": totals.bytes_}
    return {
        "serial": freshness.serial,
        "upstream_serial": freshness.upstream_serial,
        "lag_seconds": freshness.known_lag_seconds,
        "lag_serials": freshness.lag_serials,
        "problem": freshness.problem,
        "updated": utc(now),
        "checked": utc(freshness.checked) if freshness.checked else None,
        **sizes,
        "lagging": {
            project: {
                "reason": Reason.public(entry.reason),
                "attempts": entry.attempts,
                "serial": entry.serial,
                "due": utc(entry.due),
            }
            for project, entry in sorted(lagging.items())
        },
        **({"held_back": held_back} if held_back else {}),
        **({"unverified": freshness.unverified} if freshness.unverified else {}),
        "runs": _last_runs(before, closed),
        **feed_payload(freshness.advisories),
        **closure_payload(freshness.closure),
        **{name: before[name] for name in ("audit", "snapshots") if name in before},
        "front_page": front_page.VERSION,
        # Of the serial in `status`, which a mirror that counts anew has only later.
        "resets": before.get("resets", 0) if freshness.serial is None else freshness.resets,
    }


async def _notices(before: JsonObject, revision: int, storage: Storage) -> JsonObject:
    """Return what status.json is to say of what waits for a person, which is read if it is new."""
    notices = before.get("notices")
    if not revision:
        return {}
    if not isinstance(notices, dict) or notices["revision"] != revision:
        stored = await read_notices(storage) or Notices()
        notices = replace(stored, revision=revision).public_payload
    return {"notices": notices}


async def _snapshots(storage: Storage) -> JsonObject:
    """Return what a new status.json is to say of the snapshots; nothing without any."""
    try:
        known = await read_snapshots(storage)
    except LedgerCorrupt as error:
        logger.error("%s", error)  # noqa: TRY400 (says it all)
        return {}
    return {"snapshots": known.payload} if known.snapshots else {}


async def _publish_snapshots(storage: Storage) -> None:
    """Say which snapshots there are by now: commands change status.json only where it is sound."""
    with suppress(LedgerCorrupt):  # which the log says already
        await publish_snapshots(storage)


def feed_payload(feed: Feed) -> JsonObject:
    """Return what is to say of the advisories that count; nothing if no feed is followed."""
    if feed == NO_FEED:
        return {}
    payload: JsonObject = {
        "read": utc(feed.read) if feed.read else None,
        "problem": feed.problem,
        "malware": feed.malware,
        "blocking": feed.blocking,
        "reporting": feed.reporting,
        "projects": feed.projects,
        "skipped": feed.skipped,
    }
    return {"advisories": payload}


def closure_payload(mark: ClosureMark) -> JsonObject:
    """Return what is to say of the closure in numbers; nothing without one."""
    if not mark.needed:
        return {}
    numbers: JsonObject = {"needed": mark.projects, "left_out": mark.left_out}
    return {"closure": {**numbers, "problems": mark.problems}}


def _is_outdated(before: JsonObject, status: JsonObject, now: float) -> bool:
    """Return whether status.json is to be written although nothing was published."""
    if _lasting(status) != _lasting(before):
        return True
    updated = msgspec.convert(before["updated"], datetime)
    age = datetime.fromtimestamp(now, UTC) - updated.replace(tzinfo=updated.tzinfo or UTC)
    return abs(age) >= _REFRESH


async def _publish_serial(
    serial: int | None, storage: Storage, now: float, *, changed: bool, rewound: bool
) -> None:
    """Write `status` and what belongs to it, as bandersnatch has them."""
    before = await storage.read(layout.STATUS)
    reached = parse_serial(before)
    later = serial is not None and (reached is None or serial > reached)
    moved = later or (rewound and serial is not None and serial != reached)
    if moved or changed:
        stamp = time.strftime("%Y%m%dT%H:%M:%S\n", time.gmtime(now)).encode()
        await storage.write(layout.LAST_MODIFIED, stamp)
        if before is None:
            await storage.write(layout.GENERATION, GENERATION)
    if not moved:
        return
    etag = None if before is None else before.etag
    await replace_object(layout.STATUS, str(serial).encode(), etag, storage)


def _last_runs(before: JsonObject, closed: Sequence[RunReview]) -> list[Json]:
    """Return the last runs in numbers, the closed ones among them."""
    new = [summary(review) for review in closed]
    ids = {run["run"] for run in new}
    old = [run for run in cast("list[JsonObject]", before.get("runs", [])) if run["run"] not in ids]
    runs: list[Json] = [*old, *new]
    return runs[-_MAX_RUNS:]


def _lasting(status: JsonObject) -> JsonObject:
    return {name: value for name, value in status.items() if name not in _VOLATILE}
