"""Files of keys and signatures."""

from __future__ import annotations

from typing import Final

from frumious.signing.keys import InvalidKey, SigningKey, VerifyKey
from frumious.signing.signatures import InvalidSignature, verify

TRUSTED: Final = SigningKey(
    VerifyKey.parse("RWRGcnVtaW91cwOhB7/zzhC+HXDdGOdLwJln5NYwm6UNXx3chmQSVTG4"),
    bytes(range(32)),
)
MESSAGE: Final = b"a message\n"


def verify_key(data: bytes) -> None:
    """A public key."""
    try:
        key = VerifyKey.parse(data.decode(errors="replace"))
    except InvalidKey:
        return
    assert VerifyKey.parse(key.file) == VerifyKey.parse(key.text) == key


def signing_key(data: bytes) -> None:
    """A secret key that is not encrypted: the others take a second and 1 GiB."""
    try:
        key = SigningKey.parse(data.decode(errors="replace"))
    except InvalidKey:
        return
    assert SigningKey.parse(key.file()) == key


def signature(data: bytes) -> None:
    """A signature: nobody can make one without the key."""
    text = data.decode(errors="replace")
    try:
        comment = verify(MESSAGE, text, [TRUSTED.public])
    except InvalidSignature:
        return
    assert comment == "the seed"


TARGETS: Final = (verify_key, signing_key, signature)
