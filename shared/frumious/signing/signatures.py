"""Signatures in the files of minisign: of a message, and of a comment that belongs to it.

The message is hashed first (minisign's `ED`), so that signing takes no longer for a large one.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidSignature as WrongSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from frumious.errors import FrumiousError
from frumious.signing.keys import KEY_ID_LENGTH, VerifyKey

if TYPE_CHECKING:
    from collections.abc import Iterable

    from frumious.signing.keys import SigningKey

_PREHASHED: Final = b"ED"
_UNTRUSTED: Final = "untrusted comment: "
_TRUSTED: Final = "trusted comment: "
_SIGNATURE_LENGTH: Final = 64
_MAX_LENGTH: Final = 64 * 1024  # characters of a signature's file
_LINES: Final = 4


class InvalidSignature(FrumiousError):
    """A signature that does not prove that a key's owner signed the message."""


def sign(message: bytes, key: SigningKey, trusted_comment: str) -> str:
    """Return a signature file: of the message, and of the comment together with it.

    Raises:
        ValueError: the comment has more than one line.
    """
    if not trusted_comment.isprintable():
        msg = f"the comment {trusted_comment!r:.80} is not one printable line"
        raise ValueError(msg)
    signature = key.sign(_digest(message))
    own = base64.b64encode(_PREHASHED + key.public.key_id + signature).decode()
    both = base64.b64encode(key.sign(signature + trusted_comment.encode())).decode()
    untrusted = f"{_UNTRUSTED}signature from frumious secret key {key.public.name}"
    return f"{untrusted}\n{own}\n{_TRUSTED}{trusted_comment}\n{both}\n"


def verify(message: bytes, signature_file: str, keys: Iterable[VerifyKey]) -> str:
    """Verify that one of the keys signed the message; return the trusted comment.

    Raises:
        InvalidSignature: none did.
    """
    key_id, signature, comment, both = _parse(signature_file)
    key = next((each for each in keys if each.key_id == key_id), None)
    if key is None:
        name = VerifyKey(key_id, b"").name
        msg = f"the signature is by the key {name}, which is not one of those to trust"
        raise InvalidSignature(msg)
    if not _is_signed(key, _digest(message), signature):
        msg = f"the signature by the key {key.name} is not of this content: it has been changed"
        raise InvalidSignature(msg)
    if not _is_signed(key, signature + comment.encode(), both):
        msg = f"the trusted comment of the signature by the key {key.name} has been changed"
        raise InvalidSignature(msg)
    return comment


def _parse(text: str) -> tuple[bytes, bytes, str, bytes]:
    lines = text[:_MAX_LENGTH].split("\n")
    msg = "the signature file is not minisign's"
    if len(lines) < _LINES or len(text) > _MAX_LENGTH:
        raise InvalidSignature(msg)
    untrusted, own, trusted, both = (line.rstrip("\r") for line in lines[:_LINES])
    if not untrusted.startswith(_UNTRUSTED) or not trusted.startswith(_TRUSTED):
        raise InvalidSignature(msg)
    try:
        raw = base64.b64decode(own, validate=True)
        global_signature = base64.b64decode(both, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSignature(msg) from error
    lengths = len(raw), len(global_signature)
    if lengths != (len(_PREHASHED) + KEY_ID_LENGTH + _SIGNATURE_LENGTH, _SIGNATURE_LENGTH):
        raise InvalidSignature(msg)
    if not raw.startswith(_PREHASHED):
        msg = "the signature is of an older kind, without a hash (minisign before 0.10, or -l)"
        raise InvalidSignature(msg)
    key_id, signature = raw[2 : 2 + KEY_ID_LENGTH], raw[2 + KEY_ID_LENGTH :]
    return key_id, signature, trusted.removeprefix(_TRUSTED), global_signature


def _digest(message: bytes) -> bytes:
    return hashlib.blake2b(message).digest()


def _is_signed(key: VerifyKey, message: bytes, signature: bytes) -> bool:
    try:
        Ed25519PublicKey.from_public_bytes(key.raw).verify(signature, message)
    except (WrongSignature, ValueError):
        return False
    return True
