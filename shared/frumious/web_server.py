"""A mirror in a folder over HTTP: to try it out, and for small teams.

It has the same URLs as docs/serving/nginx.conf, and the headers of the objects in a bucket.
"""

from __future__ import annotations

import asyncio
import logging
import re
from typing import TYPE_CHECKING, Final

from aiohttp import hdrs, web
from packaging.utils import canonicalize_name
from yarl import URL

import frumious.certificates  # noqa: F401 (before aiohttp)
from frumious.model import layout
from frumious.model.headers import CONTENT_TYPES, headers_of
from frumious.model.simple_all import stored_at
from frumious.model.snapshots import SNAPSHOT_NAME, snapshot_key
from frumious.model.types import Key
from frumious.snapshots.folder_link import linked_snapshot

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from aiohttp.abc import AbstractStreamWriter
    from aiohttp.web_request import BaseRequest

    from frumious.model.page_layout import PageLayout

logger = logging.getLogger(__name__)

_SHUTDOWN: Final = 3.0  # seconds that responses may take to finish
# The media type of each format of a page (PEP 691), the preferred format first.
_TYPES: Final = {
    form: CONTENT_TYPES[form].partition(";")[0]
    for form in (layout.V1_JSON, layout.V1_HTML, layout.HTML)
}
_SNAPSHOT: Final = f"/snapshot/{{snapshot:{SNAPSHOT_NAME}}}"  # precedes the URLs of a snapshot
_FORM: Final = r"{form:index\.(?:html|v1_html|v1_json)}"
_NO_OBJECTS: Final = frozenset({"snapshot", "rollback"})  # their pages have URLs of their own
_QUALITY: Final = re.compile(r";\s*q\s*=\s*([0-9.]+)", re.IGNORECASE)


async def run(site: Site, host: str, port: int, on_start: Callable[[URL], None]) -> None:
    """Serve a site until the task is cancelled; `on_start` gets its URL.

    Raises:
        OSError: the address cannot be listened on.
    """
    runner = web.AppRunner(site.application(), access_log=logger, shutdown_timeout=_SHUTDOWN)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        address, used_port, *_ = runner.addresses[0]
        on_start(URL.build(scheme="http", host=address, port=used_port, path="/"))
        await asyncio.Event().wait()
    finally:
        await runner.cleanup()


