"""Bodies that are not project pages: not JSON, too much JSON, JSON of something else."""

# ruff: noqa: RUF001 - characters that look like others are the point

from __future__ import annotations

import gzip
import json
from typing import TYPE_CHECKING

from tests.hostile.case import (
    JSON,
    Body,
    Case,
    Expected,
    InvalidPage,
    MassLoss,
    TooLarge,
    UpstreamUnavailable,
    accepts,
    bomb,
    json_page,
    page_with_keys,
    refuses_page,
)
from tests.upstream import Chunked, Endless, Gzip, Raw, Together

if TYPE_CHECKING:
    from collections.abc import Callable

MIB = 1024**2
_NESTED = '{"meta":{"api-version":"1.4"},"name":"demo","files":[],"x":%s}'


def _deep(depth: int) -> str:
    return _NESTED % ("[" * depth + "]" * depth)


def _inserted(text: str) -> Callable[[bytes], bytes]:
    """Insert keys before all others."""
    return lambda good: b"{" + text.encode("utf-8", "surrogatepass") + b"," + good[1:]


_NO_PAGES = {
    "empty": ("", "not JSON"),
    "space": ("   \n", "not JSON"),
    "nul": ("\0" * 100, "not JSON"),
    "word": ("OK", "not JSON"),
    "null": ("null", "not a JSON object"),
    "list": ("[]", "not a JSON object"),
    "text": ('"demo"', "not a JSON object"),
    "number": ("7", "not a JSON object"),
    "true": ("true", "not a JSON object"),
    "empty-object": ("{}", "required field `meta`"),
    "html-as-json": ("<!DOCTYPE html><html></html>", "not JSON"),
    "xml": ("<?xml version='1.0'?><methodResponse/>", "not JSON"),
    "yaml": ("meta:\n  api-version: 1.4\n", "not JSON"),
    "single-quotes": ("{'meta': {}}", "not JSON"),
    "comment": ("{} // demo", "not JSON"),
    "two-objects": ("{}{}", "not JSON"),
    "unclosed": ("{", "not JSON"),
    "many-open": ("[" * 100_000, "not JSON"),
    "many-open-objects": ('{"a":' * 100_000, "not JSON"),
    "nested-100000": (_deep(100_000), ""),
    "nested-5000": (_deep(5_000), ""),
    "nested-900": (_deep(900), "nested"),
    "nested-500": (_deep(500), "nested"),
    "nan": (_NESTED % "NaN", "NaN"),
    "infinity": (_NESTED % "Infinity", "Infinity"),
    "negative-infinity": (_NESTED % "-Infinity", "-Infinity"),
    "float-beyond-all": (_NESTED % "1e999", "1e999"),
    "number-of-5000-digits": (_NESTED % ("9" * 5000), "not JSON"),
    "number-of-a-megabyte": (_NESTED % ("9" * MIB), "not JSON"),
    "float-of-a-megabyte": (_NESTED % ("9" * MIB + ".0"), "exceeds"),
    "hex-number": (_NESTED % "0x10", "not JSON"),
    "leading-zero": (_NESTED % "007", "not JSON"),
    "control-character-in-text": (_NESTED % '"a\nb"', "not JSON"),
    "bad-escape": (_NESTED % r'"\x41"', "not JSON"),
    "five-million-lists": (_NESTED % ("[" + "[]," * 5_000_000 + "[]]"), "values"),
    "seven-million-numbers": (_NESTED % ("[" + "0," * 7_000_000 + "0]"), "values"),
    "four-million-texts": (_NESTED % ("[" + '"",' * 4_500_000 + '""]'), "values"),
}
_WRONG_KINDS: dict[str, dict[str, object]] = {
    "meta-null": {"meta": None},
    "meta-list": {"meta": []},
    "meta-text": {"meta": "1.4"},
    "files-null": {"files": None},
    "files-object": {"files": {}},
    "files-text": {"files": "demo-1.0.tar.gz"},
    "files-number": {"files": 3},
    "name-null": {"name": None},
    "name-number": {"name": 7},
    "name-list": {"name": ["demo"]},
}
_NAMES = {
    "other": "other",
    "longer": "demo2",
    "empty": "",
    "dot": ".",
    "path": "../demo",
    "markup": "<script>alert(1)</script>",
    "space": "demo ",
    "newline": "demo\n",
    "nul": "demo\0",
    "wide": "ｄｅｍｏ",
    "cyrillic": "dеmo",
    "kelvin": "\u212a",
    "megabyte": "demo" * 250_000,
}
_SAME_NAMES = ["Demo", "DEMO"]

