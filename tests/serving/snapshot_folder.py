"""Create a mirror in a folder that has changed since a snapshot of it was made."""

from __future__ import annotations

from typing import TYPE_CHECKING

from frumious.model import layout
from frumious.model.page_layout import PageLayout
from frumious.model.snapshots import snapshot_key
from tests.serving.folder import write_mirror
from tests.upstream import wheel

if TYPE_CHECKING:
    from pathlib import Path

    from frumious.model.types import Key

CHANGED = wheel("changed", "1.0")
OLD = [CHANGED, wheel("gone", "1.0"), wheel("same", "1.0")]
NEW = [CHANGED, wheel("changed", "2.0"), wheel("same", "1.0"), wheel("new", "1.0")]
FORMS = (layout.HTML, layout.V1_HTML, layout.V1_JSON)
NO_FILES = {
    layout.HTML: b"<!DOCTYPE html><title>Links for new</title>",
    layout.V1_HTML: b"<!DOCTYPE html><title>Links for new</title>",
    layout.V1_JSON: b'{"meta":{"api-version":"1.0"},"name":"new","files":[]}',
}


def write_with_snapshot(folder: Path, *, hash_index: bool) -> dict[str, Key]:
    """Write a mirror with the snapshot `v1.0--before`; return each file's key by its filename."""
    write_mirror(folder, OLD, hash_index=hash_index)
    pages = PageLayout(hashed=hash_index)
    kept: dict[Key, bytes] = {}
    for form in FORMS:
        live = (layout.root_page(form), *(pages.page(name, form) for name in ("changed", "gone")))
        kept |= {snapshot_key("v1.0--before", key): (folder / key).read_bytes() for key in live}
        kept[snapshot_key("v1.0--before", pages.page("new", form))] = NO_FILES[form]
        (folder / pages.page("gone", form)).unlink()
    for variant in folder.glob("web/simple/**/gone/*.gz"):
        variant.unlink()
    keys = write_mirror(folder, NEW, hash_index=hash_index)
    for key, body in kept.items():
        (folder / key).parent.mkdir(parents=True, exist_ok=True)
        (folder / key).write_bytes(body)
    return keys
