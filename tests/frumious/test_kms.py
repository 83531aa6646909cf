"""Checkpoints that AWS KMS signs; the service is a stand-in, because moto's knows no Ed25519."""

from __future__ import annotations

import base64
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, ed25519
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from frumious.model import checkpoint
from frumious.signing.checkpoints import SigningFailed
from frumious.signing.ed25519 import verify
from tests.frumious.finalizing.test_change_feed import publish, report

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.world import World

KEY = "arn:aws:kms:eu-central-1:123456789012:key/1"
PRIVATE = ed25519.Ed25519PrivateKey.from_private_bytes(bytes(range(32)))


class Kms(ThreadingHTTPServer):
    """Signs as KMS does (API pages of GetPublicKey and Sign); records the requests."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, dict[str, Any]]] = []
        self.public: Any = PRIVATE.public_key()

    def answer(self, action: str, asked: dict[str, Any]) -> tuple[int, dict[str, Any]]:
        self.requests.append((action, asked))
        if action == "GetPublicKey":
            der = self.public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
            return 200, {"KeyId": KEY, "PublicKey": base64.b64encode(der).decode()}
        if (asked["MessageType"], asked["SigningAlgorithm"]) != ("RAW", "ED25519_SHA_512"):
            return 400, {"__type": "ValidationException"}
        signature = PRIVATE.sign(base64.b64decode(asked["Message"]))
        return 200, {"KeyId": KEY, "Signature": base64.b64encode(signature).decode()}


class _Handler(BaseHTTPRequestHandler):
    server: Kms

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        action = self.headers["X-Amz-Target"].partition(".")[2]
        status, payload = self.server.answer(action, body)
        answer = json.dumps(payload).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/x-amz-json-1.1")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def kms(monkeypatch: pytest.MonkeyPatch) -> Iterator[Kms]:
    with Kms() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        monkeypatch.setenv("AWS_ENDPOINT_URL_KMS", f"http://127.0.0.1:{server.server_port}")
        yield server
        server.shutdown()
        thread.join()


def configure(world: World, name: str) -> None:
    world.configure(sections=f"[changes]\nname = {name}\nkms-key = {KEY}\n")


def test_kms_signs_each_checkpoint_with_one_request(world: World, kms: Kms) -> None:
    configure(world, "one.example")
    publish(world, report(0))
    publish(world, report(1))

    note = checkpoint.parse(world.read("web/changes/checkpoint"))

    note.check_signature(PRIVATE.public_key().public_bytes_raw(), verify)
    assert note.checkpoint.size == 2
    assert [action for action, _ in kms.requests] == ["GetPublicKey", "Sign", "Sign"]
    assert {asked["KeyId"] for _, asked in kms.requests} == {KEY}


def test_a_key_of_another_kind_is_refused_and_the_commit_is_published_later(
    world: World, kms: Kms
) -> None:
    configure(world, "two.example")
    kms.public = ec.generate_private_key(ec.SECP256R1()).public_key()
    with pytest.raises(SigningFailed, match="ECC_NIST_EDWARDS25519"):
        publish(world, report(0))
    assert "web/changes/checkpoint" not in world.stored("web/changes/")

    kms.public = PRIVATE.public_key()
    publish(world, report(0))

    assert checkpoint.parse(world.read("web/changes/checkpoint")).checkpoint.size == 1
