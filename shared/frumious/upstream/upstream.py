"""What upstream says: its serial, what changed, the root index, project pages, file bytes.

Asks and parses; decides nothing and stores nothing. The only room that knows aiohttp on the
way in.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final
from urllib.parse import quote, urljoin, urlsplit

from frumious.errors import Retryable
from frumious.simple import parse_html, parse_json, root_index
from frumious.simple.values import InvalidPage, InvalidValue, checked_serial
from frumious.upstream import changelog
from frumious.upstream.changelog import Changes, NoChangelog
from frumious.upstream.client import Client, HostRefused, Response, UpstreamUnavailable
from frumious.upstream.download import Download, download

__all__ = [
    "Changes",
    "NoChangelog",
    "PageCheck",
    "StalePage",
    "Upstream",
]

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from packaging.utils import NormalizedName

    from frumious.clock import Clock
    from frumious.config.settings import Config
    from frumious.model.pages import RootIndex
    from frumious.simple.values import ParsedPage

LARGEST_PAGE: Final = 256 * 1024**2  # bytes, unpacked; PyPI's largest are a tenth of it
LARGEST_ROOT: Final = 512 * 1024**2
LARGEST_NOTE: Final = 16 * 1024**2  # provenance of one file
_LONGEST_ETAG: Final = 256  # characters; it is kept with the page

_SIMPLE: Final = {
    "Accept": "application/vnd.pypi.simple.v1+json,"
    " application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
}
_JSON_TYPES: Final = re.compile(r"application/(vnd\.pypi\.simple\.(v1|latest)\+)?json")
_HTML_TYPES: Final = re.compile(
    r"application/vnd\.pypi\.simple\.(v1|latest)\+html|text/html|application/xhtml\+xml"
)
_GONE: Final = frozenset({HTTPStatus.NOT_FOUND, HTTPStatus.GONE})


class StalePage(Retryable):
    """A cache between upstream and the mirror still has an older page than is asked for."""


@dataclass(frozen=True, slots=True)
class PageCheck:
    """What upstream says of a project page without giving it."""

    serial: int | None  # None: upstream does not say
    changed: bool  # against the given ETag
    missing: bool  # there is no such project


class Upstream:
    """One upstream, over one session that is kept for as long as the process lives."""

    def __init__(self, config: Config, clock: Clock) -> None:
        self._config = config
        self._client = Client(config, clock)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def pop_request_count(self) -> int:
        """Return how many requests were made since this was last asked."""
        taken, self._client.requests = self._client.requests, 0
        return taken

    async def project_page(self, project: NormalizedName, *, at_least: int) -> ParsedPage | None:
        """Return the project page, or None where upstream has no such project.

        Raises:
            StalePage: the page's serial is below `at_least`.
            UpstreamUnavailable: upstream did not answer in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the answer is no project page.
        """
        url = self._project_url(project)
        answer = await self._client.fetch(url, limit=LARGEST_PAGE, headers=_SIMPLE)
        if answer.status in _GONE:
            return None
        _check(answer)
        if _is_json(answer):
            parsed = parse_json.project_page(answer.body, answer.url, project)
        else:
            parsed = parse_html.project_page(answer.body, answer.url, project)
        page = parsed.page
        if page.serial is None:
            page = replace(page, serial=_serial(answer))
        if page.serial is not None and page.serial < at_least:
            msg = f"{url} is at serial {page.serial}, and {at_least} is due: a cache is behind"
            raise StalePage(msg)
        return replace(parsed, page=page, etag=_etag(answer))

    async def check_page(self, project: NormalizedName, *, etag: str) -> PageCheck:
        """Ask whether a project page still has the ETag `etag`; the page itself is not read.

        Raises:
            UpstreamUnavailable: upstream did not answer in time, or with an error.
            HostRefused: a redirect leads to a host that is not allowed.
        """
        answer = await self._client.ask(self._project_url(project), headers=_accepting(etag))
        serial = _serial(answer)
        if answer.status in _GONE:
            return PageCheck(serial, changed=True, missing=True)
        if etag and answer.status == HTTPStatus.NOT_MODIFIED:
            return PageCheck(serial, changed=False, missing=False)
        _check(answer)
        return PageCheck(serial, changed=not _is_same(_etag(answer), etag), missing=False)

    async def root_index(self, *, etag: str = "") -> RootIndex | None:
        """Return the list of all projects; None where it still has the ETag `etag`.

        Raises:
            UpstreamUnavailable: upstream did not answer in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the answer is no root index.
        """
        url = f"{self._config.master}/simple/"
        answer = await self._client.fetch(url, limit=LARGEST_ROOT, headers=_accepting(etag))
        if etag and answer.status == HTTPStatus.NOT_MODIFIED:
            return None
        _check(answer)
        if _is_json(answer):
            index = root_index.upstream_serials(answer.body, answer.url)
        else:
            index = parse_html.root_index(answer.body, answer.url)
        serial = _serial(answer) if index.serial is None else index.serial
        return replace(index, serial=serial, etag=_etag(answer))

    def sources(self, url: str) -> tuple[str, ...]:
        """Return the addresses to get a file from, the first one first."""
        mirror = self._config.download_mirror
        if not mirror:
            return (url,)
        path = urlsplit(url).path.lstrip("/")
        mirrored = urljoin(f"{mirror}/", path)
        return (mirrored, url) if self._config.download_mirror_fallback else (mirrored,)

    def download(self, url: str) -> AbstractAsyncContextManager[Download]:
        """Open a file; see `frumious.upstream.download.download`."""
        return download(self._client, url)

    async def provenance(self, url: str) -> bytes | None:
        """Return a file's provenance (PEP 740); None where upstream has none.

        A mirror passes PyPI's address on, and has at the same path what is behind it: it is
        asked where that address leads to a host that is not allowed.

        Raises:
            UpstreamUnavailable: upstream did not answer in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the answer is no JSON object.
        """
        accept = {"Accept": "application/vnd.pypi.integrity.v1+json"}
        try:
            return await self._json_object(url, LARGEST_NOTE, accept)
        except HostRefused:
            at_upstream = f"{self._config.master}{urlsplit(url).path}"
            body = await self._json_object(at_upstream, LARGEST_NOTE, accept)
            if body is None:
                raise
            return body

    async def legacy_json(self, project: NormalizedName) -> bytes | None:
        """Return the project's legacy JSON (`/pypi/<project>/json`); None where there is none.

        Raises:
            UpstreamUnavailable: upstream did not answer in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the answer is no JSON object.
        """
        url = f"{self._config.master}/pypi/{quote(project)}/json"
        return await self._json_object(url, LARGEST_PAGE, {"Accept": "application/json"})

    async def last_serial(self) -> int:
        """Return upstream's serial; see `frumious.upstream.changelog.last_serial`."""
        return await changelog.last_serial(self._client, self._config.master)

    async def changes_since(self, serial: int) -> Changes:
        """Return what changed since; see `frumious.upstream.changelog.changes_since`."""
        return await changelog.changes_since(self._client, self._config.master, serial)

    def _project_url(self, project: NormalizedName) -> str:
        return f"{self._config.master}/simple/{project}/"

    async def _json_object(self, url: str, limit: int, headers: Mapping[str, str]) -> bytes | None:
        answer = await self._client.fetch(url, limit=limit, headers=headers)
        if answer.status in _GONE:
            return None
        _check(answer)
        parse_json.json_object(answer.body, answer.url)
        return answer.body


