"""The data API of a CloudFront KeyValueStore on loopback, which moto does not have.

It follows botocore's service model. It checks ETags, and no signatures.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, unquote, urlsplit

from localcloud.stack import KEY_VALUE_STORE_ARN, REGION

if TYPE_CHECKING:
    from collections.abc import Mapping

CREATED = 1_700_000_000
DEFAULT_PAGE = 10


class KeyValueStoreServer:
    """Serves one store in a thread; `values` is its content."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}
        self.version = 1
        self.lock = threading.Lock()
        store = self

        class Handler(_Handler):
            def __init__(self, *arguments: Any) -> None:
                self.store = store
                super().__init__(*arguments)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    @property
    def environment(self) -> Mapping[str, str]:
        """Return the variables with which `frumious` finds the store.

        botocore puts the account before the endpoint's host. As a proxy, the server receives such
        requests without a DNS entry.
        """
        return {
            "AWS_ACCESS_KEY_ID": "local",
            "AWS_SECRET_ACCESS_KEY": "local",
            "AWS_DEFAULT_REGION": REGION,
            "AWS_ENDPOINT_URL_CLOUDFRONT_KEYVALUESTORE": "http://store.test",
            "FRUMIOUS_TOKEN_STORE": KEY_VALUE_STORE_ARN,
            "FRUMIOUS_SNAPSHOT_STORE": KEY_VALUE_STORE_ARN,
            "HTTP_PROXY": f"http://127.0.0.1:{self._server.server_port}",
            "NO_PROXY": "",
        }

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class _Handler(BaseHTTPRequestHandler):
    store: KeyValueStoreServer

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 (the base class's name)
        pass

    def do_GET(self) -> None:
        self._handle()

    def do_PUT(self) -> None:
        self._handle()

    def do_DELETE(self) -> None:
        self._handle()

    def _handle(self) -> None:
        url = urlsplit(self.path)
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        _, collection, arn, *rest = (unquote(part) for part in url.path.split("/"))
        with self.store.lock:
            if collection != "key-value-stores" or arn != KEY_VALUE_STORE_ARN:
                self._fail(404, "ResourceNotFoundException")
            elif self.command != "GET" and self.headers.get("If-Match") != self._etag:
                self._fail(409, "ConflictException")
            elif not rest:
                self._answer({"KvsARN": arn, "Created": CREATED, "Status": "READY"})
            elif len(rest) == 1:
                self._list(parse_qs(url.query))
            elif self.command == "PUT":
                self.store.values[rest[1]] = json.loads(body)["Value"]
                self.store.version += 1
                self._answer({})
            elif rest[1] not in self.store.values:
                self._fail(404, "ResourceNotFoundException")
            elif self.command == "DELETE":
                del self.store.values[rest[1]]
                self.store.version += 1
                self._answer({})
            else:
                self._answer({"Key": rest[1], "Value": self.store.values[rest[1]]})

    @property
    def _etag(self) -> str:
        return f"V{self.store.version}"

    def _list(self, query: Mapping[str, list[str]]) -> None:
        first = int(query.get("NextToken", ["0"])[0])
        end = first + int(query.get("MaxResults", [str(DEFAULT_PAGE)])[0])
        items = [{"Key": key, "Value": value} for key, value in self.store.values.items()]
        more = {"NextToken": str(end)} if end < len(items) else {}
        self._answer({"Items": items[first:end], **more})

    def _fail(self, status: int, error: str) -> None:
        self._send(status, {"Message": error}, {"x-amzn-ErrorType": error})

    def _answer(self, members: Mapping[str, Any]) -> None:
        size = sum(len(key) + len(value) for key, value in self.store.values.items())
        totals = {"ItemCount": len(self.store.values), "TotalSizeInBytes": size}
        self._send(200, {**totals, **members}, {"ETag": self._etag})

    def _send(self, status: int, members: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        body = json.dumps(members).encode()
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)
