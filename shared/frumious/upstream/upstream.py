"""Upstream as one interface: serial, changes, root index, project pages, files.

Requests and parses; decides nothing and stores nothing.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import math
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urlsplit

from msgspec.structs import replace

from frumious.concurrency import FairSlots
from frumious.errors import Reason, Retryable
from frumious.simple import parse_html, parse_json, root_index
from frumious.upstream import changelog
from frumious.upstream.addresses import HostRefused
from frumious.upstream.changelog import NoChangelog
from frumious.upstream.download import ResumableDownload
from frumious.upstream.failures import UpstreamUnavailable
from frumious.upstream.large_pages import LargePages
from frumious.upstream.responses import (
    SIMPLE,
    check_provenance,
    etag_of,
    if_changed,
    is_json,
    is_same,
    serial_of,
)
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config
    from frumious.model.changes import Position
    from frumious.model.pages import RootIndex
    from frumious.model.types import JsonObject
    from frumious.simple.values import ParsedPage
    from frumious.upstream.changelog import Changes
    from frumious.upstream.client import Client, Response
    from frumious.upstream.feed import FeedAnswer
    from frumious.upstream.large_pages import PageRoom

# Serials that pages may be ahead of the root index, which caches keep for minutes or hours. PyPI
# counts some 50,000 in a day.
MAX_PROGRESS: Final = 10_000
# Bytes of decompressed responses. PyPI's largest pages have some 25 MB, its root index 38.
MAX_PAGE_BYTES: Final = 64 * 1024**2
MAX_ROOT_INDEX_BYTES: Final = 96 * 1024**2
MAX_PROVENANCE_BYTES: Final = 16 * 1024**2
MAX_RELEASE_BYTES: Final = 16 * 1024**2

logger = logging.getLogger(__name__)

# They use most of the memory and of the bandwidth; more of them would be no faster together.
_LARGE_DOWNLOADS: Final = 10
_MISSING: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class StalePage(Retryable):
    """A cache between upstream and the mirror returned a page that is older than requested."""

    reason = Reason.UPSTREAM_STALE


class ImplausibleSerial(Retryable):
    """A page has a serial that upstream has not counted up to."""

    reason = Reason.UPSTREAM_INVALID


class PageCheck(Value, frozen=True):
    """The state of a project page at upstream, without its content."""

    serial: int | None  # None: upstream sends none
    changed: bool  # since the given ETag
    missing: bool  # upstream has no such project


class Upstream:
    """The upstream index; its connections are kept for the life of the process.

    Attributes:
        downloads: Limit the files that are downloaded at the same time, for all projects.
        large_downloads: Limit the large ones among them.
        large_pages: Limit the memory that large project pages take.
    """

    def __init__(self, config: Config, client: Client) -> None:
        self.downloads = FairSlots(config.downloads)
        self.large_downloads = FairSlots(max(1, min(_LARGE_DOWNLOADS, config.downloads // 2)))
        self.large_pages = LargePages()
        self._project_requests = asyncio.Semaphore(config.workers)
        self._config = config
        self._client = client
        self._plausible_serial: float = 0  # up to which pages are believed
        self._asking = asyncio.Lock()

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def pop_request_count(self) -> int:
        """Return the number of requests since the previous call."""
        count, self._client.requests = self._client.requests, 0
        return count

    async def project_page(
        self, project: NormalizedName, *, at_least: int, room: PageRoom | None = None
    ) -> ParsedPage | None:
        """Return the project page, or None if upstream has no such project.

        A large one waits until there is `room`, and takes it as long as the caller has the page.

        Raises:
            StalePage: the page's serial is below `at_least`.
            ImplausibleSerial: it is above upstream's own serial.
            UpstreamUnavailable: upstream did not respond in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the response is not a project page.
            PrivateName: the name is private.
        """
        url = self._project_url(project)
        async with self._project_requests:
            response = await self._client.fetch(
                url, limit=MAX_PAGE_BYTES, headers=SIMPLE, room=room
            )
        if response.status in _MISSING:
            return None
        response.check_status()
        parse = parse_json.project_page if is_json(response) else parse_html.project_page
        parsed = parse(response.body, response.url, project)
        if room is not None:
            room.keep(response.body)
        page = parsed.page
        if page.serial is None:
            page = replace(page, serial=serial_of(response))
        if page.serial is not None and page.serial < at_least:
            msg = f"{url} is at serial {page.serial}, expected {at_least}: a cache is stale"
            raise StalePage(msg)
        if page.serial is not None and page.serial > at_least:
            await self._check_serial(page.serial, url)
        by_feed = self._config.discovery == "feed"
        sha256 = hashlib.sha256(response.body).hexdigest() if by_feed else ""
        return replace(parsed, page=page, etag=etag_of(response), sha256=sha256)

    async def check_page(self, project: NormalizedName, *, etag: str) -> PageCheck:
        """Return whether a project page still has the ETag, without reading the page.

        Raises:
            UpstreamUnavailable: upstream did not respond in time, or with an error.
            HostRefused: a redirect leads to a host that is not allowed.
            PrivateName: the name is private.
        """
        url = self._project_url(project)
        response = await self._client.fetch_headers(url, headers=if_changed(etag))
        serial = serial_of(response)
        if response.status in _MISSING:
            return PageCheck(serial, changed=True, missing=True)
        if etag and response.status == HTTPStatus.NOT_MODIFIED:
            return PageCheck(serial, changed=False, missing=False)
        response.check_status()
        return PageCheck(serial, changed=not is_same(etag_of(response), etag), missing=False)

    async def root_index(
        self, *, etag: str = "", limit: int = MAX_ROOT_INDEX_BYTES
    ) -> RootIndex | None:
        """Return the list of all projects, of at most `limit` bytes; None if it still has the ETag.

        Raises:
            UpstreamUnavailable: upstream did not respond in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the response is not a root index.
        """
        url = f"{self._config.master}/simple/"
        response = await self._client.fetch(url, limit=limit, headers=if_changed(etag))
        if etag and response.status == HTTPStatus.NOT_MODIFIED:
            return None
        response.check_status()
        parse = root_index.parse if is_json(response) else parse_html.root_index
        index = parse(response.body, response.url)
        serials = [each for each in (serial_of(response), index.serial) if each is not None]
        return replace(index, serial=min(serials, default=None), etag=etag_of(response))

    async def root_serial(self) -> int | None:
        """Return the serial of the root index; None: upstream sends none. See `root_headers`."""
        return serial_of(await self.root_headers())

    async def root_headers(self) -> Response:
        """Return the response for the root index, without its body; raises as `root_index`."""
        response = await self._client.fetch_headers(
            f"{self._config.master}/simple/", headers=SIMPLE
        )
        response.check_status()
        return response

    def sources(self, url: str) -> tuple[str, ...]:
        """Return the URLs to download a file from, in order of preference."""
        mirror = self._config.download_mirror
        if not mirror:
            return (url,)
        path = urlsplit(url).path.lstrip("/")
        mirrored = f"{mirror}/{path}"
        return (mirrored,) if self._config.download_mirror_no_fallback else (mirrored, url)

    def download(self, url: str, size: int | None) -> ResumableDownload:
        """Return the download of a file, `size` bytes if that is known."""
        return ResumableDownload(self._client, self.downloads, url, size)

    async def provenance(self, url: str) -> bytes | None:
        """Return a file's provenance (PEP 740); None if upstream has none.

        An upstream that is a mirror lists PyPI's URL and serves the same content at the same
        path. That path is requested if the URL's host is not allowed.

        Raises:
            UpstreamUnavailable: upstream did not respond in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the response is not a provenance.
        """
        accept = {"Accept": "application/vnd.pypi.integrity.v1+json"}
        try:
            return await self._json_object(url, MAX_PROVENANCE_BYTES, accept, check_provenance)
        except HostRefused:
            upstream_url = f"{self._config.master}{urlsplit(url).path}"
            body = await self._json_object(
                upstream_url, MAX_PROVENANCE_BYTES, accept, check_provenance
            )
            if body is None:
                raise
            return body

    async def legacy_json(self, project: NormalizedName) -> bytes | None:
        """Return the project's legacy JSON (`/pypi/<project>/json`); None if there is none.

        Raises:
            UpstreamUnavailable: upstream did not respond in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the response is not the project's.
            PrivateName: the name is private.
        """
        self._config.private.check(project)
        url = f"{self._config.master}/pypi/{quote(project)}/json"
        body = await self._json_object(url, MAX_PAGE_BYTES, {"Accept": "application/json"})
        if body is not None:
            parse_json.check_legacy_json(body, url, project)
        return body

    async def release_json(self, project: NormalizedName, version: str) -> bytes | None:
        """Return the legacy JSON of a release (`/pypi/<project>/<version>/json`).

        None: upstream has none. Raises as `legacy_json`.
        """
        self._config.private.check(project)
        url = f"{self._config.master}/pypi/{quote(project)}/{quote(version, safe='')}/json"
        body = await self._json_object(url, MAX_RELEASE_BYTES, {"Accept": "application/json"})
        if body is not None:
            parse_json.check_release_json(body, url, project, version)
        return body

    async def last_serial(self) -> int:
        """Return upstream's serial; see `frumious.upstream.changelog.last_serial`."""
        return await changelog.last_serial(self._client, self._config.master)

    async def changes_since(self, serial: int, *, until: float = math.inf) -> Changes:
        """Return the changes since; see `frumious.upstream.changelog.changes_since`."""
        return await changelog.changes_since(self._client, self._config.master, serial, until=until)

    async def follow_feed(self, position: Position, now: float) -> FeedAnswer:
        """Return the changes behind a position; see `frumious.upstream.feed.ChangeFeed.read`."""
        from frumious.upstream.feed import ChangeFeed  # noqa: PLC0415 (workers never need it)

        feed = ChangeFeed(self._client, self._config.master, self._config.feed_key)
        return await feed.read(position, now)

    async def recent_changes(self, since: int) -> Changes | None:
        """Return the changes since a serial; None if it is 0 or not recent, or without a changelog.

        Raises:
            UpstreamUnavailable: the changelog did not respond in time, or with an error.
        """
        recent = since and self._plausible_serial - since <= MAX_PROGRESS
        if self._config.discovery not in {"auto", "changelog"} or not recent:
            return None
        try:
            serial = await self.last_serial()
        except NoChangelog:
            return None
        if not since < serial <= since + MAX_PROGRESS:
            return None
        return await self.changes_since(since, until=serial)

    async def _check_serial(self, serial: int, url: str) -> None:
        """Check that upstream has counted up to a page's serial.

        Otherwise one wrong serial would make all later pages of the project count as stale.
        Upstream is asked only for serials above those that it has confirmed. What says nothing of
        its own serial is believed.

        Raises:
            ImplausibleSerial: it has not.
        """
        async with self._asking:
            if serial > self._plausible_serial:
                self._plausible_serial = await self._ask_plausible_serial()
        if serial > self._plausible_serial:
            msg = f"{url} is at serial {serial}, and upstream only at {self._plausible_serial}"
            raise ImplausibleSerial(msg)

    async def _ask_plausible_serial(self) -> float:
        allowance = MAX_PROGRESS
        if self._config.discovery in {"auto", "changelog"}:
            try:
                return await self.last_serial()
            except NoChangelog:
                logger.info("upstream has no changelog: the root index confirms serials")
            except UpstreamUnavailable as error:  # newer pages wait until it answers
                logger.info("the root index confirms serials", extra={"error": str(error)})
                allowance = 0
        serial = await self.root_serial()
        return math.inf if serial is None else serial + allowance

    def _project_url(self, project: NormalizedName) -> str:
        self._config.private.check(project)
        return f"{self._config.master}/simple/{project}/"

    async def _json_object(
        self,
        url: str,
        limit: int,
        headers: Mapping[str, str],
        check: Callable[[Response, JsonObject], None] | None = None,
    ) -> bytes | None:
        async with self._project_requests:
            response = await self._client.fetch(url, limit=limit, headers=headers)
        if response.status in _MISSING:
            return None
        response.check_status()
        payload = parse_json.json_object(response.body, response.url)
        if check is not None:
            check(response, payload)
        return response.body
