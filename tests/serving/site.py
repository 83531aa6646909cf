"""A mirror that a web server serves, and plain requests to it."""

from __future__ import annotations

import http.client
from dataclasses import dataclass
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from multidict import CIMultiDict

if TYPE_CHECKING:
    from collections.abc import Mapping

    from frumious.model.types import Key


@dataclass(frozen=True)
class Response:
    """A response."""

    status: int
    headers: Mapping[str, str]
    body: bytes


@dataclass(frozen=True)
class Site:
    """A mirror served by nginx, by the command or by the distribution."""

    url: str
    is_nginx: bool
    keys: Mapping[str, Key]  # of each file, by filename
    is_edge: bool = False

    def request(
        self, path: str, accept: str | None = None, method: str = "GET", **headers: str
    ) -> Response:
        """Send a request; redirects are not followed."""
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=10)
        if accept is not None:
            headers["Accept"] = accept
        connection.request(method, path, headers=headers)
        response = connection.getresponse()
        fields = {name: ", ".join(response.headers.get_all(name, ())) for name in response.headers}
        received = Response(response.status, CIMultiDict(fields), response.read())
        connection.close()
        return received

    @property
    def page_caching(self) -> str:
        """The Cache-Control of pages."""
        if self.is_edge:
            return "public, max-age=20"
        return "public, max-age=60" if self.is_nginx else "public, max-age=20, s-maxage=30"

    @property
    def file_caching(self) -> str:
        """The Cache-Control of files."""
        shared = "" if self.is_nginx else " s-maxage=86400,"
        return f"public, max-age=31536000,{shared} immutable"

    def path(self, filename: str) -> str:
        """Return the path of a file's URL."""
        return "/" + self.keys[filename].removeprefix("web/")
