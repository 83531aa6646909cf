"""Keys and signatures, and those that minisign itself made (`made/`, version 0.11)."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest

from frumious.signing.keys import (
    InvalidKey,
    PasswordNeeded,
    SigningKey,
    VerifyKey,
    read_signing_key,
    read_verify_key,
)
from frumious.signing.signatures import InvalidSignature, sign, verify

MADE = Path(__file__).parent / "made"
PUBLIC = MADE / "plain.pub"
MESSAGE = b"a message\n"
KEY = SigningKey.generate()


def test_what_minisign_signed_is_verified() -> None:
    signature = (MADE / "message.minisig").read_text("utf-8")
    assert verify(MESSAGE, signature, [read_verify_key(PUBLIC)]) == "signed by minisign"


def test_a_key_is_read_from_its_file_and_as_one_word() -> None:
    key = read_verify_key(PUBLIC)
    assert read_verify_key(str(PUBLIC)) == read_verify_key(key.text) == key
    assert VerifyKey.parse(key.file) == key
    assert key.file == PUBLIC.read_text("utf-8")


@pytest.mark.parametrize(("name", "password"), [("plain", None), ("encrypted", "secret")])
def test_a_secret_key_of_minisign_signs(name: str, password: str | None) -> None:
    key = read_signing_key(MADE / f"{name}.key", password)
    assert key.public == read_verify_key(MADE / f"{name}.pub")
    assert verify(MESSAGE, sign(MESSAGE, key, "now"), [key.public]) == "now"


def test_an_encrypted_key_needs_a_password() -> None:
    with pytest.raises(PasswordNeeded):
        read_signing_key(MADE / "encrypted.key")


def test_a_key_pair_survives_its_file() -> None:
    assert SigningKey.parse(KEY.file()) == KEY
    assert repr(KEY.seed) not in repr(KEY)


@pytest.mark.parametrize("changed", [b"another message\n", b"", MESSAGE[:-1]])
def test_another_message_is_refused(changed: bytes) -> None:
    with pytest.raises(InvalidSignature, match="has been changed"):
        verify(changed, sign(MESSAGE, KEY, ""), [KEY.public])


def test_another_comment_is_refused() -> None:
    signature = sign(MESSAGE, KEY, "serial:1").replace("serial:1", "serial:2")
    with pytest.raises(InvalidSignature, match="trusted comment"):
        verify(MESSAGE, signature, [KEY.public])


def test_an_unknown_key_is_named() -> None:
    other = SigningKey.generate()
    with pytest.raises(InvalidSignature, match=other.public.name):
        verify(MESSAGE, sign(MESSAGE, other, ""), [KEY.public])


def test_a_key_with_the_id_of_a_trusted_one_is_refused() -> None:
    other = SigningKey.generate()
    forged = SigningKey(VerifyKey(KEY.public.key_id, other.public.raw), other.seed)
    with pytest.raises(InvalidSignature, match="has been changed"):
        verify(MESSAGE, sign(MESSAGE, forged, ""), [KEY.public])


@pytest.mark.parametrize(
    "text", ["", "\n", "untrusted comment: x\nRWQ=\n", "a\nb\nc\nd\n", "é\n" * 4]
)
def test_what_is_not_of_minisign_is_refused(text: str) -> None:
    with pytest.raises(InvalidSignature):
        verify(MESSAGE, text, [KEY.public])
    with pytest.raises(InvalidKey):
        VerifyKey.parse(text)
    with pytest.raises(InvalidKey):
        SigningKey.parse(text)


def test_a_damaged_secret_key_is_refused() -> None:
    comment, encoded, _ = KEY.file().split("\n")
    raw = bytearray(base64.b64decode(encoded))
    raw[70] ^= 1
    with pytest.raises(InvalidKey, match="damaged"):
        SigningKey.parse(f"{comment}\n{base64.b64encode(raw).decode()}\n")


def test_a_missing_key_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidKey, match=r"absent\.pub"):
        read_verify_key(tmp_path / "absent.pub")
    with pytest.raises(ValueError, match="printable"):
        sign(MESSAGE, KEY, "two\nlines")
