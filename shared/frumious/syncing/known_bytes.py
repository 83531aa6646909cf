"""The same bytes under the same name, always: of files, and of their core metadata. Pure."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec.structs import replace

from frumious.errors import Reason
from frumious.model import layout
from frumious.model.blobs import MirroredFile, metadata_name, same_bytes

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from packaging.utils import NormalizedName

    from frumious.config.settings import Config


def keep_known_bytes(
    project: NormalizedName,
    files: Iterable[MirroredFile],
    current: Iterable[MirroredFile],
    removed_hashes: Mapping[str, Mapping[str, str]],
    config: Config,
) -> tuple[list[MirroredFile], dict[str, str]]:
    """Keep the stored file where upstream has other bytes under its name, unless that is allowed.

    Upstream never does that by itself: users who pinned the old hash must still get it. The same
    holds for core metadata, by which installers decide what else to install.
    """
    stored = {mirrored.file.filename: mirrored for mirrored in current}
    kept: list[MirroredFile] = []
    changed: dict[str, str] = {}
    for mirrored in files:
        file = mirrored.file
        old = stored.get(file.filename)
        hashes = old.file.hashes if old is not None else removed_hashes.get(file.filename)
        may_change = config.allow_changed_files or layout.may_change(file.filename)
        if hashes is None or same_bytes(file.hashes, hashes):
            same = mirrored if old is None else mirrored.with_stored_sha256(project, old.file)
            shown = same if may_change else _with_known_metadata(project, same, old, removed_hashes)
            if config.core_metadata and shown is not same:
                changed[metadata_name(file)] = _changed(metadata_name(file))
            kept.append(shown)
        elif may_change:
            kept.append(mirrored)
        else:
            if old is not None:
                kept.append(old.showing(replace(old.file, yanked=file.yanked)))
            changed[file.filename] = _changed(file.filename)
    return kept, changed


def _with_known_metadata(
    project: NormalizedName,
    mirrored: MirroredFile,
    old: MirroredFile | None,
    removed_hashes: Mapping[str, Mapping[str, str]],
) -> MirroredFile:
    """Return a file with the core metadata that it has here if upstream's is another, or none."""
    file, stored = mirrored.file, old.file.core_metadata if old is not None else False
    known = removed_hashes.get(metadata_name(file)) if isinstance(stored, bool) else stored
    if isinstance(file.core_metadata, bool) or known is None:
        return mirrored
    if same_bytes(file.core_metadata, known):
        return mirrored
    return MirroredFile.of(project, replace(file, core_metadata=stored), mirrored.key)


def _changed(name: str) -> str:
    return Reason.FILE_CHANGED.explain(
        f"the name {name!r} has other bytes than before; allow-changed-files = true takes them"
    )
