"""Lambda: verifies attestations for a worker, which invokes it and waits.

The request has everything, trust root included, so that this function needs no permission, no
configuration and no network. It is one of its own because the library takes 50 MB, and a second to
import: no worker has to start with it.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Any

import msgspec
from aws_lambda_powertools import Logger

from frumious.attestations.verification import AttestationVerifier
from frumious.model.attestations import Request, Response

if TYPE_CHECKING:
    from aws_lambda_powertools.utilities.typing import LambdaContext

logger = Logger(service="frumious")


@logger.inject_lambda_context
def handler(event: dict[str, Any], _context: LambdaContext) -> dict[str, Any]:
    """Return a verdict for each claim."""
    request = msgspec.convert(event, Request)
    verdicts = verifier(request.trust_root).verify(request.claims)
    problems = sum(bool(verdict.problem) for verdict in verdicts)
    logger.info("claims verified", extra={"claims": len(verdicts), "problems": problems})
    answer: dict[str, Any] = msgspec.to_builtins(Response(tuple(verdicts)))
    return answer


@lru_cache(maxsize=2)
def verifier(trust_root: str) -> AttestationVerifier:
    """Return the verifier by a trust root, which is parsed once."""
    return AttestationVerifier(trust_root.encode())
