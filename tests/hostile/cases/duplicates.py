"""Several files with one name, or with one place."""

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
    also,
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


def _first(said: Page) -> None:
    said["files"].insert(0, {**said["files"][-1], "hashes": _EVIL_HASHES, "size": len(_EVIL)})


def _in_the_place_of_metadata(at: int) -> Action:
    def change(said: Page) -> None:
        entry = {
            **said["files"][-1],
            "filename": _METADATA,
            "url": said["files"][-1]["url"] + ".metadata",
            "hashes": _EVIL_HASHES,
            "size": len(_EVIL),
            "core-metadata": False,
        }
        said["files"].insert(at, entry)

    return page(change)


CASES: list[Case] = [
    refuses_file("twice-the-same", also(), _TWICE, files=FILES),
    refuses_file("twice-with-another-hash", also(hashes=_EVIL_HASHES), _TWICE, files=FILES),
    refuses_file(
        "twice-with-another-url", also(url="http://evil.example/x.tar.gz"), _TWICE, files=FILES
    ),
    refuses_file("twice-with-a-bad-url", also(url="file:///etc/passwd"), "https", files=FILES),
    refuses_file("twice-with-no-hash", also(hashes={}), "no hash", files=FILES),
    refuses_file(
        "twice-and-the-first-is-wrong",
        page(_first),
        "",
        held=Expected(says="", files=FILES),
    ),
    refuses_file(
        "a-thousand-times",
        page(lambda said: said["files"].extend([said["files"][1]] * 1000)),
        _TWICE,
        files=FILES,
    ),
    accepts(
        "twice-but-for-case",
        also(filename=SDIST.upper()),
        files=(*FILES, SDIST.upper()),
    ),
    accepts(
        "two-names-for-one-url",
        also(filename="demo-3.0.tar.gz"),
        files=(*FILES, "demo-3.0.tar.gz"),
    ),
    refuses_file(
        "a-file-in-the-place-of-metadata",
        also(
            filename=_METADATA,
            url=lambda good: good.replace(SDIST, _METADATA),
            hashes=_EVIL_HASHES,
            size=len(_EVIL),
        ),
        "",
        on_files=((f"{SDIST}.metadata$", _SERVED),),
        files=FILES,
    ),
    *(
        refuses_file(
            f"a-file-in-the-very-place-of-metadata-{where}",
            _in_the_place_of_metadata(at),
            ".metadata",
            files=FILES,
        )
        for where, at in (("behind", 3), ("before", 0))
    ),
    accepts(
        "a-file-named-as-metadata-elsewhere",
        victim(filename=f"{WHEEL}.metadata", core_metadata=False),
        files=(WHEEL, SDIST, f"{WHEEL}.metadata"),
    ),
]
