"""Files that accompany a distribution: core metadata, provenance, legacy JSON."""

from __future__ import annotations

from dataclasses import replace

from tests.hostile.case import (
    FILES,
    UNNOTICED,
    Body,
    Case,
    Expected,
    InvalidPage,
    UpstreamUnavailable,
    accepts,
    bomb,
    refuses_file,
    victim,
)
from tests.upstream import Action, Chunked, Endless, Gzip, Raw, Redirect, Status, Together

MIB = 1024**2
_METADATA = r"demo-2.0-py3-none-any\.whl\.metadata$"
_PROVENANCE = r"demo-2.0-py3-none-any\.whl/provenance$"

_BAD_METADATA: dict[str, tuple[Action, str]] = {
    "missing": (Status(404), "404"),
    "forbidden": (Status(403), "403"),
    "empty": (Raw(200), "its page announces"),
    "wrong": (Body(lambda good: good[:-1] + b"x"), "its page announces"),
    "longer": (Body(lambda good: good + b"x"), "its page announces"),
    "shorter": (Body(lambda good: good[:-1]), "its page announces"),
    "login-page": (Raw(200, {"Content-Type": "text/html"}, b"<html>login"), "its page announces"),
    "huge": (Raw(200, {"Content-Length": str(10**12)}, b"x"), ""),
    "large": (Raw(200, {}, b"x" * 40 * MIB), ""),
    "without-end": (Together([Chunked(), Endless()]), "more than"),
    "gzip-without-end": (Together([Endless(), Gzip()]), "more than"),
    "gzip-bomb": (
        Raw(200, {"Content-Encoding": "gzip"}, bomb(300)),
        "",
    ),
    "elsewhere": (Redirect("http://169.254.169.254/"), "allowed-hosts"),
}
_BAD_PROVENANCE: dict[str, tuple[Action, str]] = {
    "missing": (Status(404), "does not have it"),
    "gone": (Status(410), "does not have it"),
    "empty": (Raw(200), "JSON"),
    "no-json": (Raw(200, {}, b"<html>login"), "JSON"),
    "list": (Raw(200, {}, b"[]"), "JSON"),
    "null": (Raw(200, {}, b"null"), "JSON"),
    "nested": (Raw(200, {}, b'{"a":' * 100_000), "JSON"),
    "nan": (Raw(200, {}, b'{"a":NaN}'), "JSON"),
    "number-of-5000-digits": (Raw(200, {}, b'{"a":' + b"9" * 5000 + b"}"), "JSON"),
    "no-utf-8": (Raw(200, {}, b'{"a":"\xff"}'), "JSON"),
    "many-values": (Raw(200, {}, b'{"a":[' + b"[]," * 5_000_000 + b"[]]}"), ""),
    "large": (Raw(200, {}, b'{"a":"' + b"x" * 17 * MIB + b'"}'), "more than"),
    "without-end": (Together([Chunked(), Endless()]), "more than"),
    "gzip-bomb": (
        Raw(200, {"Content-Encoding": "gzip"}, bomb(300)),
        "more than",
    ),
    "elsewhere": (Redirect("http://169.254.169.254/"), "allowed-hosts"),
}


def _without_companion(name: str, pattern: str, action: Action, reports: str) -> Case:
    """Expect that the file is mirrored without the companion."""
    return refuses_file(
        name, None, reports, on_files=((pattern, action),), files=FILES, full=UNNOTICED
    )


CASES: list[Case] = [
    *(
        _without_companion(f"metadata-{name}", _METADATA, action, reports)
        for name, (action, reports) in _BAD_METADATA.items()
    ),
    *(
        _without_companion(f"provenance-{name}", _PROVENANCE, action, reports)
        for name, (action, reports) in _BAD_PROVENANCE.items()
    ),
    Case(
        id="metadata-500",
        on_page=None,
        on_files=((_METADATA, Status(500)),),
        empty=Expected(error=UpstreamUnavailable, reports="500"),
        full=UNNOTICED,
    ),
    refuses_file(
        "metadata-of-another-hash",
        victim(core_metadata={"sha256": "ab" * 32}),
        "its page announces",
        files=FILES,
        full=Expected(reports="other bytes than before", files=FILES),
    ),
    accepts("metadata-without-hash", victim(core_metadata=True), entry={"core-metadata": False}),
    accepts(
        "metadata-only-by-its-old-name",
        victim(core_metadata=None, data_dist_info_metadata=True),
        entry={"core-metadata": False},
    ),
    accepts(
        "provenance-elsewhere-on-upstream",
        victim(provenance=lambda good: good.replace("/2.0/", "/%32.0/")),
    ),
    refuses_file(
        "provenance-on-another-host",
        victim(provenance="https://evil.example/integrity/demo/2.0/x/provenance"),
        "evil.example",
        files=FILES,
    ),
    replace(
        refuses_file(
            "legacy-json-no-json",
            None,
            "",
            on_files=(("^/pypi/demo/json$", Raw(200, {}, b"<html>")),),
        ),
        json=True,
        empty=Expected(error=InvalidPage, reports="JSON"),
        full=Expected(error=InvalidPage, reports="JSON"),
    ),
    replace(
        accepts(
            "legacy-json-missing",
            None,
            on_files=(("^/pypi/demo/json$", Status(404)),),
        ),
        json=True,
    ),
    accepts(
        "file-of-no-bytes",
        victim(
            hashes={"sha256": "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
            size=0,
            filename="demo-3.0.tar.gz",
            core_metadata=False,
            provenance=None,
        ),
        on_files=((r"demo-2.0-py3-none-any\.whl$", Raw(200)),),
        files=(*FILES[:2], "demo-3.0.tar.gz"),
    ),
]
