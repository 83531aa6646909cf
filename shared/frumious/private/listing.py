"""Which projects the private directory has: a listing, compared with the last one. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from msgspec.structs import replace
from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    canonicalize_name,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion

from frumious.model import layout
from frumious.model.private import PrivateFile, PrivateListing, PrivateProject

if TYPE_CHECKING:
    from collections.abc import Container, Iterable

    from packaging.utils import NormalizedName
    from packaging.version import Version

    from frumious.storage.protocol import Entry

# Distributions; all other files, such as signatures and checksums, are nobody's.
_DISTRIBUTION: Final = re.compile(
    r".*\.(whl|egg|zip|exe|msi|rpm|deb|tgz|tar\.(gz|bz2|xz|Z|lzma))", re.IGNORECASE
)
_MAX_PROBLEMS: Final = 1000


def parse_filename(filename: str) -> tuple[NormalizedName, Version]:
    """Return the project and the version of a wheel or an sdist.

    Raises:
        ValueError: it is neither.
    """
    try:
        if filename.endswith(".whl"):
            name, version, _, _ = parse_wheel_filename(filename)
        else:
            name, version = parse_sdist_filename(filename)
    except (InvalidSdistFilename, InvalidVersion, InvalidWheelFilename) as error:
        msg = f"its name is not that of a wheel or of an sdist (.tar.gz, .zip): {error}"
        raise ValueError(msg) from error
    if not layout.is_project(name):
        msg = f"its name begins with {name!r:.80}, which is not a project's name"
        raise ValueError(msg)
    return name, version


def list_projects(directory: str, entries: Iterable[Entry]) -> PrivateListing:
    """Return the projects of a directory, flat or with one folder for each project."""
    projects: dict[NormalizedName, dict[str, PrivateFile]] = {}
    problems: dict[str, str] = {}
    for entry in sorted(entries, key=lambda entry: entry.key):
        path = str(entry.key)
        folder, _, _ = path.partition("/") if "/" in path else ("", "", "")
        filename = layout.filename(entry.key)
        if not _DISTRIBUTION.fullmatch(filename) or "/." in f"/{path}":
            continue
        problem = ""
        try:
            path.encode()
            project, _ = parse_filename(filename)
            if folder and canonicalize_name(folder) != project:
                problem = f"it belongs to {project!r}, and is in the folder {folder!r:.80}"
            else:
                modified = max(entry.modified or 0.0, 0.0)
                file = PrivateFile(path, entry.size, modified, entry.etag or "")
                known = projects.setdefault(project, {}).setdefault(filename, file)
                if known is not file:
                    problem = f"{known.path!r} has the same name"
        except ValueError as error:
            problem = str(error)
        if problem and len(problems) < _MAX_PROBLEMS:
            problems[ascii(path)[1:-1][:1000]] = problem[:1000]
    return PrivateListing(
        directory=directory,
        projects={name: PrivateProject(tuple(files.values())) for name, files in projects.items()},
        problems=problems,
    )


def merge(
    found: PrivateListing, stored: PrivateListing, released: Container[NormalizedName]
) -> PrivateListing:
    """Return what is found, with what earlier runs know.

    A project whose files are all gone stays private until its name is `released`: a mistake in the
    directory must not let upstream's project of that name in. A directory without any file is an
    outage: everything stays.
    """
    known = stored.projects if stored.directory == found.directory else {}
    if not found.projects and not known:
        problem = (
            "it has no wheel or sdist, so that it makes no name private; correct [private]"
            " directory if it should have some"
        )
        return replace(found, problems={**found.problems, found.directory: problem})
    if stored.directory != found.directory:
        return found
    if not found.projects and any(each.files for each in stored.projects.values()):
        problem = "it has no wheel or sdist any more: that is an outage, and all projects stay"
        return replace(stored, problems={**found.problems, found.directory: problem})
    kept = {
        name: PrivateProject(planned=each.planned)
        for name, each in stored.projects.items()
        if name not in released
    }
    projects = {
        name: replace(each, planned=kept[name].planned) if name in kept else each
        for name, each in found.projects.items()
    }
    return replace(found, projects={**kept, **projects})
