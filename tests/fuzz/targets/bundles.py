"""Bundles, and what a mirror keeps of them."""

from __future__ import annotations

from typing import Final

import msgspec

from frumious.bundles import catalogue
from frumious.bundles.errors import InvalidBundle, NotExported
from frumious.bundles.manifest import parse_head, parse_line, render_head, render_line
from frumious.bundles.work import Progress
from frumious.model import layout
from frumious.model.page_layout import PageLayout
from frumious.state.bundle_records import Exports, Imported
from frumious.state.objects import LedgerCorrupt, NewerFormat, parse, render
from frumious.storage.protocol import Stored

_LAYOUTS: Final = (PageLayout(), PageLayout(hashed=True, json=False))


def bundle_head(data: bytes) -> None:
    """The head of a bundle."""
    try:
        head = parse_head(data)
    except InvalidBundle:
        return
    assert parse_head(render_head(head)) == head
    assert "/" not in head.name


def bundle_line(data: bytes) -> None:
    """A line of a manifest."""
    for page_layout in _LAYOUTS:
        try:
            line = parse_line(data, page_layout)
        except InvalidBundle:
            continue
        assert parse_line(render_line(line), page_layout) == line
        for each in line.files:
            assert each.key.startswith((layout.FILES, layout.PROVENANCE))
        for each in (*line.files, *line.pages):
            assert not {"", ".", ".."} & {*each.key.split("/")}


def catalogue_line(data: bytes) -> None:
    """A line of what a destination has."""
    for parse_it in (catalogue.parse_head, catalogue.parse_known):
        try:
            parsed = parse_it(data)
        except NotExported:
            continue
        assert parse_it(msgspec.json.encode(parsed)) == parsed


def exports(data: bytes) -> None:
    """The exports of a mirror."""
    try:
        value = parse(layout.EXPORTS, Stored(data, "etag"), Exports)
    except (LedgerCorrupt, NewerFormat):
        return
    assert parse(layout.EXPORTS, Stored(render(value), "etag"), Exports) == value
    value.ids()


def imported(data: bytes) -> None:
    """The last import of a mirror."""
    try:
        value = parse(layout.IMPORT, Stored(data, "etag"), Imported)
    except (LedgerCorrupt, NewerFormat):
        return
    assert parse(layout.IMPORT, Stored(render(value), "etag"), Imported) == value


def export_progress(data: bytes) -> None:
    """How far an export is."""
    try:
        value = msgspec.json.decode(data, type=Progress)
    except (ValueError, RecursionError):
        return
    assert msgspec.json.decode(msgspec.json.encode(value), type=Progress) == value
    assert "/" not in value.name


TARGETS: Final = (bundle_head, bundle_line, catalogue_line, exports, imported, export_progress)
