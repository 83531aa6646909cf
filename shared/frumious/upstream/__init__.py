"""What upstream says: its serial, what changed, the root index, project pages, file bytes.

Asks and parses; decides nothing and stores nothing. The only room that knows aiohttp on the
way in.
"""

from __future__ import annotations

import re
import xmlrpc.client
from dataclasses import dataclass, replace
from http import HTTPStatus
from typing import TYPE_CHECKING, Final, cast
from urllib.parse import quote, urljoin, urlsplit
from xml.parsers.expat import ExpatError

from packaging.utils import InvalidName, canonicalize_name

from frumious.errors import Retryable
from frumious.simple import parse, parse_html
from frumious.simple.values import InvalidPage
from frumious.upstream.client import Answer, Client, HostRefused, UpstreamUnavailable
from frumious.upstream.download import Download, download

if TYPE_CHECKING:
    from collections.abc import Mapping
    from contextlib import AbstractAsyncContextManager

    from packaging.utils import NormalizedName

    from frumious.config import Config
    from frumious.model import ProjectPage, RootIndex
    from frumious.simple.values import ParsedPage

LARGEST_PAGE: Final = 256 * 1024**2  # bytes, unpacked; PyPI's largest are a tenth of it
LARGEST_ROOT: Final = 512 * 1024**2
LARGEST_NOTE: Final = 16 * 1024**2  # provenance of one file
_LONGEST_SERIAL: Final = 18  # digits
FULL_CALL: Final = 50_000  # rows that one changelog call gives at the most

_SIMPLE: Final = {
    "Accept": "application/vnd.pypi.simple.v1+json,"
    " application/vnd.pypi.simple.v1+html;q=0.2, text/html;q=0.1"
}
_JSON_TYPES: Final = re.compile(r"application/(vnd\.pypi\.simple\.(v1|latest)\+)?json")
_HTML_TYPES: Final = re.compile(
    r"application/vnd\.pypi\.simple\.(v1|latest)\+html|text/html|application/xhtml\+xml"
)
# "add Owner someone", "invite Maintainer someone": nothing about files, and the CDN is not
# told, so that waiting for such a serial on a project page would be in vain.
_ROLE_EVENT: Final = re.compile(r"\w+ (Owner|Maintainer)\b")
# After one of these a project may have fewer files, or none.
_LOSS: Final = re.compile(r"remove |(project|release) quarantined")


class StalePage(Retryable):
    """A cache between upstream and the mirror still has an older page than is asked for."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What happened upstream since a serial."""

    projects: Mapping[NormalizedName, int]  # those that changed, each with its highest serial
    losing: frozenset[NormalizedName]  # those of them from which something was removed
    serial: int  # that this brings one to


class Upstream:
    """One upstream, over one session that is kept for as long as the process lives."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._client = Client(config)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._client.close()

    def take_requests(self) -> int:
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
        url = f"{self._config.master}/simple/{project}/"
        answer = await self._client.fetch(url, limit=LARGEST_PAGE, headers=_SIMPLE)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        _check(answer)
        if _is_json(answer):
            parsed = parse.project_page(answer.body, answer.url, project)
        else:
            parsed = parse_html.project_page(answer.body, answer.url, project)
        page = _with_serial(parsed.page, answer)
        if page.serial is not None and page.serial < at_least:
            msg = f"{url} is at serial {page.serial}, and {at_least} is due: a cache is behind"
            raise StalePage(msg)
        return replace(parsed, page=page)

    async def root_index(self) -> RootIndex:
        """Return the list of all projects.

        Raises:
            UpstreamUnavailable: upstream did not answer in time, or with an error.
            InvalidPage, TooLarge, HostRefused: the answer is no root index.
        """
        url = f"{self._config.master}/simple/"
        answer = await self._client.fetch(url, limit=LARGEST_ROOT, headers=_SIMPLE)
        _check(answer)
        if _is_json(answer):
            return parse.root_index(answer.body, answer.url)
        return parse_html.root_index(answer.body, answer.url)

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
        """Return upstream's serial (XML-RPC `changelog_last_serial`).

        Raises:
            UpstreamUnavailable: upstream did not answer, or with a fault.
        """
        (serial,) = await self._call("changelog_last_serial")
        if not isinstance(serial, int):
            msg = f"upstream's serial is {serial!r:.80}, not a number"
            raise UpstreamUnavailable(msg)
        return serial

    async def changes_since(self, serial: int) -> Changes:
        """Return what changed after `serial`.

        XML-RPC `changelog_since_serial`, asked again while a call comes back full. Events that
        say nothing about the index (owners, invitations) are left out.

        Raises:
            UpstreamUnavailable: upstream did not answer, or with a fault.
        """
        projects: dict[NormalizedName, int] = {}
        losing: set[NormalizedName] = set()
        while True:
            (rows,) = await self._call("changelog_since_serial", serial)
            if not isinstance(rows, list):
                msg = f"upstream's changelog is {rows!r:.80}, not a list"
                raise UpstreamUnavailable(msg)
            for row in rows:
                name, _, _, action, serial = cast("tuple[str, object, int, str, int]", row)
                if _ROLE_EVENT.match(action):
                    continue
                try:
                    project = canonicalize_name(name, validate=True)
                except InvalidName:
                    continue  # can have no project page under any address
                projects[project] = serial  # rows come in the order of their serials
                if _LOSS.match(action):
                    losing.add(project)
            if len(rows) < FULL_CALL:
                return Changes(projects, frozenset(losing), serial)

    async def _call(self, method: str, *arguments: int) -> tuple[object, ...]:
        answer = await self._client.fetch(
            f"{self._config.master}/pypi",
            limit=LARGEST_PAGE,
            headers={"Content-Type": "text/xml"},
            data=xmlrpc.client.dumps(arguments, method),
        )
        _check(answer)
        try:
            return xmlrpc.client.loads(answer.body)[0]
        except xmlrpc.client.Fault as fault:
            msg = f"upstream refuses {method}: {fault.faultString}"
            raise UpstreamUnavailable(msg) from fault
        except (ExpatError, xmlrpc.client.Error, ValueError, TypeError) as error:
            msg = f"upstream's answer to {method} is not XML-RPC: {error}"
            raise UpstreamUnavailable(msg) from error

    async def _json_object(self, url: str, limit: int, headers: Mapping[str, str]) -> bytes | None:
        answer = await self._client.fetch(url, limit=limit, headers=headers)
        if answer.status in {HTTPStatus.NOT_FOUND, HTTPStatus.GONE}:
            return None
        _check(answer)
        parse.json_object(answer.body, answer.url)
        return answer.body


def _check(answer: Answer) -> None:
    if answer.status != HTTPStatus.OK:
        msg = f"{answer.url} answers {answer.status}"
        raise UpstreamUnavailable(msg)


def _with_serial(page: ProjectPage, answer: Answer) -> ProjectPage:
    """Take the serial from the header, as PyPI sends it, where the page itself says none."""
    said = answer.headers.get("X-PyPI-Last-Serial", "")
    if page.serial is None and said.isdecimal() and len(said) < _LONGEST_SERIAL:
        return replace(page, serial=int(said))
    return page


def _is_json(answer: Answer) -> bool:
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
