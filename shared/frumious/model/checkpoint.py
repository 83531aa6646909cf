"""Checkpoints of a change feed: C2SP's tlog-checkpoint, a signed note. Pure.

Knows the texts, and verifies Ed25519 by a function that it is given; signs nothing.
"""

from __future__ import annotations

import binascii
import hashlib
import re
from base64 import b64decode, b64encode
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from frumious.errors import FrumiousError, Reason
from frumious.model.merkle import HASH_SIZE
from frumious.value import Value

if TYPE_CHECKING:
    from collections.abc import Callable

MAX_BYTES: Final = 64 * 1024  # of a note
MAX_SIZE: Final = 2**53  # leaves

_ED25519: Final = b"\x01"  # the signature type
_KEY_BYTES: Final = 32
_MINISIGN: Final = b"Ed"  # then come the key's ID and the key
_MINISIGN_BYTES: Final = 2 + 8 + _KEY_BYTES
_SIGNATURE_BYTES: Final = 64
_SIZE: Final = re.compile(r"0|[1-9][0-9]{0,15}")
_NAME: Final = re.compile(r"[^\s+\x00-\x1f\x7f]{1,200}")
_CONTROL: Final = re.compile(r"[\x00-\x09\x0b-\x1f]")
_LINE: Final = re.compile(r"\u2014 (?P<name>[^\s+]{1,200}) (?P<signature>[A-Za-z0-9+/=]{1,6000})")


class InvalidCheckpoint(FrumiousError):
    """A text that is no checkpoint, or not signed by the expected key."""

    reason = Reason.UPSTREAM_INVALID


class Checkpoint(Value, frozen=True):
    """What a feed commits to: how many changes it has, and the root hash of their tree."""

    origin: str  # identifies the feed
    size: int
    root: bytes

    @property
    def text(self) -> str:
        """What is signed."""
        return f"{self.origin}\n{self.size}\n{b64encode(self.root).decode()}\n"


class SignatureLine(Value, frozen=True):
    """A signature of a note."""

    name: str  # of the key
    key_hash: bytes
    signature: bytes


class Note(Value, frozen=True):
    """A checkpoint with its signatures."""

    checkpoint: Checkpoint
    text: str  # that is signed
    signatures: tuple[SignatureLine, ...] = ()

    def check_signature(
        self, public_key: bytes, verify: Callable[[bytes, bytes, bytes], bool]
    ) -> None:
        """Require a signature by a key; `verify` takes the key, a message and its signature.

        Raises:
            InvalidCheckpoint: there is none, or it is wrong.
        """
        for line in self.signatures:
            if line.key_hash == key_hash(line.name, public_key):
                if verify(public_key, self.text.encode(), line.signature):
                    return
                msg = f"the signature of {line.name!r} on the checkpoint is wrong"
                raise InvalidCheckpoint(msg)
        names = ", ".join(repr(line.name) for line in self.signatures) or "nobody"
        msg = f"the checkpoint is not signed by the configured key, but by {names:.300}"
        raise InvalidCheckpoint(msg)


def key_hash(name: str, public_key: bytes) -> bytes:
    """Return the hash by which a note names a key (C2SP's signed-note)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """Return a public key as other programs for signed notes write it."""
    encoded = b64encode(_ED25519 + public_key).decode()
    return f"{name}+{key_hash(name, public_key).hex()}+{encoded}"


def parse_verifier_key(text: str) -> bytes:
    """Return the public key of a `verifier_key`.

    Raises:
        ValueError: it is none.
    """
    name, _, rest = text.partition("+")
    hashed, _, encoded = rest.partition("+")
    decoded = b64decode(encoded, validate=True)
    key = decoded[1:]
    if decoded[:1] != _ED25519 or len(key) != _KEY_BYTES or key_hash(name, key).hex() != hashed:
        msg = "must be NAME+HASH+KEY of an Ed25519 key"
        raise ValueError(msg)
    return key


def parse_public_key(text: str) -> bytes:
    """Return a public key that is written as a `verifier_key`, or as minisign does.

    Raises:
        ValueError: it is neither.
    """
    with suppress(ValueError):  # base64 has plus signs as well
        return parse_verifier_key(text)
    decoded = b""
    with suppress(ValueError):
        decoded = b64decode(text, validate=True)
    if not decoded.startswith(_MINISIGN) or len(decoded) != _MINISIGN_BYTES:
        msg = "must be a public key of minisign (RW...), or NAME+HASH+KEY"
        raise ValueError(msg)
    return decoded[-_KEY_BYTES:]


def is_key_name(name: str) -> bool:
    """Return whether a text can be the name of a key."""
    return _NAME.fullmatch(name) is not None


def render(checkpoint: Checkpoint, signature: SignatureLine | None = None) -> bytes:
    """Render a checkpoint as a note."""
    lines = [checkpoint.text, "\n"]
    if signature is not None:
        encoded = b64encode(signature.key_hash + signature.signature).decode()
        lines.append(f"\u2014 {signature.name} {encoded}\n")
    return "".join(lines).encode()


def parse(body: bytes) -> Note:
    """Parse a note.

    Extension lines and signatures of other types are ignored, as the format demands.

    Raises:
        InvalidCheckpoint: it is no checkpoint.
    """
    if len(body) > MAX_BYTES:
        msg = f"the checkpoint has {len(body)} bytes, more than {MAX_BYTES}"
        raise InvalidCheckpoint(msg)
    try:
        text = body.decode()
        signed, separator, signatures = text.rpartition("\n\n")
        if not separator:
            msg = "it has no empty line"
            raise ValueError(msg)  # noqa: TRY301
        if _CONTROL.search(text):
            msg = "it contains a control character"
            raise ValueError(msg)  # noqa: TRY301
        signed += "\n"
        origin, size, root, *_ = signed.split("\n")
        if _SIZE.fullmatch(size) is None or int(size) > MAX_SIZE:
            msg = f"{size!r:.40} is no size"
            raise ValueError(msg)  # noqa: TRY301
        digest = b64decode(root, validate=True)
        if not origin or not origin.isprintable() or len(digest) != HASH_SIZE:
            msg = "its origin or its root hash is invalid"
            raise ValueError(msg)  # noqa: TRY301
        lines = tuple(filter(None, map(_signature, filter(None, signatures.split("\n")))))
    except (ValueError, binascii.Error) as error:
        msg = f"the checkpoint is invalid: {error!s:.200}"
        raise InvalidCheckpoint(msg) from error
    return Note(Checkpoint(origin, int(size), digest), signed, lines)


def _signature(line: str) -> SignatureLine | None:
    """Return an Ed25519 signature; None: it is of another type.

    Raises:
        ValueError: this is no signature.
    """
    match = _LINE.fullmatch(line)
    if match is None:
        msg = f"{line!r:.80} is no signature"
        raise ValueError(msg)
    decoded = b64decode(match["signature"], validate=True)
    if len(decoded) != 4 + _SIGNATURE_BYTES:
        return None
    return SignatureLine(match["name"], decoded[:4], decoded[4:])
