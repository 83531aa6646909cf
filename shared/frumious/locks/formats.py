"""The formats of lock files, as far as a mirror needs them; other keys are ignored.

- `pylock.toml`: PEP 751, "pylock.toml specification" of the packaging user guide
- `uv.lock`: crates/uv-resolver/src/lock/mod.rs of astral-sh/uv; it has no other specification
- `poetry.lock`: src/poetry/packages/locker.py of python-poetry/poetry
- `pdm.lock`: "Lock file" of PDM's documentation
- `Pipfile.lock`: pipfile-spec 6 of pypa/pipfile
"""

from __future__ import annotations

from typing import Any, Final

from msgspec import UNSET, Struct, UnsetType, field

Table = dict[str, Any]

PYLOCK_VERSIONS: Final = ("1.",)
UV_VERSIONS: Final = (1,)
POETRY_VERSIONS: Final = ("1.", "2.")
PDM_VERSIONS: Final = ("4.",)
PIPFILE_VERSIONS: Final = (6,)


class PylockFile(Struct, rename="kebab"):
    """An sdist, a wheel or an archive."""

    name: str = ""
    url: str = ""
    path: str = ""
    hashes: dict[str, str] = {}


class PylockPackage(Struct, rename="kebab"):
    """A package of `pylock.toml`."""

    name: str
    version: str = ""
    index: str = ""
    vcs: Table | None = None
    directory: Table | None = None
    archive: Table | None = None
    sdist: PylockFile | None = None
    wheels: list[PylockFile] = []


class Pylock(Struct, rename="kebab"):
    """`pylock.toml`."""

    lock_version: str
    packages: list[Any]


class UvSource(Struct):
    """Where uv has a package from; only those of registries have `registry`."""

    registry: str = ""
    git: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    directory: str | UnsetType = UNSET
    editable: str | UnsetType = UNSET
    virtual: str | UnsetType = UNSET


class UvFile(Struct):
    """An sdist or a wheel; of a flat index in a folder, with a path."""

    url: str = ""
    path: str = ""
    filename: str = ""
    hash: str = ""


class UvPackage(Struct):
    """A package of `uv.lock`."""

    name: str
    version: str = ""
    source: UvSource = field(default_factory=UvSource)
    sdist: UvFile | None = None
    wheels: list[UvFile] = []


class UvLock(Struct):
    """`uv.lock`."""

    version: int
    package: list[Any] = []


class LockedFile(Struct):
    """A file of `poetry.lock` and `pdm.lock`; PDM may have its URL instead of its name."""

    file: str = ""
    url: str = ""
    hash: str = ""


class PoetrySource(Struct):
    """Where Poetry has a package from: `legacy` is an index other than PyPI."""

    type: str = ""
    url: str = ""


class PoetryPackage(Struct):
    """A package of `poetry.lock`."""

    name: str
    version: str
    source: PoetrySource | None = None
    files: list[LockedFile] = []


class PoetryMetadata(Struct, rename="kebab"):
    """The metadata of `poetry.lock`; before version 2.0 the files are here."""

    lock_version: str
    files: dict[str, list[LockedFile]] = {}


class PoetryLock(Struct):
    """`poetry.lock`."""

    metadata: PoetryMetadata
    package: list[Any] = []


class PdmPackage(Struct):
    """A package of `pdm.lock`."""

    name: str
    version: str = ""
    git: str | UnsetType = UNSET
    hg: str | UnsetType = UNSET
    svn: str | UnsetType = UNSET
    bzr: str | UnsetType = UNSET
    url: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    files: list[LockedFile] = []


class PdmMetadata(Struct):
    """The metadata of `pdm.lock`."""

    lock_version: str


class PdmLock(Struct):
    """`pdm.lock`."""

    metadata: PdmMetadata
    package: list[Any] = []


class PipfileSource(Struct):
    """An index of `Pipfile.lock`."""

    url: str
    name: str = ""


class PipfileMetadata(Struct, rename={"spec": "pipfile-spec"}):
    """The metadata of `Pipfile.lock`."""

    spec: int
    sources: list[PipfileSource] = []


class PipfilePackage(Struct):
    """A package of `Pipfile.lock`; only those of indexes have a version."""

    version: str = ""
    hashes: list[str] = []
    index: str = ""
    git: str | UnsetType = UNSET
    hg: str | UnsetType = UNSET
    svn: str | UnsetType = UNSET
    bzr: str | UnsetType = UNSET
    path: str | UnsetType = UNSET
    file: str | UnsetType = UNSET
    editable: bool = False
