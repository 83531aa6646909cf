"""A project's legacy JSON, against what the job that published the page stored.

Upstream alone knows what it should be, so that jobs keep its MD5 and serial in the JSON page.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.auditing.headers_check import wrong_headers, wrong_type
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.model.checksums import md5

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.types import Key
    from frumious.state.page_store import Manifest
    from frumious.storage.protocol import Entry


async def check_legacy_json(
    project: NormalizedName,
    manifest: Manifest,
    entries: Mapping[Key, Entry],
    mirror: Mirror,
    *,
    deep: bool,
) -> list[Finding]:
    """Compare the legacy JSON with its MD5; unless `deep`, read it only where no listing has it."""
    publication = manifest.page.publication
    if publication is None or publication.legacy is None or not mirror.config.json:
        return []
    copy, serial = publication.legacy, manifest.page.serial
    listed = entries.get(manifest.key)
    has_md5 = listed is not None and lists_md5(listed, md5(manifest.stored.body))
    has_md5 = has_md5 and not deep
    findings: list[Finding] = []
    for key in layout.legacy_json(project):
        entry = entries.get(key)
        if entry is None:
            findings += [Finding(Kind.MISSING_LEGACY, key, project)] if copy.md5 else []
            continue
        is_copy, headers = bool(copy.md5), None
        if copy.md5 and not (has_md5 and lists_md5(entry, copy.md5)):
            stored = await mirror.storage.read(key)
            is_copy = stored is not None and md5(stored.body) == copy.md5
            headers = stored.headers if stored is not None else None
        if not is_copy:
            detail = "it is not what was stored with the page"
            findings.append(Finding(Kind.WRONG_LEGACY, key, project, detail))
        elif copy.serial is not None and serial is not None and copy.serial < serial:
            detail = f"its serial is {copy.serial}, and that of the page {serial}"
            findings.append(Finding(Kind.WRONG_LEGACY, key, project, detail))
        elif wrong := wrong_type(entry) or wrong_headers(key, headers):
            findings.append(Finding(Kind.WRONG_TYPE, key, project, wrong))
    return findings


def lists_md5(entry: Entry, md5: str) -> bool:
    """Return whether a listing says that an object has an MD5."""
    return entry.etag is not None and entry.etag.strip('"') == md5
