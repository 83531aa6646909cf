"""Damages at random: each changes the mirror, and says what an audit has to name."""

from __future__ import annotations

import gzip
import json
import zlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from random import Random

    from tests.frumious.auditing.mirrors import AuditedMirror

MANIFESTS: Final = "state/simple/"  # JSON pages of a mirror that shows HTML alone
ROOT: Final = ("web/simple/index.", "web/gzip/simple/index.", MANIFESTS + "index.")
SHARDS: Final = "web/simple-shards/"
LEGACY: Final = ("web/json/", "web/pypi/")
STATE: Final = ("state/cursor.json", "state/lagging.json", "state/selection.json")


@dataclass(slots=True)
class Damaged:
    """A mirror, what it stored before, and what was done to it."""

    mirror: AuditedMirror
    random: Random
    old: Mapping[str, bytes]  # by key, before the last change upstream
    new: Mapping[str, bytes]  # as it should be
    done: list[tuple[str, str]] = field(default_factory=list)  # kinds of damage, and keys
    touched: set[str] = field(default_factory=set)

    def choose(self, *beginnings: str, of: Callable[[str], bool] | None = None) -> str | None:
        """Choose an object that is not damaged yet."""
        keys = [
            key
            for key in sorted(self.new)
            if key.startswith(beginnings or ("web/", MANIFESTS))
            and key not in self.touched
            and (of is None or of(key))
        ]
        if not keys:
            return None
        key = self.random.choice(keys)
        self.touched.add(key)
        return key

    def note(self, kind: str, key: str) -> None:
        self.done.append((kind, key))


def is_audited(key: str) -> bool:
    """Return whether an audit compares an object with something."""
    folders = ("web/packages/", "web/integrity/", "web/simple/", "web/gzip/", MANIFESTS, SHARDS)
    return key.startswith((*folders, *LEGACY)) and "/versions/" not in key


def has_variant(damaged: Damaged, key: str) -> bool:
    """Return whether a compressed variant shows what a JSON page should be."""
    return {f"{key}.gz", key.replace("web/simple/", "web/gzip/simple/")} - {key} & {
        *damaged.new
    } != set()


def delete(damaged: Damaged) -> None:
    if key := damaged.choose(of=is_audited):
        damaged.mirror.delete(key)
        damaged.note("deleted", key)


def truncate(damaged: Damaged) -> None:
    key = damaged.choose(of=lambda key: is_audited(key) and bool(damaged.new[key]))
    if key:
        body = damaged.new[key]
        damaged.mirror.write(key, body[: damaged.random.randrange(len(body))])
        damaged.note("truncated", key)


def flip(damaged: Damaged) -> None:
    """Flip a bit, where anything says what the bytes should be."""

    def is_known(key: str) -> bool:
        if not is_audited(key) or key.startswith("web/integrity/") or not damaged.new[key]:
            return False
        if key.startswith(SHARDS):
            return True
        return not key.endswith("json") or key.startswith(LEGACY) or has_variant(damaged, key)

    if key := damaged.choose(of=is_known):
        body = bytearray(damaged.new[key])
        body[damaged.random.randrange(len(body))] ^= 1 << damaged.random.randrange(8)
        damaged.mirror.write(key, bytes(body))
        if not _is_same(damaged.new[key], bytes(body)) and not _is_private(key, damaged, body):
            damaged.note("flipped", key)


def rename(damaged: Damaged) -> None:
    if key := damaged.choose("web/packages/"):
        damaged.mirror.write(f"{key}.bak", damaged.new[key])
        damaged.mirror.delete(key)
        damaged.note("renamed", key)


def swap(damaged: Damaged) -> None:
    """Exchange two files."""
    first, second = damaged.choose("web/packages/"), damaged.choose("web/packages/")
    if first and second and damaged.new[first] != damaged.new[second]:
        damaged.mirror.write(first, damaged.new[second])
        damaged.mirror.write(second, damaged.new[first])
        damaged.note("exchanged", first)
        damaged.note("exchanged", second)


def put_back(damaged: Damaged) -> None:
    """Put an older page back."""

    def is_older(key: str) -> bool:
        if key.endswith("v1_json") and not has_variant(damaged, key):
            return False
        return is_audited(key) and damaged.old.get(key, damaged.new[key]) != damaged.new[key]

    if key := damaged.choose("web/simple/", "web/gzip/", SHARDS, *LEGACY, of=is_older):
        damaged.mirror.write(key, damaged.old[key])
        damaged.note("put back", key)


