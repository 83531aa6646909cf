"""What a list pins, as its parser finds it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

import msgspec
from packaging.specifiers import InvalidSpecifier, SpecifierSet

from frumious.locks.requirements import MAX_ENTRIES
from frumious.model.lists import Pin
from frumious.redaction import redact
from frumious.simple.values import project_name

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

    from packaging.utils import NormalizedName


_MAX_VERSION: Final = 1024  # characters


class Found:
    """What a list pins of the index, and what it has from elsewhere."""

    def __init__(self, indexes: Collection[str]) -> None:
        self.left_out: list[str] = []
        self._pins: dict[NormalizedName, list[Pin]] = {}
        self._count = 0
        self._indexes = {*map(index_address, indexes)}

    @property
    def pins(self) -> dict[NormalizedName, tuple[Pin, ...]]:
        """What a list pins of each project."""
        return {project: tuple(pins) for project, pins in self._pins.items()}

    def add(self, name: str, version: str, files: Iterable[tuple[str, list[str]]]) -> None:
        """Add what a list pins of a project: a version specifier, and files with their hashes.

        Raises:
            ValueError: something is invalid, or there are too many entries.
        """
        self._add_entry()
        project = project_name(name)
        if project is None:
            msg = f"{name!r:.120} is not a project's name"
            raise ValueError(msg)
        check_version(version)
        try:
            specifier = str(SpecifierSet(version))
        except InvalidSpecifier as error:
            raise ValueError(str(error)) from error
        hashes = [(file, [each.lower() for each in hashes if each]) for file, hashes in files]
        pin = msgspec.convert((specifier, hashes), Pin)
        self._pins.setdefault(project, []).append(pin)

    def leave_out(self, name: str, why: str) -> None:
        """Add something that does not come from the index.

        Raises:
            ValueError: there are too many entries.
        """
        self._add_entry()
        self.left_out.append(redact(f"{name:.240}: {why:.500}"))

    def is_from_index(self, url: str) -> bool:
        """Return whether an address is one of the index's."""
        return index_address(url) in self._indexes

    def _add_entry(self) -> None:
        self._count += 1
        if self._count > MAX_ENTRIES:
            msg = f"it has more than {MAX_ENTRIES:,} entries"
            raise ValueError(msg)


def check_version(text: str) -> None:
    """Check that a version, or a specifier, is not absurdly long.

    Raises:
        ValueError: it is.
    """
    if len(text) > _MAX_VERSION:
        msg = f"the version {text!r:.80} is longer than {_MAX_VERSION} characters"
        raise ValueError(msg)


def index_address(url: str) -> tuple[str, int | None, str]:
    """Return what identifies an index: not its scheme, its login, nor the end of its path."""
    parts = urlsplit(url)
    port = parts.port if parts.port not in {80, 443} else None
    path = parts.path.rstrip("/").removesuffix("/simple").rstrip("/")
    return (parts.hostname or "").lower(), port, path
