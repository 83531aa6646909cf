"""Key pairs in the files of minisign (https://jedisct1.github.io/minisign/, "Key formats").

A file has two lines: an untrusted comment, and base64. minisign's own key files work here, and the
ones from here work there.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import os
import secrets
import struct
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.kdf.scrypt import Scrypt

from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from pathlib import Path

_ED25519: Final = b"Ed"
_NO_KDF: Final = b"\0\0"
_SCRYPT: Final = b"Sc"
_BLAKE2B: Final = b"B2"
_COMMENT: Final = "untrusted comment: "

KEY_ID_LENGTH: Final = 8
_PUBLIC_LENGTH: Final = 32
_SALT_LENGTH: Final = 32
_CHECKSUM_LENGTH: Final = 32
# Algorithms of signature, key derivation and checksum; salt; limits of operations and memory.
_SECRET_HEADER: Final = struct.Struct("<2s2s2s32sQQ")
_PROTECTED: Final = struct.Struct("<8s32s32s32s")  # key ID, seed, public key, checksum

# libsodium's limits "sensitive", which minisign uses: N = 2**20, r = 8, p = 1; 1 GiB of memory.
_OPERATIONS: Final = 33554432
_MEMORY: Final = 1073741824
_BLOCK: Final = 8  # scrypt's r
_MAX_FILE: Final = 4096


class InvalidKey(FrumiousError):
    """A key that cannot be read, used or written."""


@dataclass(frozen=True, slots=True)
class VerifyKey:
    """The public half of a key pair: anybody who has it can verify signatures."""

    key_id: bytes
    raw: bytes

    @property
    def name(self) -> str:
        """The key's ID as minisign shows it."""
        return f"{int.from_bytes(self.key_id, 'little'):X}"

    @property
    def text(self) -> str:
        """The key as one word, as `minisign -P` accepts it."""
        return base64.b64encode(_ED25519 + self.key_id + self.raw).decode()

    @property
    def file(self) -> str:
        """The content of a public key file."""
        return f"{_COMMENT}minisign public key {self.name}\n{self.text}\n"

    @classmethod
    def parse(cls, text: str) -> VerifyKey:
        """Parse a public key: the one word, or a file's content.

        Raises:
            InvalidKey: it is not a public key.
        """
        raw = _decode(text, "public key")
        if len(raw) != len(_ED25519) + KEY_ID_LENGTH + _PUBLIC_LENGTH or raw[:2] != _ED25519:
            msg = f"{_last_line(text)!r:.80} is not a minisign public key"
            raise InvalidKey(msg)
        return cls(raw[2 : 2 + KEY_ID_LENGTH], raw[2 + KEY_ID_LENGTH :])


@dataclass(frozen=True, slots=True)
class SigningKey:
    """The secret half of a key pair, with its public half."""

    public: VerifyKey
    seed: bytes = field(repr=False)

    @classmethod
    def generate(cls) -> SigningKey:
        """Return a new key pair."""
        seed = secrets.token_bytes(_PUBLIC_LENGTH)
        return cls(VerifyKey(secrets.token_bytes(KEY_ID_LENGTH), _public_of(seed)), seed)

    def sign(self, message: bytes) -> bytes:
        """Return the Ed25519 signature of a message."""
        return Ed25519PrivateKey.from_private_bytes(self.seed).sign(message)

    def file(self, password: str | None = None) -> str:
        """Return the content of a secret key file, encrypted if there is a password.

        Encryption takes a second and 1 GiB of memory, as does every use of the file.
        """
        key_id, public = self.public.key_id, self.public.raw
        if password is None:
            # As `minisign -W` writes it: nothing encrypted, and no checksum.
            header = _SECRET_HEADER.pack(_ED25519, _NO_KDF, _BLAKE2B, b"", 0, 0)
            protected = _PROTECTED.pack(key_id, self.seed, public, b"")
        else:
            salt = secrets.token_bytes(_SALT_LENGTH)
            header = _SECRET_HEADER.pack(_ED25519, _SCRYPT, _BLAKE2B, salt, _OPERATIONS, _MEMORY)
            checksum = _checksum(key_id, self.seed, public)
            plain = _PROTECTED.pack(key_id, self.seed, public, checksum)
            protected = _xor(plain, _derive(password, salt, _OPERATIONS, _MEMORY))
        encoded = base64.b64encode(header + protected).decode()
        return f"{_COMMENT}minisign encrypted secret key\n{encoded}\n"

    @classmethod
    def parse(cls, text: str, password: str | None = None) -> SigningKey:
        """Parse the content of a secret key file.

        Raises:
            PasswordNeeded: it is encrypted, and there is no password.
            InvalidKey: it is not a secret key, or the password is another one.
        """
        raw = _decode(text, "secret key")
        if len(raw) != _SECRET_HEADER.size + _PROTECTED.size:
            msg = "the file is not a minisign secret key"
            raise InvalidKey(msg)
        header = _SECRET_HEADER.unpack_from(raw)
        signature, derivation, checksum_of, salt, operations, memory = header
        if (signature, checksum_of) != (_ED25519, _BLAKE2B):
            msg = "the secret key has algorithms that minisign does not use"
            raise InvalidKey(msg)
        protected = raw[_SECRET_HEADER.size :]
        if derivation == _SCRYPT:
            if password is None:
                msg = "the secret key is encrypted: its password is needed"
                raise PasswordNeeded(msg)
            protected = _xor(protected, _derive(password, salt, operations, memory))
        elif derivation != _NO_KDF:
            msg = "the secret key is encrypted in a way that minisign does not use"
            raise InvalidKey(msg)
        key_id, seed, public, checksum = _PROTECTED.unpack(protected)
        if derivation == _SCRYPT and not hmac.compare_digest(
            checksum, _checksum(key_id, seed, public)
        ):
            msg = "the password is not the secret key's"
            raise InvalidKey(msg)
        if _public_of(seed) != public:
            msg = "the secret key is damaged: its two halves do not belong together"
            raise InvalidKey(msg)
        return cls(VerifyKey(key_id, public), seed)


