"""Filenames that would escape their folder or mislead users, and unusual but harmless ones."""

# ruff: noqa: RUF001 - characters that look like others are the point

from __future__ import annotations

from tests.hostile.case import SDIST, VICTIM, WHEEL, Case, Expected, accepts, refuses_file, victim

_UNSAFE = {
    "empty": ("", "is not a name"),
    "dot": (".", "is not a name"),
    "dot-dot": ("..", "is not a name"),
    "up": ("../demo-2.0.tar.gz", "slash"),
    "up-to-state": ("../../../state/cursor.json", "slash"),
    "up-to-pages": ("../../simple/other/index.html", "slash"),
    "absolute": ("/etc/passwd", "slash"),
    "folder": ("a/demo-2.0.tar.gz", "slash"),
    "slash-at-the-end": ("demo-2.0.tar.gz/", "slash"),
    "backslash": ("..\\demo-2.0.tar.gz", "backslash"),
    "drive-and-backslash": ("C:\\demo-2.0.tar.gz", "backslash"),
    "unc": ("\\\\host\\share\\demo-2.0.tar.gz", "backslash"),
    "nul": ("demo-2.0.tar.gz\0.html", "control character"),
    "newline": ("demo-2.0\n.tar.gz", "control character"),
    "carriage-return": ("demo-2.0.tar.gz\r\nSet-Cookie: a=b", "control character"),
    "tab": ("demo\t-2.0.tar.gz", "control character"),
    "escape-sequence": ("demo-2.0\x1b[2J.tar.gz", "control character"),
    "delete": ("demo-2.0\x7f.tar.gz", "control character"),
    "c1": ("demo-2.0\x85.tar.gz", "control character"),
    "line-separator": ("demo-2.0\u2028.tar.gz", "control character"),
    "right-to-left-override": ("demo-2.0\u202ezg.rat", "control character"),
    "bidi-isolate": ("demo-2.0\u2066.tar.gz", "control character"),
    "zero-width-space": ("demo\u200b-2.0.tar.gz", "control character"),
    "zero-width-joiner": ("demo\u200d-2.0.tar.gz", "control character"),
    "byte-order-mark": ("\ufeffdemo-2.0.tar.gz", "control character"),
    "no-break-space": ("demo\xa0-2.0.tar.gz", "control character"),
    "soft-hyphen": ("de\xadmo-2.0.tar.gz", "control character"),
    "lone-surrogate": ("demo-2.0\ud800.tar.gz", "control character"),
    "unassigned": ("demo-2.0\U000e0fff.tar.gz", "control character"),
    "private-use": ("demo-2.0\ue000.tar.gz", "control character"),
    "overlong-by-one": ("d" * 240 + ".tar.gz", "exceeds 255 bytes"),
    "overlong-in-bytes": ("é" * 120 + ".tar.gz", "exceeds 255 bytes"),
    "overlong-in-emoji": ("😀" * 60 + ".tar.gz", "exceeds 255 bytes"),
    "a-megabyte": ("d" * 1_000_000, "exceeds 255 bytes"),
    "a-page-in-json": ("index.v1_json", "reserved"),
    "a-page-in-html": ("index.html", "reserved"),
    "a-page-in-upper-case": ("INDEX.HTML", "reserved"),
    "a-compressed-page": ("index.v1_json.gz", "reserved"),
    "metadata-of-nothing": ("demo-3.0-py3-none-any.whl.metadata", "reserved"),
    "temporary-file": (".frumious-0123456789abcdef.tmp", "reserved"),
}
_ODD = {
    "as-long-as-it-may-be": "d" * 239 + ".tar.gz",
    "as-long-as-it-may-be-in-bytes": "é" * 119 + "-.tar.gz",
    "percent-encoded-up": "%2e%2e%2fdemo-2.0.tar.gz",
    "percent-encoded-twice": "%252e%252e%252fdemo-2.0.tar.gz",
    "percent-nul": "demo-2.0%00.tar.gz",
    "percent-and-nothing": "demo-2.0%.tar.gz",
    "drive": "C:demo-2.0.tar.gz",
    "alternate-stream": "demo-2.0.tar.gz:evil",
    "three-dots": "...",
    "hidden": ".htaccess",
    "dots-at-the-end": "demo-2.0.tar.gz...",
    "space-at-the-end": "demo-2.0.tar.gz ",
    "space-before": " demo-2.0.tar.gz",
    "query": "demo-2.0.tar.gz?a=b",
    "fragment": "demo-2.0.tar.gz#sha256=00",
    "wildcard": "*",
    "device": "CON",
    "status": "status.json",
    "provenance": "provenance",
    "shell": "$(reboot);`reboot`|demo-2.0.tar.gz",
    "option": "--index-url=evil",
    "unicode": "dèmö-2.0-ß-日本.tar.gz",
    "decomposed": "de\u0301mo-2.0.tar.gz",
    "cyrillic": "dеmo-2.0.tar.gz",
    "no-version": "demo.whl",
    "wrong-wheel": "demo-2.0-what.whl",
    "of-a-later-pep": "demo-2.0-py3-none-any-x8664v3.whl",
}
_NO_TEXT = {
    "null": None,
    "number": 7,
    "list": ["demo-2.0.tar.gz"],
    "bool": True,
    "object": {"a": {"b": 1}},
}

CASES: list[Case] = [
    *(
        refuses_file(
            f"filename-{name}",
            victim(filename=filename),
            reports,
            full=Expected(reports=reports, files=(WHEEL, SDIST)),
        )
        for name, (filename, reports) in _UNSAFE.items()
    ),
    *(
        accepts(
            f"filename-odd-{name}",
            victim(filename=filename, provenance=None),
            files=(WHEEL, SDIST, filename),
            entry={"filename": filename},
        )
        for name, filename in _ODD.items()
    ),
    *(
        refuses_file(
            f"filename-is-{name}",
            victim(filename=filename),
            "`$.filename`",
            full=Expected(reports="`$.filename`", files=(WHEEL, SDIST)),
        )
        for name, filename in _NO_TEXT.items()
    ),
    accepts(
        "filename-of-another-project",  # ignored, as installers do
        victim(filename="other-9.0.tar.gz"),
        files=(WHEEL, SDIST),
    ),
    accepts("filename-as-it-was", victim(filename=VICTIM)),
]
