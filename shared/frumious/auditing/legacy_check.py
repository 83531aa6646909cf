"""A project's legacy JSON and that of its releases, against what was stored with its page.

Upstream alone knows what it should be, so that jobs keep its MD5 and serial in the JSON page. Pages
of earlier versions have neither: there the copies are checked by what they say, and by each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.auditing.headers_check import wrong_headers, wrong_type
from frumious.model import layout
from frumious.model.audits import Finding, Kind
from frumious.model.checksums import md5
from frumious.model.release_json import stored_releases
from frumious.simple import legacy_json, parse_json
from frumious.simple.values import InvalidPage, InvalidValue, parse_serial

if TYPE_CHECKING:
    from collections.abc import Mapping

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import ProjectPage
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
    if publication is None or not mirror.config.json:
        return []
    listed = entries.get(manifest.key)
    has_md5 = listed is not None and listed.has_md5(md5(manifest.stored.body))
    has_md5 = has_md5 and not deep
    findings = await _check_releases(project, manifest.page, entries, mirror, has_md5=has_md5)
    if publication.legacy is None:
        if publication.selection == mirror.fingerprint(project):
            findings += await _check_unknown(project, manifest.page, entries, mirror)
        return findings
    copy, serial = publication.legacy, manifest.page.serial
    for key in layout.legacy_json(project):
        entry = entries.get(key)
        if entry is None:
            findings += [Finding(Kind.MISSING_LEGACY, key, project)] if copy.md5 else []
            continue
        is_copy, headers = bool(copy.md5), None
        if copy.md5 and not (has_md5 and entry.has_md5(copy.md5)):
            stored = await mirror.storage.read(key)
            is_copy = stored is not None and md5(stored.body) == copy.md5
            headers = stored.headers if stored is not None else None
        if not is_copy:
            detail = "it is not what was stored with the page"
            findings.append(Finding(Kind.WRONG_LEGACY, key, project, detail))
        elif detail := _older(copy.serial, serial):
            findings.append(Finding(Kind.WRONG_LEGACY, key, project, detail))
        elif wrong := wrong_type(entry) or wrong_headers(key, headers):
            findings.append(Finding(Kind.WRONG_TYPE, key, project, wrong))
    return findings


async def _check_releases(
    project: NormalizedName,
    page: ProjectPage,
    entries: Mapping[Key, Entry],
    mirror: Mirror,
    *,
    has_md5: bool,
) -> list[Finding]:
    """Compare the JSON of releases with what the page has of their MD5s."""
    findings: list[Finding] = []
    for key, copy in stored_releases(project, page).items():
        entry = entries.get(key)
        if entry is None:
            findings.append(Finding(Kind.MISSING_LEGACY, key, project))
            continue
        is_copy, headers = has_md5 and entry.has_md5(copy), None
        if not is_copy:
            stored = await mirror.storage.read(key)
            is_copy = stored is not None and md5(stored.body).startswith(copy)
            headers = stored.headers if stored is not None else None
        if not is_copy:
            detail = "it is not what was stored with the page"
            findings.append(Finding(Kind.WRONG_LEGACY, key, project, detail))
        elif wrong := wrong_type(entry) or wrong_headers(key, headers):
            findings.append(Finding(Kind.WRONG_TYPE, key, project, wrong))
    return findings


async def _check_unknown(
    project: NormalizedName, page: ProjectPage, entries: Mapping[Key, Entry], mirror: Mirror
) -> list[Finding]:
    """Check the copies of a page that does not know their MD5."""
    keys = layout.legacy_json(project)
    if not page.files and not any(key in entries for key in keys):
        return []  # upstream has none of a project without files
    findings: list[Finding] = []
    bodies: dict[Key, bytes] = {}
    for key in keys:
        stored = await mirror.storage.read(key) if key in entries else None
        if stored is None:
            findings.append(Finding(Kind.MISSING_LEGACY, key, project))
        elif detail := _problem(stored.body, project, page):
            findings.append(Finding(Kind.WRONG_LEGACY, key, project, detail))
        else:
            bodies[key] = stored.body
    if len({*bodies.values()}) > 1:
        detail = "the two copies differ, and the page does not say which is right"
        findings += [Finding(Kind.WRONG_LEGACY, key, project, detail) for key in bodies]
    return findings


def _problem(body: bytes, project: NormalizedName, page: ProjectPage) -> str:
    """Return what is wrong with legacy JSON by its own content; empty: nothing."""
    try:
        parse_json.check_legacy_json(body, "it", project)
        return _older(parse_serial(legacy_json.parse(body).get("last_serial")), page.serial)
    except (InvalidPage, InvalidValue) as error:
        return str(error)


def _older(serial: int | None, page_serial: int | None) -> str:
    if serial is None or page_serial is None or serial >= page_serial:
        return ""
    return f"its serial is {serial}, and that of the page {page_serial}"
