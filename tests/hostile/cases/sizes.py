"""Sizes that are invalid or not the file's."""

from __future__ import annotations

from tests.hostile.case import UNNOTICED, Case, accepts, refuses_file, victim, without

_BAD = {
    "negative": -1,
    "float": 1.5,
    "whole-float": 1000.0,
    "bool": True,
    "text": "1000",
    "list": [1000],
    "object": {},
    "huge": 10**15,
    "beyond-64-bits": 2**64 + 1,
    "beyond-all": 10**4000,
}

CASES: list[Case] = [
    *(
        refuses_file(f"size-{name}", victim(size=size), "size" if name != "x" else "")
        for name, size in _BAD.items()
    ),
    refuses_file("size-zero", victim(size=0), "its page announces 0", full=UNNOTICED),
    refuses_file(
        "size-one-less", victim(size=lambda good: good - 1), "its page announces", full=UNNOTICED
    ),
    refuses_file(
        "size-one-more", victim(size=lambda good: good + 1), "its page announces", full=UNNOTICED
    ),
    refuses_file(
        "size-largest-allowed", victim(size=5 * 1024**4), "its page announces", full=UNNOTICED
    ),
    # PEP 700: 1.1 and later versions have the sizes of all files.
    accepts("size-null", victim(size=None), page={"meta.api-version": "1.0"}),
    accepts("size-absent", without("size"), page={"meta.api-version": "1.0"}),
]
