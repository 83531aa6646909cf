"""How far the mirror is: `status`, `web/status.json`, `web/last-modified`."""

from __future__ import annotations

import calendar
import json
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self, cast

from frumious.finalizing.summaries import summary
from frumious.model import layout
from frumious.storage.protocol import Conflict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.finalizing.completion import ClosedRun
    from frumious.finalizing.root_index import Totals
    from frumious.mirror import Mirror
    from frumious.model.runs import Cursor, Lagging
    from frumious.model.types import Json, JsonObject


GENERATION: Final = b"5"  # bandersnatch's number for this layout


_RUNS_TOLD: Final = 10


_TELL_AGAIN: Final = 300  # seconds after which the status is written though nothing happened


_PASSING: Final = frozenset({"updated", "checked", "lag_seconds"})  # what time alone changes


_TRIES: Final = 5


@dataclass(frozen=True, slots=True)
class Freshness:
    """How far behind upstream the mirror is."""

    serial: int | None  # the mirror's
    upstream_serial: int | None  # upstream's, when it was last asked
    checked: float  # when that was, in seconds since the epoch; 0: never
    lag_seconds: float  # since the mirror is known to have been equal to upstream

    @property
    def lag_serials(self) -> int | None:
        """How many of upstream's changes are not here yet; None where nobody counts them."""
        if self.serial is None or self.upstream_serial is None:
            return None
        return max(0, self.upstream_serial - self.serial)

    @classmethod
    def of(cls, cursor: Cursor, now: float) -> Self:
        """Say how fresh the mirror is, from what the cursor knows."""
        waiting = [run.behind for run in cursor.runs if run.since is not None and run.behind]
        equal = min([*waiting, cursor.asked])
        return cls(
            serial=cursor.mirror_serial,
            upstream_serial=cursor.upstream,
            checked=cursor.asked,
            lag_seconds=max(0.0, now - equal) if cursor.asked else 0.0,
        )


async def publish_status(
    closed: Sequence[ClosedRun],
    freshness: Freshness,
    totals: Totals | None,
    lagging: Mapping[NormalizedName, Lagging],
    mirror: Mirror,
) -> None:
    """Write how far the mirror is; seldom while nothing happens, and never an older serial.

    `totals` is None where they are as they were.
    """
    for _ in range(_TRIES):
        try:
            await _publish_status_json(closed, freshness, totals, lagging, mirror)
            return await _publish_serial(freshness.serial, mirror, changed=bool(closed))
        except Conflict:
            continue  # another finalizer wrote in between: what it wrote counts as well
    msg = f"{layout.STATUS!r} was replaced by others {_TRIES} times in a row"
    raise Conflict(msg)


async def _publish_status_json(
    closed: Sequence[ClosedRun],
    freshness: Freshness,
    totals: Totals | None,
    lagging: Mapping[NormalizedName, Lagging],
    mirror: Mirror,
) -> None:
    stored = await mirror.storage.read(layout.STATUS_JSON)
    before = cast("JsonObject", json.loads(stored.body)) if stored is not None else {}
    if cast("int", before.get("serial") or 0) > (freshness.serial or 0):
        return
    now = time.time()
    holds: JsonObject = {name: before.get(name, 0) for name in ("projects", "files", "bytes")}
    if totals is not None:
        holds = {"projects": totals.projects, "files": totals.files, "bytes": totals.bytes_}
    said: JsonObject = {
        "serial": freshness.serial,
        "upstream_serial": freshness.upstream_serial,
        "lag_seconds": round(freshness.lag_seconds),
        "lag_serials": freshness.lag_serials,
        "updated": _utc(now),
        "checked": _utc(freshness.checked) if freshness.checked else None,
        **holds,
        "lagging": {
            project: {
                "reason": entry.reason,
                "attempts": entry.attempts,
                "serial": entry.serial,
                "due": _utc(entry.due),
            }
            for project, entry in sorted(lagging.items())
        },
        "runs": _last_runs(before, closed),
    }
    lasting = {name: value for name, value in said.items() if name not in _PASSING}
    if lasting == {name: value for name, value in before.items() if name not in _PASSING}:
        told = time.strptime(cast("str", before["updated"]), "%Y-%m-%dT%H:%M:%SZ")
        if now < _seconds(told) + _TELL_AGAIN:
            return
    body = json.dumps(said, indent=1).encode()
    if stored is None:
        await mirror.storage.create(layout.STATUS_JSON, body)
    else:
        await mirror.storage.write(layout.STATUS_JSON, body, replacing=stored.etag)


async def _publish_serial(serial: int | None, mirror: Mirror, *, changed: bool) -> None:
    """Write `status` and what goes with it, as bandersnatch has them."""
    storage = mirror.storage
    before = await storage.read(layout.STATUS)
    reached = int(before.body) if before is not None and before.body.strip().isdigit() else -1
    moved = serial is not None and serial > reached
    if moved or changed:
        stamp = time.strftime("%Y%m%dT%H:%M:%S\n", time.gmtime()).encode()
        await storage.write(layout.LAST_MODIFIED, stamp)
        if before is None:
            await storage.write(layout.GENERATION, GENERATION)
    if not moved:
        return
    body = str(serial).encode()
    if before is None:
        await storage.create(layout.STATUS, body)
    else:
        await storage.write(layout.STATUS, body, replacing=before.etag)


def _last_runs(before: JsonObject, closed: Sequence[ClosedRun]) -> list[Json]:
    """Return the last runs in numbers, the closed ones among them."""
    told = cast("list[JsonObject]", before.get("runs", []))
    new = [summary(one) for one in closed]
    ids = {run["run"] for run in new}
    runs: list[Json] = [*(run for run in told if run["run"] not in ids), *new]
    return runs[-_RUNS_TOLD:]


def _utc(seconds: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(seconds))


def _seconds(utc: time.struct_time) -> float:
    return float(calendar.timegm(utc))
