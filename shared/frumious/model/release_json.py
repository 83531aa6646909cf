"""The keys of the legacy JSON of single releases (`/pypi/<project>/<version>/json`)."""

from __future__ import annotations

import re
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from packaging.version import InvalidVersion, Version

from frumious.model import layout
from frumious.model.types import Key

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.model.pages import ProjectPage

# Versions come from upstream. `json` is the key of the project's own legacy JSON.
_SEGMENT: Final = re.compile(r"(?!json$)[A-Za-z0-9][A-Za-z0-9.!+_-]{0,127}", re.IGNORECASE)


def release_keys(project: NormalizedName, version: str) -> tuple[Key, ...]:
    """Return the keys of a release's legacy JSON.

    Clients ask by the version as upstream spells it, or as PEP 440 normalises it: a static server
    does not know that both are the same.

    Raises:
        UnsafeName: the version must not be in a key.
    """
    try:
        spellings = {version: None, str(Version(version)): None}
    except InvalidVersion as error:
        msg = f"the version {version!r:.120} is not valid by PEP 440"
        raise layout.UnsafeName(msg) from error
    for spelling in spellings:
        if not _SEGMENT.fullmatch(spelling):
            msg = f"the version {spelling!r:.120} must not be in a key"
            raise layout.UnsafeName(msg)
    return tuple(Key(f"{releases_folder(project)}{each}/json") for each in spellings)


def releases_folder(project: NormalizedName) -> str:
    """Return what the keys of a project's releases begin with."""
    return f"{layout.LEGACY_PAGES}{project}/"


def is_release_key(key: str, project: NormalizedName) -> bool:
    """Return whether a key can be that of a release's legacy JSON."""
    folder = releases_folder(project)
    segment, _, last = key.removeprefix(folder).partition("/")
    return key.startswith(folder) and last == "json" and bool(_SEGMENT.fullmatch(segment))


def stored_releases(project: NormalizedName, page: ProjectPage | None) -> dict[Key, str]:
    """Return where the releases' legacy JSON is that a page of the mirror's names, and its MD5."""
    publication = page.publication if page is not None else None
    releases = publication.releases if publication is not None else None
    stored: dict[Key, str] = {}
    for version, md5 in (releases or {}).items():
        if md5:
            with suppress(layout.UnsafeName):  # nobody has stored such a one
                stored.update(dict.fromkeys(release_keys(project, version), md5))
    return stored
