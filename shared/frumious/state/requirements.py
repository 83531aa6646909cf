"""What the core metadata of a project's files requires, so that a job reads only what is new."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated

from msgspec import Meta, Struct

from frumious.model import layout
from frumious.model.types import Key
from frumious.state.objects import read_or_set_aside

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.storage.protocol import Storage

Digest = Annotated[str, Meta(pattern=r"\A[0-9a-f]{32,128}\Z")]


def requirements_key(project: NormalizedName) -> Key:
    """Return the key of what the core metadata of a project's files requires."""
    return Key(f"{layout.REQUIREMENTS}{project}.json")


class Requirements(Struct, frozen=True, array_like=True):
    """The requirements of a file, as numbers of lines."""

    lines: tuple[Annotated[int, Meta(ge=0)], ...] = ()
    problem: str = ""  # why they are not known; empty: they are


class RequirementsFile(Struct, frozen=True):
    """The requirements of all files of a project, by the digest of their core metadata."""

    lines: tuple[str, ...] = ()  # without duplicates
    files: Mapping[Digest, Requirements] = {}

    def __post_init__(self) -> None:
        """Raise ValueError if a file has a line that does not exist."""
        if any(max(each.lines, default=-1) >= len(self.lines) for each in self.files.values()):
            msg = "a file has a requirement that is not in the list"
            raise ValueError(msg)

    def of(self, digest: str) -> list[str]:
        """Return the requirements of the files with a digest of their core metadata."""
        found = self.files.get(digest, Requirements())
        return [self.lines[number] for number in found.lines]


async def read_requirements(project: NormalizedName, storage: Storage) -> RequirementsFile:
    """Return what is known of a project; nothing, if it is damaged."""
    found, _ = await read_or_set_aside(requirements_key(project), RequirementsFile, storage)
    return found or RequirementsFile()
