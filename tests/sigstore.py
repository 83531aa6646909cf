"""A Sigstore of the tests' own: a certificate authority, its log, and a transparency log.

Its attestations are verified by the code that verifies PyPI's. So tests can forge, date and change
them as they need.
"""

from __future__ import annotations

import base64
import hashlib
import json
import struct
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from pypi_attestations import AttestationType

IN_TOTO = "application/vnd.in-toto+json"
BEGIN = datetime(2025, 1, 1, tzinfo=UTC)
SIGNED = datetime(2026, 6, 1, 12, tzinfo=UTC)
COMMIT = "0123456789abcdef0123456789abcdef01234567"
_SHA256 = ec.ECDSA(hashes.SHA256())


def _new_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def _spki(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)


def _key_id(key: ec.EllipticCurvePrivateKey) -> bytes:
    return hashlib.sha256(_spki(key)).digest()


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _der(tag: bytes, content: bytes) -> bytes:
    """Return a primitive value as DER."""
    length = len(content)
    header = bytes([length]) if length < 128 else b"\x82" + length.to_bytes(2, "big")
    if 128 <= length < 256:
        header = bytes([0x81, length])
    return tag + header + content


@dataclass(slots=True)
class Sigstore:
    """Who signs certificates and logs: without its trust root, nothing of it is verified."""

    ca: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    certificate_log: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    log: ec.EllipticCurvePrivateKey = field(default_factory=_new_key)
    _entries: int = 0

    @property
    def trust_root(self) -> bytes:
        """What verifies all that this Sigstore signs (TrustedRoot as JSON)."""

        def instance(key: ec.EllipticCurvePrivateKey) -> dict[str, Any]:
            return {
                "baseUrl": "https://log.example",
                "hashAlgorithm": "SHA2_256",
                "publicKey": {
                    "rawBytes": _b64(_spki(key)),
                    "keyDetails": "PKIX_ECDSA_P256_SHA_256",
                    "validFor": {"start": "2025-01-01T00:00:00Z"},
                },
                "logId": {"keyId": _b64(_key_id(key))},
            }

        root = _b64(self._root.public_bytes(Encoding.DER))
        payload = {
            "mediaType": "application/vnd.dev.sigstore.trustedroot+json;version=0.1",
            "tlogs": [instance(self.log)],
            "certificateAuthorities": [
                {
                    "subject": {"organization": "example", "commonName": "example"},
                    "uri": "https://ca.example",
                    "certChain": {"certificates": [{"rawBytes": root}]},
                    "validFor": {"start": "2025-01-01T00:00:00Z"},
                }
            ],
            "ctlogs": [instance(self.certificate_log)],
            "timestampAuthorities": [],
        }
        return json.dumps(payload).encode()

    def provenance(  # noqa: PLR0913 (what may be wrong)
        self,
        filename: str,
        content: bytes,
        *,
        repository: str = "example/demo",
        workflow: str = "release.yml",
        claimed: str = "",
        signed: datetime = SIGNED,
        predicate: str = AttestationType.PYPI_PUBLISH_V1,
    ) -> bytes:
        """Return the provenance of a file that a workflow on GitHub published (PEP 740).

        `claimed` is the repository that the provenance names, if it is not the certificate's.
        `signed` is when it was signed by the log; certificates are valid on the day of SIGNED.
        """
        key = _new_key()
        certificate = self._certificate(key, repository, workflow).public_bytes(Encoding.DER)
        statement = json.dumps(
            {
                "_type": "https://in-toto.io/Statement/v1",
                "subject": [
                    {"name": filename, "digest": {"sha256": hashlib.sha256(content).hexdigest()}}
                ],
                "predicateType": predicate,
                "predicate": None,
            }
        ).encode()
        message = b"DSSEv1 %d %s %d %s" % (
            len(IN_TOTO),
            IN_TOTO.encode(),
            len(statement),
            statement,
        )
        signature = key.sign(message, _SHA256)
        attestation = {
            "version": 1,
            "verification_material": {
                "certificate": _b64(certificate),
                "transparency_entries": [
                    self._entry(statement, signature, certificate, int(signed.timestamp()))
                ],
            },
            "envelope": {"statement": _b64(statement), "signature": _b64(signature)},
        }
        publisher = {"kind": "GitHub", "repository": claimed or repository, "workflow": workflow}
        bundle = {"publisher": publisher, "attestations": [attestation]}
        return json.dumps({"version": 1, "attestation_bundles": [bundle]}).encode()

    @property
    def _root(self) -> x509.Certificate:
        name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "example")])
        public = self.ca.public_key()
        usage = dict.fromkeys(_USAGES, False) | {"key_cert_sign": True, "crl_sign": True}
        return (
            x509.CertificateBuilder(name, name, public, 1, BEGIN, BEGIN + timedelta(days=3650))
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
            .sign(self.ca, hashes.SHA256())
        )

    def _certificate(
        self, key: ec.EllipticCurvePrivateKey, repository: str, workflow: str
    ) -> x509.Certificate:
        """Return the certificate of a workflow, which is valid on the day of SIGNED."""
        uri = f"https://github.com/{repository}"
        config = f"{uri}/.github/workflows/{workflow}@refs/tags/v1"
        claims = {
            8: "https://token.actions.githubusercontent.com",
            9: config,
            12: uri,
            13: COMMIT,
            14: "refs/tags/v1",
            18: config,
        }
        usage = dict.fromkeys(_USAGES, False) | {"digital_signature": True}
        builder = x509.CertificateBuilder(
            self._root.subject,
            x509.Name([]),
            key.public_key(),
            x509.random_serial_number(),
            SIGNED - timedelta(hours=12),
            SIGNED + timedelta(hours=12),
        )
        extensions: list[tuple[x509.ExtensionType, bool]] = [
            (x509.KeyUsage(**usage), True),
            (x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CODE_SIGNING]), False),
            (x509.AuthorityKeyIdentifier.from_issuer_public_key(self.ca.public_key()), False),
            (x509.SubjectAlternativeName([x509.UniformResourceIdentifier(config)]), True),
        ]
        for number, text in claims.items():
            oid = x509.ObjectIdentifier(f"1.3.6.1.4.1.57264.1.{number}")
            extensions.append(
                (x509.UnrecognizedExtension(oid, _der(b"\x0c", text.encode())), False)
            )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        unlogged = builder.sign(self.ca, hashes.SHA256())
        timestamps = self._certificate_timestamp(unlogged.tbs_certificate_bytes)
        oid = x509.ObjectIdentifier("1.3.6.1.4.1.11129.2.4.2")
        extension = x509.UnrecognizedExtension(oid, _der(b"\x04", timestamps))
        return builder.add_extension(extension, critical=False).sign(self.ca, hashes.SHA256())

    def _certificate_timestamp(self, tbs: bytes) -> bytes:
        """Return the list of the log's one timestamp of a certificate (RFC 6962, 3.2 and 3.3)."""
        at = int(SIGNED.timestamp() * 1000)
        issuer = hashlib.sha256(_spki(self.ca)).digest()
        entry = issuer + len(tbs).to_bytes(3, "big") + tbs
        signed = struct.pack("!BBQH", 0, 0, at, 1) + entry + b"\0\0"
        signature = self.certificate_log.sign(signed, _SHA256)
        log_id = _key_id(self.certificate_log)
        timestamp = struct.pack("!B32sQHBBH", 0, log_id, at, 0, 4, 3, len(signature)) + signature
        one = struct.pack("!H", len(timestamp)) + timestamp
        return struct.pack("!H", len(one)) + one

    def _entry(
        self, statement: bytes, signature: bytes, certificate: bytes, at: int
    ) -> dict[str, Any]:
        """Return the log's entry, with its promise and its proof of inclusion in a tree of one."""
        loaded = x509.load_der_x509_certificate(certificate)
        verifier = _b64(loaded.public_bytes(Encoding.PEM))
        payload_hash = {"algorithm": "sha256", "value": hashlib.sha256(statement).hexdigest()}
        spec = {
            "envelopeHash": payload_hash,  # nobody can verify this one
            "payloadHash": payload_hash,
            "signatures": [{"signature": _b64(signature), "verifier": verifier}],
        }
        entry = {"apiVersion": "0.0.1", "kind": "dsse", "spec": spec}
        body = json.dumps(entry, sort_keys=True, separators=(",", ":")).encode()
        root = hashlib.sha256(b"\0" + body).digest()
        log_id = _key_id(self.log)
        promised = {
            "body": _b64(body),
            "integratedTime": at,
            "logID": log_id.hex(),
            "logIndex": self._entries,
        }
        promise = json.dumps(promised, sort_keys=True, separators=(",", ":")).encode()
        note = f"log.example - 1\n1\n{_b64(root)}\n"
        note_signature = log_id[:4] + self.log.sign(note.encode(), _SHA256)
        self._entries += 1
        return {
            "logIndex": str(promised["logIndex"]),
            "logId": {"keyId": _b64(log_id)},
            "kindVersion": {"kind": "dsse", "version": "0.0.1"},
            "integratedTime": str(at),
            "inclusionPromise": {
                "signedEntryTimestamp": _b64(self.log.sign(promise, _SHA256)),
            },
            "inclusionProof": {
                "logIndex": "0",
                "rootHash": _b64(root),
                "treeSize": "1",
                "hashes": [],
                "checkpoint": {
                    "envelope": f"{note}\n\N{EM DASH} log.example {_b64(note_signature)}\n"
                },
            },
            "canonicalizedBody": _b64(body),
        }


_USAGES = (
    "digital_signature",
    "content_commitment",
    "key_encipherment",
    "data_encipherment",
    "key_agreement",
    "key_cert_sign",
    "crl_sign",
    "encipher_only",
    "decipher_only",
)