def _check(answer: Response) -> None:
    if answer.status != HTTPStatus.OK:
        msg = f"{answer.url} answers {answer.status}"
        raise UpstreamUnavailable(msg)


def _accepting(etag: str) -> Mapping[str, str]:
    """Return the headers that ask for a page of the Simple API, unless it has `etag`."""
    return {**_SIMPLE, "If-None-Match": etag} if etag else _SIMPLE


def _serial(answer: Response) -> int | None:
    """Return the serial of the header that PyPI sends."""
    try:
        return checked_serial(answer.headers.get("X-PyPI-Last-Serial"))
    except InvalidValue:
        return None


def _etag(answer: Response) -> str:
    said = answer.headers.get("ETag", "")
    return said if len(said) <= _LONGEST_ETAG else ""


def _is_same(etag: str, other: str) -> bool:
    """Compare weakly (RFC 9110, 8.8.3.2), for upstreams that ignore If-None-Match."""
    return bool(etag) and etag.removeprefix("W/") == other.removeprefix("W/")


def _is_json(answer: Response) -> bool:
    """Say which form of the Simple API an answer has, by its Content-Type (PEP 691).

    Raises:
        InvalidPage: it has none of them.
    """
    said = answer.headers.get("Content-Type", "")
    kind = said.partition(";")[0].strip().lower()
    if _JSON_TYPES.fullmatch(kind):
        return True
    if _HTML_TYPES.fullmatch(kind):
        return False
    msg = f"{answer.url} is {said!r:.80}, which is neither JSON nor HTML of the Simple API"
    raise InvalidPage(msg)
