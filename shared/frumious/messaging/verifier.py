"""Attestations are verified by a function of their own, which a worker invokes and waits for."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any, Final

import msgspec
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from frumious.attestations.verifier import VerifierUnavailable
from frumious.aws import open_client
from frumious.model.attestations import Request, Response

if TYPE_CHECKING:
    from collections.abc import Sequence

    from frumious.model.attestations import Claim, Verdict

# Longer than the function's timeout. "Throttles" of a full account are retried.
_CONFIG: Final = Config(
    connect_timeout=5,
    read_timeout=70,
    retries={"mode": "standard", "total_max_attempts": 3},
)
_MAX_ERROR: Final = 500  # characters of the function's


class RemoteVerifier:
    """The function `name`; this process asks it one thing at a time."""

    def __init__(self, name: str, trust_root: bytes) -> None:
        self._name = name
        self._trust_root = trust_root.decode()
        self._client: Any = None  # most batches need none
        self._lock = asyncio.Lock()

    async def verify(self, claims: Sequence[Claim]) -> Sequence[Verdict]:
        """Return a verdict for each claim.

        Raises:
            VerifierUnavailable: the function cannot be invoked, or it failed.
        """
        async with self._lock:
            return await asyncio.to_thread(self._invoke, tuple(claims))

    def _invoke(self, claims: tuple[Claim, ...]) -> Sequence[Verdict]:
        try:
            if self._client is None:
                self._client = open_client("lambda", _CONFIG)
            payload = msgspec.json.encode(Request(self._trust_root, claims))
            response = self._client.invoke(FunctionName=self._name, Payload=payload)
            body: bytes = response["Payload"].read()
            if "FunctionError" in response:
                text = body.decode(errors="replace")[:_MAX_ERROR]
                msg = f"the function {self._name!r} failed: {text}"
                raise VerifierUnavailable(msg)
            verdicts = msgspec.json.decode(body, type=Response).verdicts
        except (BotoCoreError, ClientError, msgspec.DecodeError) as error:
            msg = f"the function {self._name!r} did not verify: {error}"
            raise VerifierUnavailable(msg) from error
        if len(verdicts) != len(claims):
            msg = f"the function {self._name!r} returned {len(verdicts)} of {len(claims)} verdicts"
            raise VerifierUnavailable(msg)
        return verdicts
