"""Signatures of checkpoints: by a key file on this machine, or by AWS KMS."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from frumious.errors import FrumiousError
from frumious.model import checkpoint
from frumious.model.checkpoint import SignatureLine

if TYPE_CHECKING:
    from collections.abc import Callable

    from frumious.config.changes import ChangesConfig
    from frumious.model.checkpoint import Checkpoint

# The DER of an Ed25519 key without the key (RFC 8410, 4).
_DER_PREFIX: Final = bytes.fromhex("302a300506032b6570032100")


class SigningFailed(FrumiousError):
    """A checkpoint could not be signed."""


_signers: dict[ChangesConfig, _File | _Kms] = {}  # that this process has opened


async def sign_checkpoint(made: Checkpoint, config: ChangesConfig) -> SignatureLine | None:
    """Sign a checkpoint; None where no key is configured.

    Raises:
        SigningFailed: the key cannot be used.
    """
    if config.secret_key is None and not config.kms_key:
        return None
    return await asyncio.to_thread(_sign, made, config)


async def check_secret_key(config: ChangesConfig) -> None:
    """Check the key file, if there is one, before work is done that has to be signed.

    Raises:
        SigningFailed: the key cannot be used.
    """
    if config.secret_key is not None:
        await asyncio.to_thread(_signer, config)


def _signer(config: ChangesConfig) -> _File | _Kms:
    signer = _signers.get(config)
    if signer is None:
        signer = _signers[config] = _open(config)
    return signer


def _sign(made: Checkpoint, config: ChangesConfig) -> SignatureLine:
    signer = _signer(config)
    signature = signer.sign(made.text.encode())
    return SignatureLine(
        config.name, checkpoint.key_hash(config.name, signer.public_key), signature
    )


def _open(config: ChangesConfig) -> _File | _Kms:
    if config.kms_key:
        return _Kms.open(config.kms_key)
    from frumious.signing.keys import InvalidKey, read_signing_key  # noqa: PLC0415 (imports cryptography)

    try:
        key = read_signing_key(str(config.secret_key))
    except InvalidKey as error:
        path = str(config.secret_key)
        msg = (
            f"the change feed cannot be signed by [changes] secret-key = {path!r}: {error};"
            f" name the secret key of 'frumious keys generate', without a password"
        )
        raise SigningFailed(msg) from error
    return _File(key.public.raw, key.sign)


@dataclass(frozen=True, slots=True)
class _File:
    """A key of minisign."""

    public_key: bytes
    sign: Callable[[bytes], bytes]


@dataclass(frozen=True, slots=True)
class _Kms:
    """An asymmetric key of KMS (ECC_NIST_EDWARDS25519), which never leaves it."""

    key: str
    client: Any
    public_key: bytes

    @classmethod
    def open(cls, key: str) -> _Kms:
        """Read the public key, once in a process.

        Raises:
            SigningFailed: KMS does not answer, or the key is of another kind.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (only in AWS)

        from frumious.aws import open_client  # noqa: PLC0415 (the same)

        try:
            client = open_client("kms")
            der = client.get_public_key(KeyId=key)["PublicKey"]
        except (BotoCoreError, ClientError) as error:
            msg = f"the public key of {key} cannot be read: {error}"
            raise SigningFailed(msg) from error
        if not der.startswith(_DER_PREFIX):
            msg = f"{key} is no Ed25519 key: its KeySpec must be ECC_NIST_EDWARDS25519"
            raise SigningFailed(msg)
        return cls(key, client, der.removeprefix(_DER_PREFIX))

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message.

        Raises:
            SigningFailed: KMS does not answer, or refuses.
        """
        from botocore.exceptions import BotoCoreError, ClientError  # noqa: PLC0415 (only in AWS)

        try:
            signed = self.client.sign(
                KeyId=self.key,
                Message=message,
                MessageType="RAW",
                SigningAlgorithm="ED25519_SHA_512",
            )
        except (BotoCoreError, ClientError) as error:
            msg = f"{self.key} does not sign: {error}"
            raise SigningFailed(msg) from error
        signature: bytes = signed["Signature"]
        return signature
