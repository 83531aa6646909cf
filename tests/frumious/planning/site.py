"""A site that serves lists, on a real socket."""

from __future__ import annotations

import hashlib
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


@dataclass
class Site:
    """A site with lists."""

    url: str
    files: dict[str, str]
    requests: list[Mapping[str, str]] = field(default_factory=list)


@contextmanager
def site() -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            text = found.files.get(self.path)
            found.requests.append(dict(self.headers))
            etag = f'"{hashlib.sha256((text or "").encode(errors="surrogateescape")).hexdigest()}"'
            unchanged = self.headers.get("If-None-Match") == etag
            self.send_response(404 if text is None else 304 if unchanged else 200)
            self.send_header("ETag", etag)
            body = b"" if text is None or unchanged else text.encode(errors="surrogateescape")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        found = Site(f"http://127.0.0.1:{server.server_port}", {})
        Thread(target=server.serve_forever, daemon=True).start()
        yield found
        server.shutdown()
