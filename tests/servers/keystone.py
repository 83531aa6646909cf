"""The part of Keystone's v3 API that a login needs, in front of a Swift that has tempauth.

Swift cannot check Keystone's tokens without Keystone. This server therefore returns tempauth's
tokens, so that a login by v3 opens the real Swift.
"""

from __future__ import annotations

import json
import urllib.request
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any, Final

from tests.servers.loopback import LoopbackServer

if TYPE_CHECKING:
    from tests.servers.swift import SwiftServer

REGION: Final = "RegionOne"
USER: Final = {"name": "mirror", "id": "u-1", "domain": "default", "password": "pass-word-1"}
PROJECT: Final = {"name": "pypi", "id": "p-1", "domain": "default"}
CREDENTIAL: Final = {"id": "c-1", "name": "for the mirror", "secret": "credential-secret-1"}


class KeystoneServer(LoopbackServer):
    """The server; a context manager. `logins` are the bodies of the requests for tokens."""

    def __init__(self, swift: SwiftServer) -> None:
        self.logins: list[dict[str, Any]] = []
        super().__init__(_handler(self, swift))
        self.url = f"{self.address}/v3"


def is_accepted(login: dict[str, Any]) -> bool:
    """Say whether a request for a token names the user, or the credential, and its secret."""
    identity = login["auth"]["identity"]
    match identity["methods"]:
        case ["password"]:
            user = identity["password"]["user"]
            project = login["auth"].get("scope", {}).get("project", {})
            return (_is(user, USER) and user.get("password") == USER["password"]) and _is(
                project, PROJECT
            )
        case ["application_credential"]:
            credential = identity["application_credential"]
            is_known = credential.get("id") == CREDENTIAL["id"] or (
                credential.get("name") == CREDENTIAL["name"]
                and _is(credential.get("user", {}), USER)
            )
            # It belongs to a project; Keystone refuses an additional scope.
            return bool(
                is_known
                and credential["secret"] == CREDENTIAL["secret"]
                and "scope" not in login["auth"]
            )
        case _:
            return False


def _is(identity: dict[str, Any], known: dict[str, str]) -> bool:
    if "id" in identity:
        return bool(identity["id"] == known["id"])
    domain = identity.get("domain", {}).get("name")
    return bool(identity.get("name") == known["name"] and domain == known["domain"])


def _tempauth_token(swift: SwiftServer) -> str:
    request = urllib.request.Request(  # noqa: S310
        swift.auth_url, headers={"X-Auth-User": swift.user, "X-Auth-Key": swift.key}
    )
    with urllib.request.urlopen(request) as response:  # noqa: S310
        return str(response.headers["X-Auth-Token"])


def _token(swift: SwiftServer, methods: list[str]) -> dict[str, Any]:
    endpoint = {
        "id": "e-1",
        "interface": "public",
        "region": REGION,
        "region_id": REGION,
        "url": swift.storage_url,
    }
    domain = {"id": "default", "name": "default"}
    return {
        "token": {
            "methods": methods,
            "user": {"id": USER["id"], "name": USER["name"], "domain": domain},
            "project": {"id": PROJECT["id"], "name": PROJECT["name"], "domain": domain},
            "issued_at": "2026-01-01T00:00:00.000000Z",
            "expires_at": "2099-01-01T00:00:00.000000Z",
            "roles": [{"id": "r-1", "name": "member"}],
            "catalog": [
                {"id": "s-1", "type": "object-store", "name": "swift", "endpoints": [endpoint]}
            ],
        }
    }


def _handler(keystone: KeystoneServer, swift: SwiftServer) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            version = {
                "id": "v3.14",
                "status": "stable",
                "links": [{"rel": "self", "href": f"{keystone.url}/"}],
                "media-types": [],
            }
            self._respond(200, {"version": version})

        def do_POST(self) -> None:
            login = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            keystone.logins.append(login)
            if self.path != "/v3/auth/tokens":
                self._respond(404, {"error": {"code": 404, "message": "Not Found"}})
            elif is_accepted(login):
                methods = login["auth"]["identity"]["methods"]
                self._respond(201, _token(swift, methods), token=_tempauth_token(swift))
            else:
                message = "The request you have made requires authentication."
                self._respond(401, {"error": {"code": 401, "message": message}})

        def _respond(self, status: int, payload: dict[str, Any], token: str = "") -> None:
            body = json.dumps(payload).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            if token:
                self.send_header("X-Subject-Token", token)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002
            pass

    return Handler
