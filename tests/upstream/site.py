"""What the index answers to each request when nothing goes wrong.

A function from what was asked to the answer: knows the addresses, the caching headers and the
redirects of an index, but neither faults nor sockets.
"""

from __future__ import annotations

import hashlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote

from packaging.utils import canonicalize_name

from . import rpc
from .answer import Answer, Ask
from .negotiation import preferred
from .pages import Addresses, Page, legacy_json, project_page, render, root_page
from .personality import PYPI, Personality

if TYPE_CHECKING:
    from collections.abc import Mapping

    from .content import Content
    from .index import Index
    from .project import File

_METADATA = ".metadata"


class Site:
    """An index with the manners of its personality."""

    def __init__(self, index: Index, addresses: Addresses, *, split: bool) -> None:
        self.index = index
        self.personality: Personality = PYPI
        self.row_limit = 50_000  # of changelog_since_serial
        self._addresses = addresses
        self._split = split  # files have a host of their own
        self._root_cache: dict[str, tuple[object, bytes]] = {}

    def project_of(self, path: str) -> str | None:
        """Return the normalised name of the project that the path belongs to."""
        match path.split("/")[1:]:
            case ["simple" | "pypi" | "integrity", name, *_] if name:
                return canonicalize_name(name)
            case ["packages", *_, filename]:
                files = self.index.files_named(filename.removesuffix(_METADATA))
                return files[0].project if files else None
        return None

    def answer(self, ask: Ask) -> Answer:
        """Answer any request."""
        parts = ask.path.split("/")[1:]
        if ask.method not in ("GET", "HEAD") and parts[0] != "pypi":
            answer = Answer.plain(405, {"Allow": "GET, HEAD"})
        elif parts[0] == "packages":
            answer = self._file(ask)
        elif ask.host == "files":
            answer = _not_found()
        elif parts[0] == "simple":
            answer = self._simple(ask, parts[1:])
        elif self.personality.apis:
            answer = self._api(ask, parts)
        else:
            answer = _not_found()
        return answer

    # Pages

    def _simple(self, ask: Ask, parts: list[str]) -> Answer:
        match parts:
            case []:
                return _moved("/simple/")
            case [""]:
                return self._root(ask)
            case [name] | [name, ""]:
                return self._project(ask, name)
        return _not_found()

    def _root(self, ask: Ask) -> Answer:
        content_type = self._content_type(ask)
        if content_type is None:
            return _not_acceptable()
        serial = self.index.serial if ask.at is None else min(ask.at, self.index.serial)
        # At PyPI's size a root index takes seconds to render.
        state = (self.index.revision, ask.at, self.personality)
        cached_state, body = self._root_cache.get(content_type, (None, b""))
        if ask.edit or cached_state != state:
            page = root_page(self.index.projects(ask.at), serial, self.personality)
            body = self._render(page, content_type, ask)
            if not ask.edit:
                self._root_cache[content_type] = (state, body)
        return self._page(ask, body, content_type, serial)

    def _project(self, ask: Ask, name: str) -> Answer:
        normalized = canonicalize_name(name)
        if name != normalized and not self.personality.redirects:
            return _not_found()
        view = self.index.project(normalized, ask.at)
        if view is None:
            return _not_found()
        if ask.path != f"/simple/{normalized}/":
            return _moved(f"/simple/{normalized}/")
        content_type = self._content_type(ask)
        if content_type is None:
            return _not_acceptable()
        page = project_page(view, self.personality, self._addresses)
        body = self._render(page, content_type, ask)
        return self._page(ask, body, content_type, view.serial)

    def _content_type(self, ask: Ask) -> str | None:
        kind = self.personality
        best = preferred(ask.headers.get("accept", ""), kind.offers)
        return kind.offers[0] if best is None and not kind.refuses else best

    def _render(self, page: Page, content_type: str, ask: Ask) -> bytes:
        if ask.edit:
            ask.edit(page)
        return render(page, content_type, self.personality)

    def _page(self, ask: Ask, body: bytes, content_type: str, serial: int) -> Answer:
        kind = self.personality
        headers = {"Vary": "Accept"}
        if kind.cache_control:
            headers["Cache-Control"] = "max-age=600"
        if kind.serial_header:
            headers["X-PyPI-Last-Serial"] = str(serial)
        if kind.etag:
            headers["ETag"] = f'"{hashlib.blake2b(body, digest_size=16).hexdigest()}"'
            if _matches(ask.headers.get("if-none-match"), headers["ETag"]):
                return Answer(304, headers)
        return Answer.of(body, content_type, headers)

    # The other interfaces

    def _api(self, ask: Ask, parts: list[str]) -> Answer:
        match ask.method, parts:
            case "POST", ["pypi"] | ["pypi", ""] if self.personality.xml_rpc:
                return self._xml_rpc(ask)
            case "GET" | "HEAD", ["pypi", name, "json"]:
                return self._legacy_json(ask, name)
            case "GET" | "HEAD", ["integrity", name, version, filename, "provenance"]:
                return self._provenance(ask, name, version, filename)
        return _not_found()

    def _xml_rpc(self, ask: Ask) -> Answer:
        body = rpc.respond(self.index, ask.body, at=ask.at, row_limit=self.row_limit)
        return Answer.of(body, "text/xml; charset=utf-8")

    def _legacy_json(self, ask: Ask, name: str) -> Answer:
        normalized = canonicalize_name(name)
        view = self.index.project(normalized, ask.at)
        if view is None or not view.files:
            return _not_found()
        if name != normalized:
            return _moved(f"/pypi/{normalized}/json")
        page = legacy_json(view, self._addresses)
        if ask.edit:
            ask.edit(page)
        headers = {"Cache-Control": "max-age=900", "X-PyPI-Last-Serial": str(view.serial)}
        return Answer.of(json.dumps(page).encode(), "application/json", headers)

    def _provenance(self, ask: Ask, name: str, version: str, filename: str) -> Answer:
        view = self.index.project(name, ask.at)
        for listed in view.files if view else ():
            file = listed.file
            if (file.version, file.filename) == (version, filename) and file.provenance is not None:
                body = json.dumps(dict(file.provenance)).encode()
                return Answer.of(body, "application/vnd.pypi.integrity.v1+json")
        return _not_found()

    # Files

    def _file(self, ask: Ask) -> Answer:
        # Relative addresses lead to the index's own host, whatever else there is.
        if ask.host == "index" and self._split and not self.personality.relative:
            return _not_found()
        content = self._blob(ask.path)
        if content is None:
            return _not_found()
        headers = {
            "Accept-Ranges": "bytes",
            "Cache-Control": "max-age=365000000, immutable, public",
            "Content-Type": "application/octet-stream",
            "ETag": f'"{content.blake2b_256[:32]}"',
        }
        if _matches(ask.headers.get("if-none-match"), headers["ETag"]):
            return Answer(304, headers)
        span = _span(ask.headers, headers["ETag"], content.size)
        if span is None:
            return Answer.part(content, 0, content.size, headers, 200)
        start, stop = span
        if start >= stop:
            return Answer(416, {**headers, "Content-Range": f"bytes */{content.size}"})
        headers["Content-Range"] = f"bytes {start}-{stop - 1}/{content.size}"
        return Answer.part(content, start, stop, headers, 206)

    def _blob(self, path: str) -> Content | None:
        """Return what was ever stored under the path; a deletion does not delete blobs."""
        filename = path.rpartition("/")[2]
        file = self._held_at(path, filename)
        if file is not None:
            return file.content
        if filename.endswith(_METADATA):
            described = self._held_at(
                path.removesuffix(_METADATA), filename.removesuffix(_METADATA)
            )
            return described.core_metadata if described else None
        return None

    def _held_at(self, path: str, filename: str) -> File | None:
        files = self.index.files_named(filename)
        return next((file for file in files if file.path == path), None)


def _not_found() -> Answer:
    return Answer.plain(404)


def _not_acceptable() -> Answer:
    return Answer.plain(406)


def _moved(to: str) -> Answer:
    return Answer.plain(301, {"Location": quote(to)})


def _matches(condition: str | None, etag: str) -> bool:
    """Compare weakly, as If-None-Match wants it."""
    if condition is None:
        return False
    tags = {tag.strip().removeprefix("W/") for tag in condition.split(",")}
    return bool(tags & {"*", etag})


def _span(headers: Mapping[str, str], etag: str, size: int) -> tuple[int, int] | None:
    """Return (start, stop) of the range that is asked for.

    None: send everything; an empty span: there are no such bytes. Only one range is ever sent.
    """
    asked = re.fullmatch(r"bytes=(\d*)-(\d*)", headers.get("range", "").replace(" ", ""))
    if asked is None or headers.get("if-range", etag) != etag:
        return None
    first, last = asked.groups()
    if first:
        return int(first), min(int(last) + 1, size) if last else size
    return (max(size - int(last), 0), size) if last else None
