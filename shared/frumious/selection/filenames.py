"""Project and version in the names of files."""

from __future__ import annotations

from typing import TYPE_CHECKING

from packaging.utils import (
    InvalidSdistFilename,
    InvalidWheelFilename,
    parse_sdist_filename,
    parse_wheel_filename,
)
from packaging.version import InvalidVersion, Version

if TYPE_CHECKING:
    from packaging.utils import NormalizedName


def version_of(filename: str) -> Version | None:
    """Return the version in a filename; None if it is not a valid wheel or sdist name."""
    parsed = _parse_filename(filename)
    return parsed[1] if parsed is not None else None


def project_of(filename: str) -> NormalizedName | None:
    """Return the project in a filename; None if it is not a valid wheel or sdist name."""
    parsed = _parse_filename(filename)
    return parsed[0] if parsed is not None else None


def _parse_filename(filename: str) -> tuple[NormalizedName, Version] | None:
    try:
        if filename.endswith(".whl"):
            return parse_wheel_filename(filename)[:2]
        return parse_sdist_filename(filename)
    except (InvalidWheelFilename, InvalidSdistFilename, InvalidVersion):
        return None
