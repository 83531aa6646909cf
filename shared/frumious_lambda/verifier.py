"""Which function verifies attestations for this one."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from frumious.attestations.verifier import NO_VERIFIER, read_trust_root

if TYPE_CHECKING:
    from frumious.attestations.verifier import Verifier
    from frumious.config.attestations import AttestationPolicy


def open_verifier(policy: AttestationPolicy) -> Verifier:
    """Return the stack's verifier; only workers need it.

    Raises:
        CannotVerify: the layer has no trust root.
    """
    name = os.environ.get("FRUMIOUS_VERIFIER")
    if not name:
        return NO_VERIFIER
    from frumious.messaging.verifier import RemoteVerifier  # noqa: PLC0415 (rarely needed)

    return RemoteVerifier(name, read_trust_root(policy.trust_root))
