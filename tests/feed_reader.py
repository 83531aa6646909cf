"""Reads and verifies a change feed from its description alone; shares nothing with Frumious."""

from __future__ import annotations

import json
from base64 import b64decode
from hashlib import sha256
from typing import TYPE_CHECKING, Any, NamedTuple

from tests import rfc9162

if TYPE_CHECKING:
    from collections.abc import Callable


class Feed(NamedTuple):
    """A feed as a reader gets it."""

    origin: str
    root: bytes
    lines: list[bytes]
    signatures: list[tuple[str, bytes]]  # name of the key, and key ID with signature
    text: bytes  # that is signed

    @property
    def size(self) -> int:
        """The number of entries."""
        return len(self.lines)

    @property
    def entries(self) -> list[dict[str, Any]]:
        """The entries."""
        return [json.loads(line) for line in self.lines]


def path(number: int, width: int) -> str:
    """Return the path of a tile or bundle."""
    digits = str(number)
    digits = digits.rjust((len(digits) + 2) // 3 * 3, "0")
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    joined = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return joined if width == 256 else f"{joined}.p/{width}"


def read_feed(read: Callable[[str], bytes]) -> Feed:
    """Read a feed, and verify all of it: entries against tiles, tiles against the checkpoint.

    `read` returns the object at a path below `changes/`.
    """
    text, _, signatures = read("checkpoint").rpartition(b"\n\n")
    origin, size_text, root = text.decode().split("\n")[:3]
    size = int(size_text)
    lines: list[bytes] = []
    for number in range((size + 255) // 256):
        bundle = read("entries/" + path(number, min(256, size - number * 256)))
        assert bundle.endswith(b"\n")
        lines += bundle.removesuffix(b"\n").split(b"\n")
    assert len(lines) == size
    assert rfc9162.root(lines) == b64decode(root)
    level, hashes = 0, [sha256(b"\x00" + line).digest() for line in lines]
    while hashes:
        for number in range((len(hashes) + 255) // 256):
            part = hashes[number * 256 : number * 256 + 256]
            assert read(f"tile/{level}/{path(number, len(part))}") == b"".join(part)
        level += 1
        span = 256**level
        hashes = [rfc9162.root(lines[at * span : (at + 1) * span]) for at in range(size // span)]
    signed = []
    for line in signatures.decode().splitlines():
        dash, name, signature = line.split(" ")
        assert dash == "\u2014"
        signed.append((name, b64decode(signature)))
    return Feed(origin, b64decode(root), lines, signed, text + b"\n")
