"""Verifies attestations (PEP 740) with pypi-attestations and sigstore, without any network.

To import it takes a second and tens of MB, so that only the process that verifies does.
"""

from __future__ import annotations

import logging
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct
from packaging.utils import parse_sdist_filename, parse_wheel_filename
from pypi_attestations import (
    Attestation,
    AttestationType,
    CircleCIPublisher,
    GitHubPublisher,
    GitLabPublisher,
    GooglePublisher,
    Provenance,
)
from sigstore.models import TrustedRoot
from sigstore.verify import Verifier

from frumious.errors import FrumiousError, Reason
from frumious.model.attestations import MAX_TEXT, Claim, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable

    from pypi_attestations import Publisher

logger = logging.getLogger(__name__)

MAX_ATTESTATIONS: Final = 32  # of one file; PyPI accepts two
_ENVELOPE: Final = "application/vnd.in-toto+json"
_STATEMENT: Final = "https://in-toto.io/Statement/v1"
_TYPES: Final = frozenset(each.value for each in AttestationType)


class InvalidTrustRoot(FrumiousError):
    """The trust root is not one that Sigstore's library reads."""

    reason = Reason.UNVERIFIED


class _Digests(Struct):
    sha256: str


class _Subject(Struct):
    name: str
    digest: _Digests


class _Statement(Struct, rename={"type_": "_type", "predicate_type": "predicateType"}):
    """What a publisher signs: an in-toto statement."""

    type_: str
    subject: list[_Subject]
    predicate_type: str


class _Unproved(Exception):
    """The attestations do not prove the claim; the text says why."""


class AttestationVerifier:
    """Verifies claims by one trust root."""

    def __init__(self, trust_root: bytes) -> None:
        """Read a trust root.

        Raises:
            InvalidTrustRoot: it is none.
        """
        try:
            with NamedTemporaryFile(suffix=".json") as file:
                file.write(trust_root)
                file.flush()
                self._verifier = Verifier(trusted_root=TrustedRoot.from_file(file.name))
        except Exception as error:
            msg = f"the trust root is not valid: {error}"
            raise InvalidTrustRoot(msg) from error

    def verify(self, claims: Iterable[Claim]) -> list[Verdict]:
        """Return a verdict for each claim."""
        return [self._verdict(claim) for claim in claims]

    def _verdict(self, claim: Claim) -> Verdict:
        try:
            return Verdict(publisher=self._publisher(claim))
        except Exception as error:  # noqa: BLE001 (whatever hostile bytes cause, they prove nothing)
            return Verdict.refusing(" ".join(f"{error}".split()))

    def _publisher(self, claim: Claim) -> str:
        """Return the publisher of a file, which all of its attestations prove."""
        provenance = Provenance.model_validate_json(claim.provenance)
        bundles = provenance.attestation_bundles
        count = sum(len(bundle.attestations) for bundle in bundles)
        if not all(bundle.attestations for bundle in bundles) or not 0 < count <= MAX_ATTESTATIONS:
            msg = f"it has {count} attestations in {len(bundles)} bundles"
            raise _Unproved(msg)
        for bundle in bundles:
            for attestation in bundle.attestations:
                self._check(claim, attestation, bundle.publisher)
        publishers = {_identity(bundle.publisher) for bundle in bundles}
        if len(publishers) > 1:
            msg = f"it has several publishers: {', '.join(sorted(publishers))}"
            raise _Unproved(msg)
        publisher = publishers.pop()
        if len(publisher) > MAX_TEXT:
            msg = f"its publisher has {len(publisher)} characters"
            raise _Unproved(msg)
        return publisher

    def _check(self, claim: Claim, attestation: Attestation, publisher: Publisher) -> None:
        """Make sure that a publisher has signed that it published the file.

        As `Attestation.verify`, which takes no trust root: certificate, logs, signature, and that
        the certificate is the publisher's; then the statement.
        """
        policy = publisher._as_policy()  # noqa: SLF001 (the pinned version has no other way)
        envelope, payload = self._verifier.verify_dsse(attestation.to_bundle(), policy)
        if envelope != _ENVELOPE:
            msg = f"the signed content is {envelope!r:.80}"
            raise _Unproved(msg)
        statement = msgspec.json.decode(payload, type=_Statement)
        if statement.type_ != _STATEMENT or statement.predicate_type not in _TYPES:
            msg = f"the statement is of an unknown type: {statement.predicate_type!r:.80}"
            raise _Unproved(msg)
        if len(statement.subject) != 1:
            msg = f"the statement has {len(statement.subject)} subjects"
            raise _Unproved(msg)
        subject = statement.subject[0]
        if _parsed(subject.name) != _parsed(claim.filename):
            msg = f"the statement is about {subject.name!r:.120}"
            raise _Unproved(msg)
        if subject.digest.sha256 != claim.sha256:
            msg = f"the statement is about other bytes: {subject.digest.sha256!r:.80}"
            raise _Unproved(msg)


def _parsed(filename: str) -> tuple[object, ...]:
    """Return what a filename means; raises ValueError for those that PyPI attests nothing of."""
    if filename.endswith(".whl"):
        return parse_wheel_filename(filename)
    return parse_sdist_filename(filename)


def _identity(publisher: Publisher) -> str:
    """Return a publisher in one line, by what its certificates prove."""
    match publisher:
        case GitHubPublisher():
            return f"github.com/{publisher.repository}/{publisher.workflow}"
        case GitLabPublisher():
            return f"gitlab.com/{publisher.repository}//{publisher.workflow_filepath}"
        case GooglePublisher():
            return f"accounts.google.com/{publisher.email}"
        case CircleCIPublisher():
            return f"circleci.com/{publisher.project_id}/{publisher.pipeline_definition_id}"
