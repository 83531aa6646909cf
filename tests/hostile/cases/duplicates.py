"""Several files with one name or one path."""

from __future__ import annotations

import hashlib

from tests.hostile.case import (
    FILES,
    SDIST,
    VICTIM,
    WHEEL,
    Case,
    Expected,
    Page,
    accepts,
    extra_file,
    page,
    refuses_file,
    victim,
)
from tests.upstream import Action, Raw

_EVIL = b"evil"
_EVIL_HASHES = {"sha256": hashlib.sha256(_EVIL).hexdigest()}
_SERVED = Raw(200, {"Content-Type": "application/octet-stream"}, _EVIL)
_METADATA = f"{VICTIM}.metadata"
_TWICE = "more than once"


def _first(payload: Page) -> None:
    payload["files"].insert(0, {**payload["files"][-1], "hashes": _EVIL_HASHES, "size": len(_EVIL)})


def _at_the_path_of_metadata(at: int) -> Action:
    def change(payload: Page) -> None:
        entry = {
            **payload["files"][-1],
            "filename": _METADATA,
            "url": payload["files"][-1]["url"] + ".metadata",
            "hashes": _EVIL_HASHES,
            "size": len(_EVIL),
            "core-metadata": False,
        }
        payload["files"].insert(at, entry)

    return page(change)


CASES: list[Case] = [
    refuses_file("twice-the-same", extra_file(), _TWICE, files=FILES),
    refuses_file("twice-with-another-hash", extra_file(hashes=_EVIL_HASHES), _TWICE, files=FILES),
    refuses_file(
        "twice-with-another-url",
        extra_file(url="http://evil.example/x.tar.gz"),
        _TWICE,
        files=FILES,
    ),
    refuses_file(
        "twice-with-a-bad-url", extra_file(url="file:///etc/passwd"), "https", files=FILES
    ),
    refuses_file("twice-with-no-hash", extra_file(hashes={}), "no hash", files=FILES),
    refuses_file(
        "twice-and-the-first-is-wrong",
        page(_first),
        "",
        full=Expected(reports="", files=FILES),
    ),
    refuses_file(
        "a-thousand-times",
        page(lambda payload: payload["files"].extend([payload["files"][1]] * 1000)),
        _TWICE,
        files=FILES,
    ),
    accepts(
        "twice-but-for-case",
        extra_file(filename=SDIST.upper()),
        files=(*FILES, SDIST.upper()),
    ),
    accepts(
        "two-names-for-one-url",
        extra_file(filename="demo-3.0.tar.gz"),
        files=(*FILES, "demo-3.0.tar.gz"),
    ),
    refuses_file(
        "a-file-at-the-path-of-metadata",
        extra_file(
            filename=_METADATA,
            url=lambda good: good.replace(SDIST, _METADATA),
            hashes=_EVIL_HASHES,
            size=len(_EVIL),
        ),
        "reserved",
        on_files=((f"{SDIST}.metadata$", _SERVED),),
        files=FILES,
    ),
    *(
        refuses_file(
            f"a-file-at-the-same-path-as-metadata-{position}",
            _at_the_path_of_metadata(at),
            "reserved",
            files=FILES,
        )
        for position, at in (("after", 3), ("before", 0))
    ),
    refuses_file(
        "a-file-named-as-metadata-elsewhere",
        victim(filename=f"{WHEEL}.metadata", core_metadata=False),
        "reserved",
        full=Expected(reports="reserved", files=(WHEEL, SDIST)),
    ),
]
