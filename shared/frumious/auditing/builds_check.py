"""The builds of Python, against the list that the mirror publishes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.auditing.file_check import MAX_JOB_AGE
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.pythons.listing import InvalidList
from frumious.pythons.published import LIST, is_intact, read_published

if TYPE_CHECKING:
    from frumious.mirror import Mirror

_MAX_LEFTOVERS: Final = 1000


async def check_builds(mirror: Mirror, *, deep: bool) -> list[Finding]:
    """Return builds that are missing or left over, and with `deep` those with wrong bytes."""
    storage, now = mirror.storage, mirror.clock.now()
    findings: list[Finding] = []
    try:
        builds = await read_published(storage)
    except InvalidList as error:
        return [Finding(Kind.DAMAGED_BUILD, LIST, detail=str(error)[:500])]
    missing = {*builds}
    async for entry in storage.list(layout.PYTHON_BUILDS):
        missing.discard(entry.key)
        is_old = entry.modified is None or entry.modified <= now - MAX_JOB_AGE
        is_known = entry.key in builds or entry.key == LIST
        if not is_known and is_old and len(findings) < _MAX_LEFTOVERS:
            findings.append(Finding(Kind.LEFTOVER, entry.key))
    findings += [
        Finding(Kind.DAMAGED_BUILD, key, detail="it is missing") for key in sorted(missing)
    ]
    for key, build in builds.items() if deep else ():
        if key not in missing and not await is_intact(build, storage):
            detail = "it does not have the digest of the list"
            findings.append(Finding(Kind.DAMAGED_BUILD, key, detail=detail))
    return findings
