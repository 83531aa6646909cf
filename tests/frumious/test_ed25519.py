"""Ed25519 without a library, by the examples of RFC 8032 and against `cryptography`."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from frumious.signing.ed25519 import verify

# 7.1: public key, message, signature.
EXAMPLES = [
    (
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b",
    ),
    (
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00",
    ),
]


@pytest.mark.parametrize(("key", "message", "signature"), EXAMPLES)
def test_the_examples_of_the_rfc(key: str, message: str, signature: str) -> None:
    assert verify(bytes.fromhex(key), bytes.fromhex(message), bytes.fromhex(signature))


def test_signatures_of_a_library_are_right_and_changed_ones_wrong() -> None:
    for number in range(5):
        private = Ed25519PrivateKey.from_private_bytes(bytes([number]) * 32)
        public, message = private.public_key().public_bytes_raw(), b"message" * number
        signature = private.sign(message)

        assert verify(public, message, signature)
        assert not verify(public, message + b"!", signature)
        assert not verify(bytes([public[0] ^ 1]) + public[1:], message, signature)
        for at in (0, 31, 32, 63):
            changed = bytearray(signature)
            changed[at] ^= 1
            assert not verify(public, message, bytes(changed))


def test_a_signature_with_another_scalar_of_the_same_value_is_wrong() -> None:
    """RFC 8032, 8.4: otherwise anybody could make a second signature of the first."""
    private = Ed25519PrivateKey.from_private_bytes(b"k" * 32)
    public, signature = private.public_key().public_bytes_raw(), private.sign(b"message")
    order = 2**252 + 27742317777372353535851937790883648493
    scalar = int.from_bytes(signature[32:], "little") + order

    assert not verify(public, b"message", signature[:32] + scalar.to_bytes(32, "little"))


@pytest.mark.parametrize(
    ("key", "signature"),
    [(b"", b""), (bytes(31), bytes(64)), (bytes(32), bytes(63)), (b"\xff" * 32, b"\xff" * 64)],
)
def test_what_is_no_key_or_signature_is_wrong(key: bytes, signature: bytes) -> None:
    assert not verify(key, b"", signature)
