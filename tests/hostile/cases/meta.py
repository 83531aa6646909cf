"""The pages' "meta": versions of the API, serials, and forged manifests."""

# ruff: noqa: RUF001 - characters that look like others are the point

from __future__ import annotations

from typing import Any

from tests.hostile.case import (
    Case,
    Expected,
    Outcome,
    StalePage,
    accepts,
    meta_with,
    page,
    page_with_keys,
    refuses_page,
)

_VERSIONS = {
    "2.0": "2.0",
    "0.9": "0.9",
    "10.0": "10.0",
    "1": "1",
    "1.": "1.",
    "1.x": "1.x",
    "1.4.2": "1.4.2",
    "1.99999": "1.99999",
    "minus": "-1.0",
    "newline": "1.4\n",
    "space": " 1.4",
    "wide": "１.４",
    "markup": '1.4"><script>alert(1)</script>',
    "empty": "",
    "number": 1.4,
    "int": 1,
    "null": None,
    "list": ["1.4"],
    "bool": True,
}
_SERIALS = {
    "negative": -1,
    "negative-text": "-1",
    "float": 7.5,
    "whole-float": 4e7,
    "bool": True,
    "empty": "",
    "word": "latest",
    "list": [7],
    "object": {},
    "wide-digits": "７",
    "superscript": "²",
    "signed": "+7",
    "underscore": "1_000_000_000",
    "beyond-64-bits": 2**64,
    "beyond-64-bits-as-text": str(2**64),
    "5000-digits-as-text": "9" * 5000,
    "4000-digits": 10**4000,
    "megabyte-as-text": "9" * 1_000_000,
}
_OTHERS = ["web/simple/other/index.html", "web/simple/other/index.v1_json"]
_FORGED: dict[str, Any] = {
    "null": None,
    "text": "run-1",
    "number": 7,
    "list": [],
    "empty": {},
    "wrong-kinds": {"run": 7, "selection": [], "added": {}, "removed": 7, "refused": []},
    "removes-other": {"run": "run-1", "selection": "x", "removed": _OTHERS},
    "removes-state": {
        "run": "run-1",
        "selection": "x",
        "removed": ["state/cursor.json", "status", "generation"],
    },
    "removes-up": {"run": "x", "selection": "x", "removed": ["../../x", "/", "", "web/../x"]},
    "adds": {"run": "x", "selection": "x", "added": ["web/packages/x", *_OTHERS]},
    "refuses": {"run": "x", "selection": "x", "refused": {"demo-1.0.tar.gz": "because"}},
    "huge": {"run": "x" * 100_000, "selection": "x", "removed": ["x"] * 10_000},
    "nested": {"_frumious": {"_frumious": {"removed": _OTHERS}}},
}


def _serial(payload: dict[str, Any]) -> int:
    serial: int = payload["meta"]["_last-serial"]
    return serial


CASES: list[Case] = [
    *(
        refuses_page(
            f"api-version-{name}", meta_with({"api-version": version}), reports="API version"
        )
        for name, version in _VERSIONS.items()
    ),
    refuses_page(
        "api-version-absent",
        page(lambda payload: payload["meta"].clear()),
        reports="API version is None",
    ),
    *(
        accepts(
            f"api-version-{version}",
            meta_with({"api-version": version}),
            page={"meta.api-version": shown},
        )
        for version, shown in (("1.0", "1.0"), ("1.04", "1.4"), ("1.5", "1.4"), ("1.999", "1.4"))
    ),
    *(
        refuses_page(f"serial-{name}", meta_with({"_last-serial": serial}), reports="_last-serial")
        for name, serial in _SERIALS.items()
    ),
    accepts("serial-null", meta_with({"_last-serial": None})),
    accepts("serial-absent", page(lambda payload: payload["meta"].pop("_last-serial"))),
    Case(
        id="serial-that-goes-backwards",
        on_page=meta_with({"_last-serial": 1}),
        empty=Expected(page={"meta._last-serial": 1}),
        full=Expected(error=StalePage, reports="a cache is stale"),
    ),
    accepts(
        "serial-as-text-with-zeros",
        page(lambda payload: payload["meta"].update({"_last-serial": f"0{_serial(payload)}"})),
    ),
    *(
        accepts(
            f"forged-manifest-{name}", meta_with({"_frumious": forged}), outcome=Outcome.UPDATED
        )
        for name, forged in _FORGED.items()
    ),
    *(
        accepts(
            f"forged-manifest-outside-of-meta-{name}",
            page_with_keys({"_frumious": forged}),
            page={"_frumious": forged},
        )
        for name, forged in _FORGED.items()
        if name.startswith("removes")
    ),
    accepts(
        "forged-manifest-in-a-file",
        page(lambda payload: payload["files"][-1].update(_frumious={"removed": _OTHERS})),
        entry={"_frumious.removed": _OTHERS},
    ),
    accepts(
        "meta-unknown-keys-of-all-kinds",
        meta_with({"tracks": ["javascript:alert(1)"], "x": {"<": [None, 1.5, True]}}),
        page={"meta.x": {"<": [None, 1.5, True]}},
    ),
]
