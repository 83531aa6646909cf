"""The index's response to each request, without faults.

Knows the URLs, the caching headers and the redirects of an index, but no sockets.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from packaging.utils import canonicalize_name

from . import rpc
from .messages import Request, Response
from .negotiation import preferred
from .pages import Addresses, Page, legacy_json, project_page, release_json, render, root_page
from .personality import PYPI, Personality

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from .content import Content
    from .index import Index
    from .project import File

_METADATA = ".metadata"


class Site:
    """An index that behaves like its personality."""

    def __init__(self, index: Index, addresses: Addresses, *, split: bool) -> None:
        self.index = index
        self.personality: Personality = PYPI
        self.row_limit = 50_000  # of changelog_since_serial
        self._addresses = addresses
        self._split = split  # files have a host of their own
        self._rendered: dict[tuple[str, str], tuple[object, bytes]] = {}  # by path and type

    def project_of(self, path: str) -> str | None:
        """Return the normalised name of the project that the path belongs to."""
        match path.split("/")[1:]:
            case ["simple" | "pypi" | "integrity", name, *_] if name:
                return canonicalize_name(name)
            case ["packages", *_, filename]:
                files = self.index.files_named(filename.removesuffix(_METADATA))
                return files[0].project if files else None
        return None

    def respond(self, request: Request) -> Response:
        """Return the response to any request."""
        parts = request.path.split("/")[1:]
        if request.method not in ("GET", "HEAD") and parts[0] != "pypi":
            response = Response.plain(405, {"Allow": "GET, HEAD"})
        elif parts[0] == "packages":
            response = self._file(request)
        elif request.host == "files":
            response = _not_found()
        elif parts[0] == "PyPI" and self.index.osv.is_served:
            response = self._archive(request)
        elif parts[0] == "simple":
            response = self._simple(request, parts[1:])
        elif self.personality.apis:
            response = self._api(request, parts)
        else:
            response = _not_found()
        return response

    # Pages

    def _simple(self, request: Request, parts: list[str]) -> Response:
        match parts:
            case []:
                return _moved("/simple/")
            case [""]:
                return self._root(request)
            case [name] | [name, ""]:
                return self._project(request, name)
        return _not_found()

    def _root(self, request: Request) -> Response:
        content_type = self._content_type(request)
        if content_type is None:
            return _not_acceptable()
        serial = self.index.serial if request.at is None else min(request.at, self.index.serial)

        def page() -> Page:
            return root_page(self.index.projects(request.at), serial, self.personality)

        body = self._render(page, content_type, request)
        return self._page(request, body, content_type, serial)

    def _project(self, request: Request, name: str) -> Response:
        normalized = canonicalize_name(name)
        if name != normalized and not self.personality.redirects:
            return _not_found()
        view = self.index.project(normalized, request.at)
        if view is None:
            return _not_found()
        if request.path != f"/simple/{normalized}/":
            return _moved(f"/simple/{normalized}/")
        content_type = self._content_type(request)
        if content_type is None:
            return _not_acceptable()

        def page() -> Page:
            return project_page(view, self.personality, self._addresses)

        body = self._render(page, content_type, request)
        return self._page(request, body, content_type, view.serial)

    def _content_type(self, request: Request) -> str | None:
        kind = self.personality
        best = preferred(request.headers.get("accept", ""), kind.offers)
        return kind.offers[0] if best is None and not kind.refuses else best

    def _render(self, page: Callable[[], Page], content_type: str, request: Request) -> bytes:
        """Render a page once: a root index of PyPI's size takes seconds."""
        if request.edit:
            edited = page()
            request.edit(edited)
            return render(edited, content_type, self.personality)
        key, state = (request.path, content_type), (self.index.revision, request.at)
        before, body = self._rendered.get(key, (None, b""))
        if before != (state, self.personality):
            body = render(page(), content_type, self.personality)
            self._rendered[key] = (state, self.personality), body
        return body

    def _page(self, request: Request, body: bytes, content_type: str, serial: int) -> Response:
        kind = self.personality
        headers = {"Vary": "Accept"}
        if kind.cache_control:
            headers["Cache-Control"] = "max-age=600"
        if kind.serial_header:
            headers["X-PyPI-Last-Serial"] = str(serial)
        if kind.etag:
            headers["ETag"] = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
            if _matches(request.headers.get("if-none-match"), headers["ETag"]):
                return Response(304, headers)
        return Response.of(body, content_type, headers)

    # The other interfaces

    def _archive(self, request: Request) -> Response:
        body = self.index.osv.archive
        headers = {"ETag": f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'}
        if _matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(304, headers)
        return Response.of(body, "application/zip", headers)

    def _api(self, request: Request, parts: list[str]) -> Response:
        match request.method, parts:
            case "POST", ["pypi"] | ["pypi", ""] if self.personality.xml_rpc:
                return self._xml_rpc(request)
            case "GET" | "HEAD", ["pypi", name, "json"]:
                return self._legacy_json(request, name)
            case "GET" | "HEAD", ["pypi", name, version, "json"]:
                return self._legacy_json(request, name, version)
            case "GET" | "HEAD", ["integrity", name, version, filename, "provenance"]:
                return self._provenance(request, name, version, filename)
        return _not_found()

    def _xml_rpc(self, request: Request) -> Response:
        body = rpc.respond(self.index, request.body, at=request.at, row_limit=self.row_limit)
        return Response.of(body, "text/xml; charset=utf-8")

    def _legacy_json(self, request: Request, name: str, version: str = "") -> Response:
        normalized = canonicalize_name(name)
        view = self.index.project(normalized, request.at)
        if view is None or not view.files:
            return _not_found()
        if name != normalized:
            return _moved(request.path.replace(name, normalized, 1))
        if version:
            page = release_json(view, version, self._addresses)
        else:
            page = legacy_json(view, self._addresses)
        if page is None:
            return _not_found()
        if request.edit:
            request.edit(page)
        headers = {"Cache-Control": "max-age=900", "X-PyPI-Last-Serial": str(view.serial)}
        return Response.of(json.dumps(page).encode(), "application/json", headers)

    def _provenance(self, request: Request, name: str, version: str, filename: str) -> Response:
        view = self.index.project(name, request.at)
        for listed in view.files if view else ():
            file = listed.file
            if (file.version, file.filename) == (version, filename) and file.provenance is not None:
                body = json.dumps(dict(file.provenance)).encode()
                return Response.of(body, "application/vnd.pypi.integrity.v1+json")
        return _not_found()

    # Files

    def _file(self, request: Request) -> Response:
        # Relative URLs always lead to the index's own host.
        if request.host == "index" and self._split and not self.personality.relative:
            return _not_found()
        content = self._blob(request.path)
        if content is None:
            return _not_found()
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "max-age=365000000, immutable, public",
            "Content-Type": "application/octet-stream",
            "ETag": f'"{content.blake2b_256[:32]}"',
        }
        if _matches(request.headers.get("if-none-match"), headers["ETag"]):
            return Response(304, headers)
        span = _span(request.headers, headers["ETag"], content.size)
        if span is None:
            return Response.part(content, 0, content.size, headers, 200)
        start, stop = span
        if start >= stop:
            return Response(416, {**headers, "Content-Range": f"bytes */{content.size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        return Response.part(content, start, stop, headers, 206)

    def _blob(self, path: str) -> Content | None:
        """Return what was ever stored at the path; deletions keep blobs."""
        filename = path.rpartition("/")[2]
        file = self._file_at(path, filename)
        if file is not None:
            return file.content
        if filename.endswith(_METADATA):
            described = self._file_at(
                path.removesuffix(_METADATA), filename.removesuffix(_METADATA)
            )
            return described.core_metadata if described else None
        return None

    def _file_at(self, path: str, filename: str) -> File | None:
        files = self.index.files_named(filename)
        return next((file for file in files if file.path == path), None)


def _not_found() -> Response:
    return Response.plain(404)


def _not_acceptable() -> Response:
    return Response.plain(406)


def _moved(to: str) -> Response:
    return Response.plain(301, {"Location": quote(to)})


def _matches(condition: str | None, etag: str) -> bool:
    """Compare weakly, as If-None-Match requires."""
    if condition is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in condition.split(",")}
    return bool(tags & {"*", etag})


def _span(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of the requested range.

    None means the complete content; an empty range cannot be satisfied.
    """
    match = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", "").replace(" ", ""))
    if match is None or headers.get("if-range", etag) != etag:
        return None
    first, last = match.groups()
    if first:
        return int(first), min(int(last) + 1, size) if last else size
    return (max(size - int(last), 0), size) if last else None
