"""The snapshots of the index, and the pages that they keep."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from frumious.config import loading
from frumious.model.layout import UnsafeName
from frumious.model.snapshots import (
    KEPT_PAGES,
    SNAPSHOT_PAGES,
    SNAPSHOTS,
    KeptPage,
    Snapshots,
    kept_page_key,
)
from frumious.selection.kept_pages import shown_page, shown_pages
from frumious.simple import kept_page as kept_pages
from frumious.simple.values import InvalidPage
from tests.fuzz.targets.checks import PROJECT, check_key, read_back

if TYPE_CHECKING:
    from frumious.model.types import Key

_CONFIG: Final = loading.parse("[mirror]\nmaster = https://pypi.example\ndirectory = /x\n", {})


def snapshots(data: bytes) -> None:
    """Which snapshots there are."""
    value = read_back(SNAPSHOTS, data, Snapshots)
    if value is not None:
        for name in value.active:
            check_key(kept_page_key(name, PROJECT), KEPT_PAGES)


def kept_page(data: bytes) -> None:
    """The page that a snapshot keeps: what is withheld is on no page that readers get."""
    value = read_back(kept_page_key("monday", PROJECT), data, KeptPage)
    if value is None:
        return
    try:
        page = kept_pages.parse("monday", PROJECT, value)
    except (InvalidPage, UnsafeName):
        return
    keys: frozenset[Key] = kept_pages.shown_keys("monday", PROJECT, value)
    shown = shown_page(PROJECT, page, value.withheld)
    assert not {file.filename for file in shown.files} & {*value.withheld}
    for key in keys:
        check_key(key, "web/packages/", "web/integrity/")
    for key, body in shown_pages("monday", PROJECT, page, value.withheld, _CONFIG):
        check_key(key, SNAPSHOT_PAGES)
        assert body


TARGETS = (snapshots, kept_page)
