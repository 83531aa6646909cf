"""Who verifies attestations for a mirror: this process, or a function of its own in AWS."""

from __future__ import annotations

import asyncio
from importlib.util import find_spec
from typing import TYPE_CHECKING, Annotated, Any, Final, Protocol

import msgspec
from msgspec import Meta, Struct, field

from frumious.errors import FrumiousError, Reason, Retryable

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from frumious.attestations.verification import AttestationVerifier
    from frumious.config.attestations import AttestationPolicy
    from frumious.model.attestations import Claim, Verdict

_MAX_TRUST_ROOT: Final = 256 * 1024  # bytes; Sigstore's has some 7 KB
_Authorities = Annotated[list[dict[str, Any]], Meta(min_length=1)]


class _TrustRoot(Struct):
    """The keys that a trust root needs (TrustedRoot of Sigstore's protobuf-specs)."""

    tlogs: _Authorities
    ctlogs: _Authorities
    certificate_authorities: _Authorities = field(name="certificateAuthorities")


class CannotVerify(FrumiousError):
    """`[attestations]` is configured, and nothing here can verify any."""


class VerifierUnavailable(Retryable):
    """The attestations could not be verified now."""

    reason = Reason.UNVERIFIED


class Verifier(Protocol):
    """Verifies claims by the mirror's trust root."""

    async def verify(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """Return a verdict for each claim.

        Raises:
            VerifierUnavailable, InvalidTrustRoot: they cannot be verified now.
        """


class _NoVerifier:
    """Of a process that verifies nothing."""

    async def verify(self, claims: Sequence[Claim]) -> Sequence[Verdict]:  # noqa: ARG002
        """Refuse to verify."""
        msg = "this process verifies no attestations"
        raise VerifierUnavailable(msg)


NO_VERIFIER: Final = _NoVerifier()


class LocalVerifier:
    """Verifies in a thread of this process, which imports the library for the first claim."""

    def __init__(self, trust_root: bytes) -> None:
        self._trust_root = trust_root
        self._verifier: AttestationVerifier | None = None
        self._lock = asyncio.Lock()  # threads would not make it faster

    async def verify(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """Return a verdict for each claim."""
        async with self._lock:
            return await asyncio.to_thread(self._verify, claims)

    def _verify(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        if self._verifier is None:
            from frumious.attestations.verification import (  # noqa: PLC0415 (a second)
                AttestationVerifier,
            )

            self._verifier = AttestationVerifier(self._trust_root)
        return self._verifier.verify(claims)


def open_local_verifier(policy: AttestationPolicy) -> Verifier:
    """Return the verifier of a machine.

    Raises:
        CannotVerify: the library is not installed, or there is no trust root.
    """
    if find_spec("pypi_attestations") is None:
        msg = (
            "[attestations] needs the extra of that name: pip install 'frumious[attestations]',"
            " or remove the section"
        )
        raise CannotVerify(msg)
    return LocalVerifier(read_trust_root(policy.trust_root))


def read_trust_root(path: Path) -> bytes:
    """Return a trust root as JSON.

    Raises:
        CannotVerify: the file cannot be read, or is something else.
    """
    try:
        with path.open("rb") as file:
            body = file.read(_MAX_TRUST_ROOT)
        msgspec.json.decode(body, type=_TrustRoot)
    except OSError as error:
        msg = f"[attestations] trust-root = {str(path)!r} cannot be read: {error.strerror}"
        raise CannotVerify(msg) from error
    except (ValueError, RecursionError) as error:
        msg = f"[attestations] trust-root = {str(path)!r} is no trust root of Sigstore: {error}"
        raise CannotVerify(msg) from error
    return body