class Site:
    """The URLs of a mirror, and the files of its `folder` that they stand for."""

    def __init__(self, folder: Path, pages: PageLayout, *, simple_all: bool = False) -> None:
        """With `simple_all` there is the index without the cooldown, for all who get here."""
        self._folder = folder
        self._pages = pages
        self._simple_all = simple_all
        self._no_objects = _NO_OBJECTS if simple_all else _NO_OBJECTS | {"simple-all"}

    def application(self) -> web.Application:
        """Return the application that serves the mirror."""
        application = web.Application()
        application.router.add_routes([web.get("/", self._front_page)])
        # Below /simple-all/ there are files as well, and a project may be called "packages".
        indexes = {"/{index:simple}": "{form}", _SNAPSHOT + "/{index:simple}": "{form}"}
        indexes |= {"/{index:simple-all}": _FORM} if self._simple_all else {}
        for index, form in indexes.items():
            application.router.add_routes(
                [
                    web.get(index + "{slash:/?}", self._root_index),
                    web.get(f"{index}/{_FORM}", self._root_format),
                    web.get(index + "/{project:[^/]+}{slash:/?}", self._project_page),
                    web.get(f"{index}/{{project}}/{form}", self._page_format),
                ]
            )
        application.router.add_routes(
            [
                web.get(_SNAPSHOT + "/{path:(?:packages|integrity)/.*}", self._object),
                web.get("/{path:.*}", self._object),
            ]
        )
        return application

    async def _front_page(self, request: web.Request) -> web.StreamResponse:
        return await self._respond(request, layout.FRONT_PAGE)

    async def _root_index(self, request: web.Request) -> web.StreamResponse:
        if not request.match_info["slash"]:
            raise web.HTTPMovedPermanently(location=f"{_index(request)}/")
        return await self._negotiate(request, await self._root_pages(request))

    async def _root_format(self, request: web.Request) -> web.StreamResponse:
        return await self._respond_in(request, await self._root_pages(request))

    async def _root_pages(self, request: web.Request) -> Mapping[str, Key]:
        return await self._stored(request, {form: layout.root_page(form) for form in _TYPES})

    async def _project_page(self, request: web.Request) -> web.StreamResponse:
        name = request.match_info["project"]
        project = canonicalize_name(name)
        if not layout.is_project(project):
            raise web.HTTPNotFound
        if name != project or not request.match_info["slash"]:
            raise web.HTTPMovedPermanently(location=f"{_index(request)}/{project}/")
        return await self._negotiate(request, await self._project_pages(request, project))

    async def _page_format(self, request: web.Request) -> web.StreamResponse:
        project = request.match_info["project"]
        if not layout.is_project(project):
            raise web.HTTPNotFound
        return await self._respond_in(request, await self._project_pages(request, project))

    async def _project_pages(self, request: web.Request, project: str) -> Mapping[str, Key]:
        pages = {form: self._pages.page(project, form) for form in _TYPES}
        return await self._stored(request, pages)

    async def _stored(self, request: web.Request, pages: Mapping[str, Key]) -> Mapping[str, Key]:
        """Return which of the `pages` are stored: an index's own ones, else the live ones.

        Raises:
            HTTPNotFound: the URL names a snapshot that the mirror does not have.
        """
        named = request.match_info.get("snapshot")
        if request.match_info["index"] == "simple-all":
            return await asyncio.to_thread(self._find_all, pages)
        return await asyncio.to_thread(self._find_pages, named, pages)

    def _find_all(self, live: Mapping[str, Key]) -> Mapping[str, Key]:
        """Return the pages of the index without the cooldown; the root index is the live one."""
        own = {form: stored_at(key) for form, key in live.items()}
        return self._existing(own) or self._existing(live)

    def _find_pages(self, named: str | None, live: Mapping[str, Key]) -> Mapping[str, Key]:
        if named is not None:
            roots = {form: snapshot_key(named, layout.root_page(form)) for form in _TYPES}
            if not self._existing(roots):
                raise web.HTTPNotFound
        snapshot = named or linked_snapshot(self._folder)
        if snapshot is not None:
            own = {form: snapshot_key(snapshot, key) for form, key in live.items()}
            if found := self._existing(own):
                return found
        return self._existing(live)

    def _existing(self, pages: Mapping[str, Key]) -> Mapping[str, Key]:
        return {form: key for form, key in pages.items() if (self._folder / key).is_file()}

    async def _object(self, request: web.Request) -> web.StreamResponse:
        path = request.match_info["path"]
        names = path.split("/")
        if not path.isprintable() or any(name[:1] in {"", "."} for name in names):
            raise web.HTTPNotFound
        if names[0] in self._no_objects:
            raise web.HTTPNotFound
        if names[0] == "pypi" and names[-1] == "json":
            project = canonicalize_name(names[1])
            if project != names[1] and layout.is_project(project):  # PDM takes names of files
                raise web.HTTPMovedPermanently(
                    location=URL.build(path=f"/{'/'.join(['pypi', project, *names[2:]])}")
                )
        return await self._respond(request, Key(f"web/{path}"))

    async def _negotiate(
        self, request: web.Request, pages: Mapping[str, Key]
    ) -> web.StreamResponse:
        """Respond with the format of a page that the client prefers, of those that are stored."""
        forms = _acceptable(_qualities(request, hdrs.ACCEPT) or {"*/*": 1.0})
        if not forms:
            raise web.HTTPNotAcceptable(
                text="This page is served as:\n" + "\n".join(_TYPES.values())
            )
        for form in forms:
            if form in pages:
                return await self._respond(request, pages[form], vary=hdrs.ACCEPT)
        raise web.HTTPNotFound

    async def _respond_in(
        self, request: web.Request, pages: Mapping[str, Key]
    ) -> web.StreamResponse:
        """Respond with the format of a page that the URL names."""
        form = request.match_info["form"]
        if form not in pages:
            raise web.HTTPNotFound
        return await self._respond(request, pages[form])

    async def _respond(
        self, request: web.Request, key: Key, *, vary: str = ""
    ) -> web.StreamResponse:
        """Respond with an object, or with its compressed variant if the client accepts gzip.

        Raises:
            HTTPNotFound: there is none.
        """
        headers = headers_of(key)
        fields = {hdrs.CONTENT_TYPE: headers.content_type}
        if headers.cache_control is not None:
            fields[hdrs.CACHE_CONTROL] = headers.cache_control
        path = self._folder / key
        if layout.filename(key) in _TYPES:
            fields[hdrs.VARY] = f"{hdrs.ACCEPT_ENCODING}, {vary}" if vary else hdrs.ACCEPT_ENCODING
            variant = path.with_name(f"{path.name}.gz")
            if _accepts_gzip(request) and await asyncio.to_thread(variant.is_file):
                fields[hdrs.CONTENT_ENCODING] = "gzip"
                path = variant
        if not await asyncio.to_thread(path.is_file):
            raise web.HTTPNotFound
        return _FileResponse(path, headers=fields)


def _index(request: web.Request) -> str:
    """Return the part of the URL that names the index."""
    snapshot, index = request.match_info.get("snapshot"), request.match_info["index"]
    return f"/{index}" if snapshot is None else f"/snapshot/{snapshot}/{index}"


class _FileResponse(web.FileResponse):
    """A response with exactly one file: aiohttp would choose a file with `.gz` itself."""

    async def prepare(self, request: BaseRequest) -> AbstractStreamWriter | None:
        headers = request.headers.copy()
        headers.popall(hdrs.ACCEPT_ENCODING, None)
        return await super().prepare(request.clone(headers=headers))


def _acceptable(accepted: Mapping[str, float]) -> list[str]:
    """Return the formats that a client accepts, the preferred one first.

    Among equals, a format that the client names precedes one that only a wildcard covers. Of the
    latter HTML comes first, as browsers and curl send `*/*`.
    """
    named = [form for form, kind in _TYPES.items() if kind in accepted]
    others = [form for form in reversed(_TYPES) if form not in named]
    quality: dict[str, float] = {}
    for form in (*named, *others):
        kind = _TYPES[form]
        covering = (kind, kind.partition("/")[0] + "/*", "*/*")
        quality[form] = next((accepted[each] for each in covering if each in accepted), 0.0)
    return sorted((form for form in quality if quality[form]), key=lambda form: -quality[form])


def _accepts_gzip(request: web.Request) -> bool:
    codings = _qualities(request, hdrs.ACCEPT_ENCODING)
    return codings.get("gzip", codings.get("*", 0.0)) > 0


def _qualities(request: web.Request, header: str) -> dict[str, float]:
    """Return the values of a header such as Accept, with their qualities (RFC 9110, 12.4.2)."""
    qualities: dict[str, float] = {}
    for part in ",".join(request.headers.getall(header, ())).split(","):
        value = part.partition(";")[0].strip().lower().replace(".latest+", ".v1+")
        quality = _QUALITY.search(part)
        try:
            qualities[value] = 1.0 if quality is None else min(float(quality[1]), 1.0)
        except ValueError:  # such as 1.2.3
            qualities[value] = 0.0
    qualities.pop("", None)
    return qualities
