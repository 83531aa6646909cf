"""Copies of the legacy JSON of releases, which are stored before the page that knows them.

Upstream is asked once for each release, and again only where the files of the release have changed
on the mirror's page. The latest release is described by the project's own legacy JSON.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from frumious.model import layout
from frumious.model.checksums import md5
from frumious.model.release_json import (
    is_release_key,
    release_keys,
    releases_folder,
    stored_releases,
)
from frumious.selection.filenames import Versions, parse_version
from frumious.simple import legacy_json
from frumious.simple.values import InvalidPage
from frumious.upstream.upstream import StalePage
from frumious.value import Mutable

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from packaging.utils import NormalizedName

    from frumious.mirror import Mirror
    from frumious.model.pages import File, ProjectPage
    from frumious.model.types import JsonObject, Key
    from frumious.storage.protocol import Storage
    from frumious.syncing.recovery import Attempt

logger = logging.getLogger(__name__)

# Of one job; the next jobs of the project go on. PyPI asks not to make thousands of requests within
# minutes, and a page must not wait long for what describes its oldest releases.
_MAX_REQUESTS: Final = 500
_MAX_SECONDS: Final = 120.0
_MD5_DIGITS: Final = 16  # of a page's note of a copy: the pages of projects have up to 2,000


async def store_releases(
    attempt: Attempt,
    legacy: JsonObject | None,
    page: ProjectPage,
    before: ProjectPage | None,
    mirror: Mirror,
) -> Mapping[str, str] | None:
    """Store the legacy JSON of the releases on a page; delete that of others.

    `legacy` is the project's; None where upstream has none. `before` is the page that `page`
    replaces. Returns what the page is to say of the copies (`Publication.releases`).

    Raises:
        StalePage: the JSON of a release is older than the page.
        UpstreamUnavailable: upstream did not answer in time.
    """
    project, storage = attempt.job.project, mirror.storage
    if not mirror.config.release_json or mirror.selection.private.has(project):
        await storage.delete(sorted(stored_releases(project, before)))
        return None
    current = stored_releases(project, before)
    if attempt.resuming:
        current = await _intact(project, current, storage)
    fetching = _Fetching(attempt, legacy, page.serial or 0, mirror, mirror.clock.monotonic())
    releases: dict[str, str] = {}
    known = before.publication.releases if before and before.publication else None
    known = known or {}
    old = {} if before is None else files_of_releases(project, before)
    for version, files in files_of_releases(project, page).items():
        keys = release_keys(project, version)
        copy = known.get(version)
        is_stored = copy is not None and all(current.get(key, "") == copy for key in keys)
        if copy is not None and is_stored and _state(files) == _state(old.get(version, ())):
            releases[version] = copy
            continue
        body = await fetching.body(version, files)
        if body is None:
            continue
        for key in keys if body else ():
            await storage.write(key, body)
        releases[version] = md5(body)[:_MD5_DIGITS] if body else ""
    kept = {key for each, copy in releases.items() if copy for key in release_keys(project, each)}
    await storage.delete(sorted(current.keys() - kept))
    return releases


def lacks_releases(project: NormalizedName, page: ProjectPage, mirror: Mirror) -> bool:
    """Return whether releases of a page of the mirror's wait for a job to fetch their JSON."""
    publication = page.publication
    if publication is None or publication.releases is None or not mirror.config.release_json:
        return False
    if publication.legacy is None or not publication.legacy.md5:
        return False  # upstream has none of the whole project
    return not files_of_releases(project, page).keys() <= publication.releases.keys()


def files_of_releases(project: NormalizedName, page: ProjectPage) -> dict[str, list[File]]:
    """Return the files of each release of a page whose version may be in a key, newest first."""
    versions = Versions(project, page.versions or ())
    releases: dict[str, list[File]] = {}
    for file in page.files:
        version, _ = versions.split(file.filename)
        if version is not None:
            releases.setdefault(version, []).append(file)
    ordered = sorted(
        ((parsed, version) for version in releases if (parsed := parse_version(version))),
        reverse=True,
    )
    return {version: releases[version] for _, version in ordered if _is_safe(project, version)}


def _is_safe(project: NormalizedName, version: str) -> bool:
    try:
        return bool(release_keys(project, version))
    except layout.UnsafeName:
        return False


async def all_release_keys(
    project: NormalizedName, page: ProjectPage | None, storage: Storage, *, listed: bool
) -> Sequence[Key]:
    """Return where the JSON of a project's releases may be: by a page, or by a listing as well."""
    keys = {*stored_releases(project, page)}
    if listed:
        keys |= (await _intact(project, {}, storage)).keys()
    return sorted(keys)


async def _intact(
    project: NormalizedName, noted: Mapping[Key, str], storage: Storage
) -> dict[Key, str]:
    """Return which copies are stored, with what is noted of them; empty: they are others."""
    found: dict[Key, str] = {}
    async for entry in storage.list(releases_folder(project)):
        if not is_release_key(entry.key, project):
            continue
        copy = noted.get(entry.key, "")
        if copy and not entry.has_md5(copy):
            stored = await storage.read(entry.key)
            copy = copy if stored is not None and md5(stored.body).startswith(copy) else ""
        found[entry.key] = copy
    return found


def _state(files: Iterable[File]) -> list[tuple[object, ...]]:
    """Return what the JSON of a release has of its files, and what may change of it."""
    return sorted(
        (
            each.filename,
            sorted(each.hashes.items()),
            str(each.yanked),
            each.requires_python or "",
            str(each.core_metadata),
        )
        for each in files
    )


class _Fetching(Mutable):
    """Fetches the JSON of releases, one after another, within the limits of a job."""

    attempt: Attempt
    legacy: JsonObject | None  # the project's
    serial: int  # of the page
    mirror: Mirror
    began: float  # by the monotonic clock
    requests: int = 0

    async def body(self, version: str, files: Sequence[File]) -> bytes | None:
        """Return the JSON of a release; empty: upstream has none; None: not now.

        Raises:
            StalePage: it is older than the page.
            UpstreamUnavailable: upstream did not answer in time.
        """
        if self.legacy is None:
            return None
        payload = legacy_json.latest_release(self.legacy, version)
        if payload is None or not legacy_json.describes(payload, files):
            if self.requests >= _MAX_REQUESTS or self._seconds() > _MAX_SECONDS:
                return None
            self.requests += 1
            payload = await self._fetch(version)
            if payload is None:
                return b""
            if not legacy_json.describes(payload, files) and self._is_stale(version, payload):
                return None
        return legacy_json.of_release(payload, files)

    def _seconds(self) -> float:
        return self.mirror.clock.monotonic() - self.began

    async def _fetch(self, version: str) -> JsonObject | None:
        project = self.attempt.job.project
        try:
            body = await self.mirror.upstream.release_json(project, version)
        except InvalidPage as error:
            logger.warning("a release has no valid JSON", extra={"error": str(error)})
            return None
        return None if body is None else legacy_json.parse(body)

    def _is_stale(self, version: str, payload: JsonObject) -> bool:
        """Return whether the JSON of a release is to be fetched later.

        It is the page that is older if the JSON has its serial: then there is another event.
        """
        serial = payload.get("last_serial")
        if not isinstance(serial, int) or serial >= self.serial:
            return False
        if self.attempt.final:
            return True
        msg = (
            f"the legacy JSON of {self.attempt.job.project!r} {version} is at serial {serial},"
            f" and its page at {self.serial}: a cache is stale"
        )
        raise StalePage(msg)