class PasswordNeeded(InvalidKey):
    """A secret key is encrypted, and nobody has given its password."""


def read_verify_key(value: str | Path) -> VerifyKey:
    """Return the public key that a setting names: the key itself, or the path of its file.

    Raises:
        InvalidKey: it is neither.
    """
    if isinstance(value, str):
        try:
            return VerifyKey.parse(value)
        except InvalidKey as error:
            if not os.path.lexists(value):
                msg = f"{value!r:.100} is neither a public key nor a file: {error}"
                raise InvalidKey(msg) from error
    try:
        return VerifyKey.parse(_read(value))
    except InvalidKey as error:
        msg = f"cannot read a public key from {str(value)!r}: {error}"
        raise InvalidKey(msg) from error


def read_signing_key(path: str | Path, password: str | None = None) -> SigningKey:
    """Return the key pair of a secret key file.

    Raises:
        InvalidKey, PasswordNeeded: as `SigningKey.parse`, or the file cannot be read.
    """
    return SigningKey.parse(_read(path), password)


def _read(path: str | Path) -> str:
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 (it may be a str)
            return file.read(_MAX_FILE)
    except (OSError, UnicodeDecodeError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not text"
        msg = f"cannot read the key {str(path)!r}: {why}"
        raise InvalidKey(msg) from error


def _last_line(text: str) -> str:
    lines = text.split("\n")
    if lines[0].startswith(_COMMENT):
        lines = lines[1:]
    return lines[0].strip() if lines else ""


def _decode(text: str, what: str) -> bytes:
    try:
        return base64.b64decode(_last_line(text), validate=True)
    except (binascii.Error, ValueError) as error:
        msg = f"the text is not a minisign {what}: its second line is not base64"
        raise InvalidKey(msg) from error


def _public_of(seed: bytes) -> bytes:
    return Ed25519PrivateKey.from_private_bytes(seed).public_key().public_bytes_raw()


def _checksum(key_id: bytes, seed: bytes, public: bytes) -> bytes:
    message = _ED25519 + key_id + seed + public
    return hashlib.blake2b(message, digest_size=_CHECKSUM_LENGTH).digest()


def _derive(password: str, salt: bytes, operations: int, memory: int) -> bytes:
    """Derive the bytes that a secret key is encrypted with.

    `operations` and `memory` are libsodium's limits (`crypto_pwhash_scryptsalsa208sha256`), from
    which it computes scrypt's own parameters.

    Raises:
        InvalidKey: the file asks for more memory or time than minisign does.
    """
    if operations > _OPERATIONS or memory > _MEMORY:
        msg = "the secret key's limits are higher than minisign's"
        raise InvalidKey(msg)
    operations = max(operations, 32768)
    max_cost = min(operations // (_BLOCK * 4), memory // (_BLOCK * 128))
    cost = 1 << max(1, max_cost.bit_length() - 1)
    by_operations = operations < memory // 32
    parallel = 1 if by_operations else max(1, operations // 4 // cost // _BLOCK)
    derivation = Scrypt(salt=salt, length=_PROTECTED.size, n=cost, r=_BLOCK, p=parallel)
    return derivation.derive(password.encode())


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
