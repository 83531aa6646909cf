"""What is stored outside of the folders of projects and files: strays, leftovers, state."""

from __future__ import annotations

from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Final

from frumious.auditing.builds_check import check_builds
from frumious.auditing.feed_check import check_feed
from frumious.auditing.file_check import MAX_JOB_AGE
from frumious.auditing.listing import PAGES
from frumious.auditing.simple_all_check import check_simple_all
from frumious.auditing.snapshot_list import stray_snapshots
from frumious.config.choices import Backend
from frumious.errors import FrumiousError
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.model.root_shards import SHARDS
from frumious.model.runs import Cursor, Selected
from frumious.model.snapshots import SNAPSHOT_PAGES, SNAPSHOTS, Snapshots
from frumious.model.types import Key
from frumious.state.objects import LedgerCorrupt, NewerFormat, parse

if TYPE_CHECKING:
    from msgspec import Struct

    from frumious.mirror import Mirror

# The folders that other checks look through, and the legacy JSON, which may not be mirrored now.
_FOLDERS: Final = (
    *(layout.FILES, layout.PROVENANCE, PAGES, layout.CHANGES, layout.PYTHON_BUILDS),
    *(layout.LEGACY_JSON, layout.LEGACY_PAGES, SNAPSHOT_PAGES),
)
_CHECKED: Final[dict[Key, type[Struct]]] = {
    layout.CURSOR: Cursor,
    layout.SELECTION: Selected,
    SNAPSHOTS: Snapshots,
}
_LOCK: Final = Key(".lock")  # bandersnatch's in a bucket; in a folder it is the mirror's own
_MAX_STRAYS: Final = 1000  # a person may have put anything there


async def check_rest(mirror: Mirror, *, deep: bool = False) -> list[Finding]:
    """Return leftovers of other programs below the mirror's directory, and damaged state.

    Of the index without the cooldown, what is wrong with it. `deep` reads all of the change feed,
    all builds of Python, and the files of that index.
    """
    feed = await check_feed(mirror.storage, deep=deep)
    builds = await check_builds(mirror, deep=deep)
    state, snapshots = await _damaged_state(mirror), await stray_snapshots(mirror.pages)
    simple_all = await check_simple_all(mirror, deep=deep)
    return [*await _strays(mirror), *feed, *builds, *state, *snapshots, *simple_all]


async def _strays(mirror: Mirror) -> list[Finding]:
    now = mirror.clock.now()
    in_folder = mirror.config.backend is Backend.FILESYSTEM
    known = {layout.FRONT_PAGE, layout.STATUS_JSON, layout.LAST_MODIFIED}
    simple_all = (layout.SIMPLE_ALL,) if mirror.selection.simple_all else ()
    shards = (SHARDS,) if mirror.config.root_index_shards else ()
    folders = (*_FOLDERS, layout.GZIP_FOLDER, *simple_all, *shards)
    findings = [
        Finding(Kind.LEFTOVER, key, detail="another mirror program's")
        for key in (layout.TODO, *(() if in_folder else (_LOCK,)))
        if await mirror.storage.head(key) is not None
    ]
    after: str | None = ""
    while after is not None:
        begin, after = after, None
        async with aclosing(mirror.storage.list("web/", after=begin)) as listing:
            async for entry in listing:
                folder = next((each for each in folders if entry.key.startswith(each)), None)
                if folder is not None:  # a new listing goes on behind it
                    after = f"{folder.removesuffix('/')}0"  # "0" follows the slash
                    break
                is_old = entry.modified is None or entry.modified <= now - MAX_JOB_AGE
                if entry.key not in known and is_old and len(findings) < _MAX_STRAYS:
                    findings.append(Finding(Kind.LEFTOVER, entry.key))
    return findings


async def _damaged_state(mirror: Mirror) -> list[Finding]:
    findings: list[Finding] = []
    for key, kind in _CHECKED.items():
        stored = await mirror.storage.read(key)
        try:
            if stored is not None:
                parse(key, stored, kind)
        except NewerFormat:
            raise
        except FrumiousError as error:
            findings.append(Finding(Kind.DAMAGED_STATE, key, detail=str(error)))
    with suppress(LedgerCorrupt):  # a finding already
        cursor = await mirror.ledger.cursor()
        try:
            await mirror.advisories.read(cursor.advisories.digest)
        except LedgerCorrupt as error:
            findings.append(Finding(Kind.DAMAGED_STATE, layout.ADVISORIES, detail=str(error)))
    try:
        await mirror.ledger.lagging()
    except NewerFormat:
        raise
    except FrumiousError as error:
        findings.append(Finding(Kind.DAMAGED_STATE, layout.LAGGING, detail=str(error)))
    return findings
