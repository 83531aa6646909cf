"""Pages that refer to another project's files."""

from __future__ import annotations

import hashlib

from tests.hostile.case import (
    FILES,
    JSON,
    SDIST,
    WHEEL,
    Case,
    Expected,
    InvalidPage,
    accepts,
    refuses_file,
    victim,
)
from tests.upstream import Raw, wheel

_OTHER = wheel("other", "1.0")
_BLAKE = hashlib.blake2b(_OTHER.content, digest_size=32).hexdigest()
_PATH = f"/packages/{_BLAKE[:2]}/{_BLAKE[2:4]}/{_BLAKE[4:]}/{_OTHER.filename}"
_EVIL = b"evil"
_EVIL_HASHES = {"sha256": hashlib.sha256(_EVIL).hexdigest()}
_SERVED = Raw(200, {"Content-Type": "application/octet-stream"}, _EVIL)
_LEGACY_JSON = {
    "another": b'{"info":{"name":"other"}}',
    "nobody": b'{"info":{}}',
    "a-number": b'{"info":{"name":7}}',
    "no-project": b'{"releases":{}}',
}

CASES: list[Case] = [
    accepts(
        "other-s-path-with-other-bytes",
        victim(
            filename=_OTHER.filename,
            url=lambda good: good.partition("/packages/")[0] + _PATH,
            hashes=_EVIL_HASHES,
            size=len(_EVIL),
            core_metadata=False,
            provenance=None,
        ),
        on_files=((f"{_OTHER.filename}$", _SERVED),),
        files=(WHEEL, SDIST),
    ),
    accepts(
        "other-s-file-named-and-dropped",
        victim(
            filename=_OTHER.filename,
            url=lambda good: good.partition("/packages/")[0] + _PATH,
            hashes={"sha256": hashlib.sha256(_OTHER.content).hexdigest()},
            size=len(_OTHER.content),
            core_metadata=False,
            provenance=None,
        ),
        files=(WHEEL, SDIST),
    ),
    refuses_file(
        "provenance-of-another",
        victim(
            provenance=lambda good: (
                good.partition("/integrity/")[0]
                + f"/integrity/other/1.0/{_OTHER.filename}/provenance"
            )
        ),
        "is not the URL of a file's provenance",
        files=FILES,
    ),
    refuses_file(
        "provenance-that-leads-up",
        victim(
            provenance=lambda good: (
                good.partition("/integrity/")[0] + f"/integrity/demo/%2e%2e/{FILES[-1]}/provenance"
            )
        ),
        "is not a name",
    ),
    refuses_file(
        "provenance-that-leads-far-up",
        victim(
            provenance=lambda good: (
                good.partition("/integrity/")[0]
                + f"/integrity/..%2f..%2f..%2fstate/{FILES[-1]}/provenance"
            )
        ),
        "",
        files=FILES,
        full=Expected(reports="", files=FILES),
    ),
    *(
        Case(
            id=f"legacy-json-of-{name}",
            on_files=(("^/pypi/demo/json$", Raw(200, JSON, body)),),
            empty=Expected(error=InvalidPage, reports="legacy JSON of 'demo'"),
            full=Expected(error=InvalidPage, reports="legacy JSON of 'demo'"),
            json=True,
        )
        for name, body in _LEGACY_JSON.items()
    ),
]
