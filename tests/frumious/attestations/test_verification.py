"""Who published a file is proved by its attestations, or it is not; without any network."""

from __future__ import annotations

import hashlib
import json
import socket
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import pytest
import sigstore as sigstore_package

from frumious.attestations.verification import AttestationVerifier, InvalidTrustRoot
from frumious.attestations.verifier import read_trust_root
from frumious.model.attestations import Claim, Verdict
from tests.sigstore import SIGNED, Sigstore

if TYPE_CHECKING:
    from collections.abc import Callable

CONTENT = b"the content of a file"
NAME = "demo-1.0.tar.gz"


@pytest.fixture(autouse=True)
def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Refuse all connections."""

    def refuse(*_: object, **__: object) -> None:
        pytest.fail("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr(socket, "getaddrinfo", refuse)


@pytest.fixture(scope="module")
def sigstore() -> Sigstore:
    return Sigstore()


def claim(provenance: bytes, filename: str = NAME, content: bytes = CONTENT) -> Claim:
    return Claim(filename, hashlib.sha256(content).hexdigest(), provenance.decode())


def verdict(sigstore: Sigstore, provenance: bytes) -> Verdict:
    return AttestationVerifier(sigstore.trust_root).verify([claim(provenance)])[0]


def changed(provenance: bytes, change: Callable[[dict[str, Any]], object]) -> bytes:
    """Return a provenance whose only attestation was changed after it was signed."""
    payload = json.loads(provenance)
    change(payload["attestation_bundles"][0]["attestations"][0])
    return json.dumps(payload).encode()


def entry(attestation: dict[str, Any]) -> dict[str, Any]:
    """Return the entry of the transparency log."""
    entries: list[dict[str, Any]] = attestation["verification_material"]["transparency_entries"]
    return entries[0]


TAMPERING: dict[str, Callable[[dict[str, Any]], object]] = {
    "statement": lambda attestation: attestation["envelope"].update(statement="e30="),
    "signature": lambda attestation: attestation["envelope"].update(signature="AAAA"),
    "time": lambda attestation: entry(attestation).update(integratedTime="1780315201"),
    "logged": lambda attestation: entry(attestation).update(canonicalizedBody="e30="),
    "root": lambda attestation: entry(attestation)["inclusionProof"].update(rootHash="AAAA"),
    "no proof": lambda attestation: entry(attestation).pop("inclusionProof"),
    "no promise": lambda attestation: entry(attestation).pop("inclusionPromise"),
    "kind": lambda attestation: entry(attestation).update(kindVersion={"kind": "x"}),
    "no entry": lambda attestation: attestation["verification_material"].update(
        transparency_entries=[]
    ),
    "certificate": lambda attestation: attestation["verification_material"].update(
        certificate="AAAA"
    ),
    "version": lambda attestation: attestation.update(version=2),
}


def test_a_file_that_a_workflow_has_signed_is_its(sigstore: Sigstore) -> None:
    found = verdict(sigstore, sigstore.provenance(NAME, CONTENT))
    assert found == Verdict(publisher="github.com/example/demo/release.yml")


def test_another_spelling_of_a_filename_is_the_same_file(sigstore: Sigstore) -> None:
    provenance = sigstore.provenance("Demo-1.0.tar.gz", CONTENT)
    assert verdict(sigstore, provenance).publisher


@pytest.mark.parametrize(
    ("filename", "content"),
    [(NAME, b"other bytes"), ("demo-1.1.tar.gz", CONTENT), ("demo-1.0-py3-none-any.whl", CONTENT)],
)
def test_a_signature_of_another_file_proves_nothing(
    sigstore: Sigstore, filename: str, content: bytes
) -> None:
    found = verdict(sigstore, sigstore.provenance(filename, content))
    assert not found.publisher
    assert "the statement is about" in found.problem


def test_what_another_sigstore_has_signed_proves_nothing(sigstore: Sigstore) -> None:
    assert not verdict(sigstore, Sigstore().provenance(NAME, CONTENT)).publisher


def test_a_certificate_of_a_forger_proves_nothing(sigstore: Sigstore) -> None:
    forger = Sigstore(certificate_log=sigstore.certificate_log, log=sigstore.log)
    assert "certificate" in verdict(sigstore, forger.provenance(NAME, CONTENT)).problem


def test_a_certificate_that_no_log_has_seen_proves_nothing(sigstore: Sigstore) -> None:
    forger = Sigstore(ca=sigstore.ca, log=sigstore.log)
    assert "SCT" in verdict(sigstore, forger.provenance(NAME, CONTENT)).problem


def test_a_signature_that_no_log_has_seen_proves_nothing(sigstore: Sigstore) -> None:
    forger = Sigstore(ca=sigstore.ca, certificate_log=sigstore.certificate_log)
    assert "log entry" in verdict(sigstore, forger.provenance(NAME, CONTENT)).problem


def test_a_workflow_cannot_claim_to_be_another(sigstore: Sigstore) -> None:
    provenance = sigstore.provenance(NAME, CONTENT, repository="evil/demo", claimed="example/demo")
    assert not verdict(sigstore, provenance).publisher


@pytest.mark.parametrize("days", [-1, 1])
def test_a_certificate_that_was_not_valid_when_it_signed_proves_nothing(
    sigstore: Sigstore, days: int
) -> None:
    signed = SIGNED + timedelta(days=days)
    assert not verdict(sigstore, sigstore.provenance(NAME, CONTENT, signed=signed)).publisher


@pytest.mark.parametrize("change", TAMPERING.values(), ids=TAMPERING)
def test_what_was_changed_after_it_was_signed_proves_nothing(
    sigstore: Sigstore, change: Callable[[dict[str, Any]], object]
) -> None:
    found = verdict(sigstore, changed(sigstore.provenance(NAME, CONTENT), change))
    assert not found.publisher
    assert found.problem


def test_a_statement_of_another_kind_proves_nothing(sigstore: Sigstore) -> None:
    provenance = sigstore.provenance(NAME, CONTENT, predicate="https://example.com/opinion/v1")
    assert "unknown type" in verdict(sigstore, provenance).problem


def test_all_attestations_have_to_be_valid_and_of_one_publisher(sigstore: Sigstore) -> None:
    good = json.loads(sigstore.provenance(NAME, CONTENT))["attestation_bundles"]
    other = json.loads(sigstore.provenance(NAME, CONTENT, repository="other/demo"))
    forged = json.loads(Sigstore().provenance(NAME, CONTENT))

    def of(*bundles: object) -> Verdict:
        payload = {"version": 1, "attestation_bundles": bundles}
        return verdict(sigstore, json.dumps(payload).encode())

    assert of(*good, *good).publisher
    assert "several publishers" in of(*good, *other["attestation_bundles"]).problem
    assert not of(*good, *forged["attestation_bundles"]).publisher
    assert "0 attestations" in of().problem
    assert "in 2 bundles" in of(*good, {**good[0], "attestations": []}).problem
    assert "33 attestations" in of(*good * 33).problem


@pytest.mark.parametrize(
    "provenance", [b"", b"[]", b"{}", b"null", b'{"version": 1}', b"[" * 100_000, b"\xff"]
)
def test_what_is_no_provenance_proves_nothing(sigstore: Sigstore, provenance: bytes) -> None:
    found = AttestationVerifier(sigstore.trust_root).verify(
        [Claim(NAME, "", provenance.decode(errors="replace"))]
    )
    assert not found[0].publisher
    assert found[0].problem
    assert len(found[0].problem) <= 500


def test_a_verdict_can_always_be_kept(sigstore: Sigstore) -> None:
    long = verdict(sigstore, sigstore.provenance(NAME, CONTENT, repository="x/" + "y" * 600))
    assert long.problem == "its publisher has 625 characters"
    surrogate = verdict(sigstore, b'{"version": "\\ud800", "attestation_bundles": "\\udfff"}')
    quoted = Verdict.refusing("\ud800" * 600)
    for each in (long, surrogate, quoted):
        assert msgspec.json.decode(msgspec.json.encode(each), type=Verdict) == each


def test_sigstores_own_trust_root_is_one() -> None:
    store = Path(sigstore_package.__file__).parent / "_store"
    (path,) = store.glob("*tuf-repo-cdn.sigstore.dev/trusted_root.json")
    verifier = AttestationVerifier(read_trust_root(path))
    forged = verifier.verify([claim(Sigstore().provenance(NAME, CONTENT))])
    assert not forged[0].publisher


@pytest.mark.parametrize("body", [b"", b"{}", b"[]", Sigstore().trust_root[:-20]])
def test_what_is_no_trust_root_is_refused(body: bytes) -> None:
    with pytest.raises(InvalidTrustRoot, match="not valid"):
        AttestationVerifier(body)
