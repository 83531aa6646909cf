"""Hashes that are invalid or another file's."""

# ruff: noqa: RUF001 - characters that look like others are the point

from __future__ import annotations

import hashlib

from tests.hostile.case import (
    FILES,
    Case,
    Expected,
    accepts,
    extra_file,
    refuses_file,
    victim,
    without,
)

_OTHER = hashlib.sha256(b"another file").hexdigest()
_BAD = {
    "null": (None, "Expected `object`"),
    "list": (["sha256"], "Expected `object`"),
    "text": ("ab" * 32, "Expected `object`"),
    "number": (7, "Expected `object`"),
    "none": ({}, "no hash"),
    "only-unknown": ({"blake9": "ab" * 32}, "no hash"),
    "only-crc": ({"crc32": "00000000"}, "no hash"),
    "only-upper-case-name": ({"SHA256": _OTHER}, "no hash"),
    "only-shake": ({"shake_128": "ab" * 32}, "no hash"),
    "empty-digest": ({"sha256": ""}, "64 hexadecimal digits"),
    "short": ({"sha256": "ab" * 31}, "64 hexadecimal digits"),
    "long": ({"sha256": "ab" * 33}, "64 hexadecimal digits"),
    "odd": ({"sha256": "a" * 63}, "64 hexadecimal digits"),
    "not-hex": ({"sha256": "zz" * 32}, "64 hexadecimal digits"),
    "spaces": ({"sha256": " " * 64}, "64 hexadecimal digits"),
    "path": ({"sha256": "../" * 21 + "a"}, "64 hexadecimal digits"),
    "wide-digits": ({"sha256": "１" * 64}, "64 hexadecimal digits"),
    "prefixed": ({"sha256": "0x" + "a" * 62}, "64 hexadecimal digits"),
    "base64": ({"sha256": "q" * 43 + "="}, "64 hexadecimal digits"),
    "one-bad-and-one-good": ({"sha256": _OTHER, "md5": "no"}, "32 hexadecimal digits"),
    "digest-is-null": ({"sha256": None}, "Expected `str`"),
    "digest-is-number": ({"sha256": 7}, "Expected `str`"),
    "digest-is-list": ({"sha256": [_OTHER]}, "Expected `str`"),
    "digest-is-object": ({"sha256": {"a": 1}}, "Expected `str`"),
    "megabyte": ({"sha256": "a" * 1_000_000}, "64 hexadecimal digits"),
}

CASES: list[Case] = [
    *(
        refuses_file(f"hashes-{name}", victim(hashes=hashes), reports)
        for name, (hashes, reports) in _BAD.items()
    ),
    refuses_file("hashes-absent", without("hashes"), "required field `hashes`"),
    refuses_file(
        "hashes-of-another-file",
        victim(hashes={"sha256": _OTHER}),
        "its page announces",
        full=Expected(reports="other bytes", files=FILES),
    ),
    refuses_file(
        "hashes-sha512-right-sha256-wrong",
        victim(
            hashes=lambda good: {
                "sha256": _OTHER,
                "sha512": hashlib.sha512(good["sha256"].encode()).hexdigest(),
            }
        ),
        "its page announces",
        full=Expected(reports="other bytes", files=FILES),
    ),
    accepts(
        "hashes-upper-case",
        victim(hashes=lambda good: {"sha256": good["sha256"].upper()}),
        entry={"filename": FILES[-1]},
    ),
    accepts(
        "hashes-unknown-and-sha256",
        victim(hashes=lambda good: {**good, 'x"><script>alert(1)</script>': "&#<'\"\0"}),
    ),
    refuses_file(
        "hashes-same-path-other-digest",
        extra_file(filename="demo-3.0.tar.gz", hashes={"sha256": _OTHER}),
        "its page announces",
        files=FILES,
    ),
]
