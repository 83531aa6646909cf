"""Upstream's content: some 300 projects of all kinds, and their changes.

Names the projects that the tests check.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from tests.upstream import sdist, wheel

if TYPE_CHECKING:
    from collections.abc import Sequence

    from tests.upstream import Index

EMPTY: Final = ("empty-0", "empty-1", "empty-2")  # without files
QUARANTINED: Final = "quarantined-before"
WITH_PROVENANCE: Final = ("attested-0", "attested-1")

# Changed by `change`.
REMOVED: Final = ("removed-0", "removed-1")
QUARANTINED_LATER: Final = "quarantined-later"
REPLACED: Final = "replaced"  # all its files are removed, and others are uploaded

PLATFORMS: Final = (
    "platforms-1.0.tar.gz",
    "platforms-1.0-py2.py3-none-any.whl",
    "platforms-1.0-cp38-abi3-manylinux2014_x86_64.whl",
    "platforms-1.0-cp38-cp38-macosx_11_0_arm64.macosx_10_9_x86_64.whl",
    "platforms-1.0-cp38-cp38-win_amd64.whl",
    "platforms-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl",
    "platforms-1.0-cp312-cp312-musllinux_1_2_aarch64.whl",
    "platforms-1.0-py2.7.egg",
    "platforms-1.0-py2.7-linux-x86_64.egg",
    "platforms-1.0.win32-py2.7.exe",
    "platforms-1.0.win-amd64.msi",
    "platforms-1.0-1.noarch.rpm",
    "platforms-1.0.dmg",
)

_ORDINARY: Final = 240


def fill(index: Index) -> None:
    """Upload the initial projects."""
    for number in range(_ORDINARY):
        name = f"ordinary-{number}"
        index.upload(wheel(name, "1.0", requires_python=">=3.8" if number % 2 else None))
        if number % 3 == 0:
            index.upload(sdist(name, "1.0"))
    for number in range(20):
        _release(index, f"Many.Releases_{number}", ("1.0", "1.1", "2.0rc1", "2.0"))
    for number in range(10):
        _release(index, f"Not_Normalised.{number}", ("1.0",))
    for number in range(6):
        name = f"yanked-{number}"
        _release(index, name, ("1.0", "2.0", "3.0"))
        index.yank(name, "1.0")
        index.yank(name, "2.0", "it is <b>bad</b> & 'broken'")
    _upload_unusual(index)
    for name in WITH_PROVENANCE:
        index.upload(wheel(name, "1.0"), provenance={"version": 1})
    for name in EMPTY:
        index.add_project(name)
    for name in (*REMOVED, QUARANTINED_LATER, QUARANTINED, REPLACED):
        _release(index, name, ("1.0",))
    index.quarantine_project(QUARANTINED, "malware")
    index.add_project("the-last-one")  # so that no project of the index has its serial
    _release(index, "the-last-one", ("1.0",))


def change(index: Index) -> None:
    """Change the index as PyPI changes between two runs.

    The last change concerns a project that stays, because bandersnatch's serial is the highest of
    the projects that it mirrors.
    """
    for number in range(8):
        index.upload(wheel(f"ordinary-{number}", "1.1"))
    _release(index, "Brand.New", ("1.0", "1.1"))
    index.upload(wheel(EMPTY[0], "1.0"))
    index.yank("many-releases-0", "1.0", "too old")
    index.unyank("yanked-0", "2.0")
    index.remove_file("many-releases-1", "many_releases_1-1.0.tar.gz")
    index.remove_release("many-releases-2", "1.1")
    index.quarantine_release("many-releases-3", "1.0")
    index.remove_release(REPLACED, "1.0")
    _release(index, REPLACED, ("2.0",))
    index.clear_release_quarantine("half-quarantined", "2.0")
    for name in REMOVED:
        index.remove_project(name)
    index.quarantine_project(QUARANTINED_LATER, "malware")
    index.clear_project_quarantine(QUARANTINED)
    index.journal("ordinary-100", "add Owner somebody")


def change_more(index: Index) -> None:
    """Make a few more changes, the last one also to a project that stays."""
    index.remove_project("ordinary-2")
    index.upload(wheel("ordinary-1", "1.2"))
    index.yank("brand-new", "1.0")
    index.upload(wheel("newer-still", "1.0"))


def _upload_unusual(index: Index) -> None:
    """Upload projects that are difficult for other programs."""
    _release(index, "half-quarantined", ("1.0", "2.0", "3.0"))
    index.quarantine_release("half-quarantined", "2.0")
    index.add_file("odd", "odd-1.0+local.1.tar.gz", size=50_000)
    index.add_file("odd", "odd 2.0 (final).zip", version="2.0", size=100)
    index.add_file("odd", "odd-2004d.tar.gz", version="2004d", size=100)
    index.upload(wheel("odd", "3.0", requires_python='>=3.8,<4,!="3.9"'))
    index.add_file("odd", "odd-4.0-py3-none-any.whl", size=100)  # no core metadata
    for filename in PLATFORMS:
        index.add_file("platforms", filename, version="1.0", size=100)
    index.add_file("large", "large-1.0.tar.gz", size=9_000_000)
    _release(index, "archived", ("1.0",))
    index.archive("archived", "it is done")
    _release(index, "half-removed", ("1.0", "2.0"))
    index.remove_release("half-removed", "1.0")


def _release(index: Index, name: str, versions: Sequence[str]) -> None:
    for version in versions:
        index.upload(wheel(name, version, requires_python=">=3.8,<4"))
        index.upload(sdist(name, version))