CASES: list[Case] = [
    *(
        refuses_page(f"body-{name}", json_page(body), reports=reports)
        for name, (body, reports) in _NO_PAGES.items()
    ),
    *(
        refuses_page(f"body-{name}", page_with_keys(change), reports="Expected `")
        for name, change in _WRONG_KINDS.items()
    ),
    *(
        refuses_page(f"name-{name}", page_with_keys({"name": name_}), reports="not of 'demo'")
        for name, name_ in _NAMES.items()
    ),
    *(
        accepts(
            f"name-spelt-{name}",
            page_with_keys({"name": name}),
            page={"name": name},
        )
        for name in _SAME_NAMES
    ),
    refuses_page(
        "body-truncated-json", Body(lambda good: good[: len(good) // 2]), reports="not JSON"
    ),
    refuses_page("body-truncated-by-one", Body(lambda good: good[:-1]), reports="not JSON"),
    refuses_page("body-garbage-behind", Body(lambda good: good + b"garbage"), reports="not JSON"),
    refuses_page("body-garbage-before", Body(lambda good: b")]}'\n" + good), reports="not JSON"),
    refuses_page("body-nul-behind", Body(lambda good: good + b"\0"), reports="not JSON"),
    refuses_page("body-twice", Body(lambda good: good + good), reports="not JSON"),
    refuses_page("body-no-utf-8", Body(lambda good: good + b"\xff"), reports="not JSON"),
    refuses_page("body-latin-1", Body(lambda good: b'{"a":"\xe9",' + good[1:]), reports="not JSON"),
    accepts("body-byte-order-mark", Body(lambda good: b"\xef\xbb\xbf" + good)),
    accepts("body-utf-16", Body(lambda good: good.decode().encode("utf-16"))),
    accepts("body-utf-32", Body(lambda good: good.decode().encode("utf-32"))),
    accepts("body-space-around", Body(lambda good: b"\n " * 1000 + good + b" \n" * 1000)),
    accepts("body-key-twice", Body(_inserted('"files":[7],"name":"other","meta":7'))),
    accepts("body-empty-key", Body(_inserted('"":""')), page={"": ""}),
    accepts("body-key-of-python", Body(_inserted('"__class__":1')), page={"__class__": 1}),
    accepts(
        "body-lone-surrogate-escaped",
        Body(_inserted(r'"a":"\ud800"')),
        page={"a": "\ud800"},
    ),
    accepts("body-lone-surrogate-raw", Body(_inserted('"a":"\ud800"')), page={"a": "\ud800"}),
    accepts("body-nul-escaped", Body(_inserted(r'"a":"\u0000"')), page={"a": "\0"}),
    accepts("body-large-number", Body(_inserted(f'"a":{10**4000}')), page={"a": 10**4000}),
    accepts("body-small-number", Body(_inserted('"a":1e-999')), page={"a": 0.0}),
    accepts("body-giant-text", Body(_inserted('"a":"' + "a" * 8 * MIB + '"'))),
    accepts("body-giant-key", Body(_inserted('"' + "a" * 8 * MIB + '":0'))),
    accepts(
        "body-many-keys", Body(_inserted(",".join(f'"k{number}":0' for number in range(200_000))))
    ),
    accepts("body-nested-a-little", Body(_inserted('"a":' + "[" * 30 + "]" * 30))),
    refuses_page(
        "body-another-project-s",
        json_page(json.dumps({"meta": {"api-version": "1.4"}, "name": "other", "files": []})),
        reports="'other'",
    ),
    refuses_page(
        "body-root-index",
        json_page('{"meta":{"api-version":"1.4"},"projects":[{"name":"demo"}]}'),
        reports="required field `name`",
    ),
    refuses_page("body-without-end", Together([Endless(), Chunked()]), TooLarge, "bytes"),
    refuses_page("body-gzip-without-end", Together([Endless(), Gzip()]), TooLarge, "bytes"),
    refuses_page(
        "body-gzip-bomb",
        Raw(200, {**JSON, "Content-Encoding": "gzip"}, bomb(600)),
        TooLarge,
        "bytes",
    ),
    refuses_page(
        "body-deflate-bomb",
        Raw(200, {**JSON, "Content-Encoding": "deflate"}, bomb(600, "deflate")),
        TooLarge,
        "bytes",
    ),
    refuses_page(
        "body-gzip-in-gzip",
        Raw(200, {**JSON, "Content-Encoding": "gzip"}, gzip.compress(gzip.compress(b"{}"))),
        InvalidPage,
        "not JSON",
    ),
    refuses_page(
        "body-gzip-that-is-none",
        Raw(200, {**JSON, "Content-Encoding": "gzip"}, b'{"meta":{}}'),
        UpstreamUnavailable,
        "",
    ),
    refuses_page(
        "body-gzip-cut-off",
        Body(lambda good: gzip.compress(good)[:-20], {"Content-Encoding": "gzip"}),
        reports="not JSON",
    ),
    accepts(
        "body-with-an-unknown-encoding",
        Body(lambda good: good, {"Content-Encoding": "aes128gcm"}),
    ),
    Case(
        id="body-100000-empty-files",
        on_page=json_page(_NESTED.replace("[]", "[" + ",".join(["{}"] * 100_000) + "]") % "0"),
        empty=Expected(files=(), reports="required field `filename`"),
        full=Expected(error=MassLoss, reports="3 of 3"),
    ),
]