def put_project_back(damaged: Damaged) -> None:
    """Put all older pages of a project back, as from a backup."""
    changed = {
        key.split("/")[-2]
        for key in damaged.old
        if key.startswith("web/simple/")
        and not key.startswith(ROOT)
        and key.endswith("index.v1_json")
        and key in damaged.new
        and damaged.old[key] != damaged.new[key]
    }
    projects = sorted(changed)
    if not projects:
        return
    project = damaged.random.choice(projects)
    keys = [
        key
        for key in damaged.old
        if f"/{project}/index." in key and key.startswith(("web/", "state/simple/"))
    ]
    if not damaged.touched.isdisjoint(keys):
        return
    damaged.touched.update(keys)
    for key in keys:
        damaged.mirror.write(key, damaged.old[key])
    damaged.note("older project", project)


def put_root_back(damaged: Damaged) -> None:
    """Put the older root index back."""
    keys = [key for key in damaged.old if key.startswith(ROOT)]
    if not damaged.touched.isdisjoint(keys):
        return
    if any(damaged.old[key] != damaged.new.get(key) for key in keys if key.endswith("json")):
        damaged.touched.update(keys)
        for key in keys:
            damaged.mirror.write(key, damaged.old[key])
        damaged.note("older root index", "web/simple/index.v1_json")


def delete_project(damaged: Damaged) -> None:
    """Delete all pages of a project."""
    projects = sorted(
        {
            key.split("/")[-2]
            for key in damaged.new
            if key.endswith("index.v1_json") and not key.startswith(ROOT)
        }
    )
    project = damaged.random.choice(projects)
    keys = [key for key in damaged.new if f"/{project}/index." in key and "gzip" not in key]
    keys += [key for key in damaged.new if f"/simple/{project}/index." in key and "gzip" in key]
    keys += [key for key in damaged.new if key.startswith(ROOT)]  # it alone knows of the project
    if not damaged.touched.isdisjoint(keys):
        return
    damaged.touched.update(keys)
    damaged.mirror.delete(*(key for key in keys if not key.startswith(ROOT)))
    damaged.note("pages deleted", project)


def add_orphan(damaged: Damaged) -> None:
    if key := damaged.choose("web/packages/"):
        damaged.touched.discard(key)
        orphan = f"{key.rpartition('/')[0]}/orphan-{damaged.random.randrange(10**6)}.tar.gz"
        damaged.mirror.write(orphan, b"orphan")
        damaged.note("orphan", orphan)


def add_junk(damaged: Damaged) -> None:
    key = damaged.random.choice(["todo", "web/robots.txt", "web/junk/page.html"])
    if key not in damaged.touched:
        damaged.touched.add(key)
        damaged.mirror.write(key, b"junk")
        damaged.note("junk", key)


def damage_state(damaged: Damaged) -> None:
    """Write junk over state, or into its folder."""
    others = ("state/audit.json", "state/removed/junk.json", "state/audit/junk", "state/junk.json")
    key = damaged.random.choice([*STATE, *others])
    if key not in damaged.touched:
        damaged.touched.add(key)
        damaged.mirror.write(key, damaged.random.choice([b"", b"{", b"[]", b"\0\xff", b"null"]))
        if key in STATE:
            damaged.note("state", key)


DAMAGES: Final = {
    delete: 6,
    truncate: 6,
    flip: 8,
    rename: 2,
    swap: 2,
    put_back: 3,
    put_project_back: 2,
    put_root_back: 1,
    delete_project: 1,
    add_orphan: 2,
    add_junk: 2,
    damage_state: 1,
}


def _is_private(key: str, damaged: Damaged, flipped: bytearray) -> bool:
    """Return whether the bit is in the root index's private part, which a finalizer writes anew."""
    if not key.startswith(ROOT) or not key.endswith("v1_json"):
        return False
    try:
        before, after = json.loads(damaged.new[key]), json.loads(flipped)
        before["meta"].pop("_frumious")
        after["meta"].pop("_frumious")
    except (ValueError, LookupError, TypeError, AttributeError):
        return False
    return bool(before == after)


def _is_same(page: bytes, flipped: bytes) -> bool:
    """Return whether the flipped bit is one of a compressed page's header, which says nothing."""
    if not page.startswith(b"\x1f\x8b"):
        return False
    try:
        return gzip.decompress(page) == zlib.decompressobj(wbits=31).decompress(flipped)
    except (zlib.error, EOFError):
        return False
