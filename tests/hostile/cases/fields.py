"""Other fields than names, URLs and hashes, with types that the PEPs do not allow."""

from __future__ import annotations

from typing import Any

from tests.hostile.case import (
    Case,
    accepts,
    extra_entry,
    page_with,
    refuses_file,
    refuses_page,
    victim,
)

_REFUSED: dict[str, tuple[str, Any]] = {
    "requires-python-number": ("requires-python", 3),
    "requires-python-list": ("requires-python", [">=3"]),
    "requires-python-bool": ("requires-python", True),
    "yanked-number": ("yanked", 1),
    "yanked-list": ("yanked", ["bad"]),
    "yanked-object": ("yanked", {"reason": "bad"}),
    "upload-time-number": ("upload-time", 1700000000),
    "upload-time-object": ("upload-time", {}),
    "gpg-sig-text": ("gpg-sig", "true"),
    "gpg-sig-number": ("gpg-sig", 1),
    "gpg-sig-surrogate": ("gpg-sig", "\ud800"),
    "core-metadata-text": ("core-metadata", "true"),
    "core-metadata-number": ("core-metadata", 1),
    "core-metadata-surrogate": ("core-metadata", "\ud800"),
    "core-metadata-list": ("core-metadata", ["sha256"]),
    "core-metadata-no-hex": ("core-metadata", {"sha256": "no"}),
    "core-metadata-unknown-hash": ("core-metadata", {"crc": "00"}),
    "core-metadata-null-digest": ("core-metadata", {"sha256": None}),
    "provenance-number": ("provenance", 7),
    "provenance-bool": ("provenance", True),
    "provenance-object": ("provenance", {"url": "https://evil.example/"}),
    "provenance-javascript": ("provenance", "javascript:alert(1)"),
    "provenance-file": ("provenance", "file:///etc/passwd"),
    "provenance-user": ("provenance", "http://user@127.0.0.1/provenance"),
    "provenance-broken": ("provenance", "http://[::1/provenance"),
}
_MIRRORED: dict[str, tuple[str, Any]] = {
    "requires-python-nonsense": ("requires-python", "&&& python, please"),
    "requires-python-nul": ("requires-python", "\0>=3"),
    "requires-python-long": ("requires-python", ">=3," * 100_000),
    "upload-time-nonsense": ("upload-time", "the day before yesterday"),
    "upload-time-long-ago": ("upload-time", "-0001-99-99T99:99:99Z"),
    "yanked-long": ("yanked", "because " * 100_000),
    "yanked-newlines": ("yanked", "a\r\nSet-Cookie: b\r\n\r\n"),
    "yanked-surrogate": ("yanked", "\ud83d"),
    "yanked-bidi": ("yanked", "\u202egnihton"),
    "unknown-key-null": ("x-unknown", None),
    "unknown-key-nested": ("x-unknown", {"a": [{"b": [1.5, None, True, "<"]}]}),
}
_PAGE_REFUSED: dict[str, dict[str, Any]] = {
    "status-text": {"project-status": "archived"},
    "status-list": {"project-status": ["archived"]},
    "status-number": {"project-status": 7},
    "status-surrogate": {"project-status": "\ud800"},
    "status-status-number": {"project-status": {"status": 7}},
    "status-status-null": {"project-status": {"status": None}},
    "status-status-list": {"project-status": {"status": ["quarantined"]}},
    "status-reason-number": {"project-status": {"status": "archived", "reason": 7}},
    "status-reason-object": {"project-status": {"status": "archived", "reason": {}}},
    "versions-text": {"versions": "1.0"},
    "versions-object": {"versions": {"1.0": []}},
    "versions-number": {"versions": 1},
    "versions-of-numbers": {"versions": [1.0, 2.0]},
    "versions-of-lists": {"versions": [["1.0"]]},
}
_PAGE_MIRRORED: dict[str, dict[str, Any]] = {
    "status-unknown": {"project-status": {"status": "abandoned"}},
    "status-upper-case": {"project-status": {"status": "QUARANTINED"}},
    "status-almost": {"project-status": {"status": "quarantined "}},
    "status-empty-text": {"project-status": {"status": ""}},
    "status-more": {"project-status": {"status": "archived", "reason": None, "x": [1]}},
    "versions-nonsense": {"versions": ["", "not a version", "1.0\0", "../..", "1" * 100_000]},
    "versions-none": {"versions": []},
    "versions-twice": {"versions": ["1.0", "1.0", "1.0.0", "v1"]},
    "versions-surrogate": {"versions": ["\ud800"]},
    "alternate-locations-javascript": {"alternate-locations": ["javascript:alert(1)"]},
}
_NO_FILES: dict[str, object] = {
    "null": None,
    "text": "demo-2.0.tar.gz",
    "number": 7,
    "list": ["demo-2.0.tar.gz"],
    "true": True,
    "nested": [[[[]]]],
    "megabyte": "x" * 1_000_000,
}


def _shown(changes: dict[str, Any]) -> dict[str, Any]:
    ((key, value),) = changes.items()
    if key == "project-status":
        return {f"{key}.{name}": item for name, item in value.items() if item is not None}
    return changes


CASES: list[Case] = [
    *(
        refuses_file(f"field-{name}", victim(**{key: value}), "")
        for name, (key, value) in _REFUSED.items()
    ),
    *(
        accepts(f"field-{name}", victim(**{key: value}), entry={key: value})
        for name, (key, value) in _MIRRORED.items()
    ),
    accepts("field-core-metadata-empty", victim(core_metadata={}), entry={"core-metadata": False}),
    *(
        refuses_page(f"page-{name}", page_with(**changes), reports=" is ")
        for name, changes in _PAGE_REFUSED.items()
    ),
    *(
        accepts(f"page-{name}", page_with(**changes), page=_shown(changes))
        for name, changes in _PAGE_MIRRORED.items()
    ),
    *(
        refuses_file(
            f"file-is-{name}",
            extra_entry(entry),
            "is not an object",
            files=("demo-1.0-py3-none-any.whl", "demo-1.0.tar.gz", "demo-2.0-py3-none-any.whl"),
        )
        for name, entry in _NO_FILES.items()
    ),
]
