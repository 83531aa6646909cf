"""Checkpoints, by the example and the rules of C2SP's signed-note and tlog-checkpoint."""

from __future__ import annotations

import pytest

from frumious.model import checkpoint
from frumious.model.checkpoint import Checkpoint, InvalidCheckpoint, SignatureLine

KEY = bytes(range(32))
ROOT = bytes(range(100, 132))
CHECKPOINT = Checkpoint("pypi.example.org/20261128T000000", 17, ROOT)


def signed(name: str = "pypi.example.org") -> bytes:
    line = SignatureLine(name, checkpoint.key_hash(name, KEY), b"s" * 64)
    return checkpoint.render(CHECKPOINT, line)


def test_the_verifier_key_of_the_specification_is_read() -> None:
    text = "example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k"

    key = checkpoint.parse_verifier_key(text)

    assert checkpoint.verifier_key("example.com/foo", key) == text


@pytest.mark.parametrize(
    "text", ["", "a+b", "a+00000000+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k", "a+b+c", "é+é+é"]
)
def test_other_texts_are_no_verifier_key(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 (of several kinds)
        checkpoint.parse_verifier_key(text)


@pytest.mark.parametrize("body", [checkpoint.render(CHECKPOINT), signed()])
def test_a_checkpoint_is_read_as_it_was_written(body: bytes) -> None:
    note = checkpoint.parse(body)

    assert note.checkpoint == CHECKPOINT
    assert note.text == CHECKPOINT.text


def test_extension_lines_are_signed_and_otherwise_ignored() -> None:
    note = checkpoint.parse((CHECKPOINT.text + "an extension\n\n").encode())

    assert note.checkpoint == CHECKPOINT
    assert note.text == CHECKPOINT.text + "an extension\n"


def test_signatures_of_other_types_are_ignored() -> None:
    body = signed() + "\u2014 witness.example AAAABBBBCCCC\n".encode()

    assert [line.name for line in checkpoint.parse(body).signatures] == ["pypi.example.org"]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"\n\n",
        b"a\n1\n",
        b"a\n01\n" + CHECKPOINT.text.encode().split(b"\n")[2] + b"\n\n",
        b"a\n-1\n" + CHECKPOINT.text.encode().split(b"\n")[2] + b"\n\n",
        b"a\n1\nQUJD\n\n",
        b"a\n1\n***\n\n",
        b"\xff\n1\n2\n\n",
        CHECKPOINT.text.encode() + b"\nno signature\n",
        CHECKPOINT.text.encode().replace(b"17", b"1\r7") + b"\n",
        b"x" * (checkpoint.MAX_BYTES + 1),
    ],
)
def test_other_texts_are_no_checkpoint(body: bytes) -> None:
    with pytest.raises(InvalidCheckpoint):
        checkpoint.parse(body)


def test_a_signature_by_the_key_is_required() -> None:
    def accept(key: bytes, message: bytes, signature: bytes) -> bool:
        return (key, message, signature) == (KEY, CHECKPOINT.text.encode(), b"s" * 64)

    checkpoint.parse(signed()).check_signature(KEY, accept)

    with pytest.raises(InvalidCheckpoint, match="by nobody"):
        checkpoint.parse(checkpoint.render(CHECKPOINT)).check_signature(KEY, accept)
    with pytest.raises(InvalidCheckpoint, match=r"by 'pypi\.example\.org'"):
        checkpoint.parse(signed()).check_signature(bytes(32), accept)
    with pytest.raises(InvalidCheckpoint, match="is wrong"):
        checkpoint.parse(signed()).check_signature(KEY, lambda *_: False)
