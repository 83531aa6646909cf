"""The same filters in both programs: the same files, but for the differences named here.

docs/selection.md has the reasons of all differences.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import pytest

from tests.bandersnatch.programs import Mirrors
from tests.bandersnatch.reading import files
from tests.bandersnatch.targets import Folder

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from tests.bandersnatch.targets import Target
    from tests.bandersnatch.upstream import Upstream

pytestmark = [pytest.mark.bandersnatch, pytest.mark.timeout(900)]


@dataclass(frozen=True)
class Case:
    """Options of filters, and the files that one of the programs alone mirrors."""

    text: str
    ours: Collection[str] = ()  # that Frumious alone mirrors
    theirs: Collection[str] = ()  # that bandersnatch alone mirrors


def enabled(*plugins: str, options: str = "") -> str:
    return "[plugins]\nenabled =\n  " + "\n  ".join(plugins) + f"\n{options}"


ODD: Final = (
    "odd 2.0 (final).zip",
    "odd-1.0+local.1.tar.gz",
    "odd-2004d.tar.gz",
    "odd-3.0-py3-none-any.whl",
    "odd-4.0-py3-none-any.whl",
)
CASES: Final = {
    "allowlist": Case(
        enabled(
            "allowlist_project", options="[allowlist]\npackages =\n  ordinary-1\n  MANY.releases_1"
        )
    ),
    "allowlist of releases": Case(
        enabled(
            "allowlist_project",
            "allowlist_release",
            options="[allowlist]\npackages =\n  ordinary-1\n  many-releases-1 >= 1.1\n  odd",
        ),
        ours=["odd-2004d.tar.gz"],
    ),
    "blocklist": Case(
        enabled(
            "blocklist_project",
            "blocklist_release",
            options="[blocklist]\npackages =\n  large\n  many-releases-1 == 1.0\n  odd <= 2.0",
        )
    ),
    "requirements": Case(
        enabled(
            "project_requirements",
            "project_requirements_pinned",
            "prerelease_release",
            options="[allowlist]\nrequirements_path = {folder}\nrequirements =\n  *.txt",
        )
    ),
    "regular expressions": Case(
        enabled(
            "regex_project",
            "regex_release",
            options="[filter_regex]\npackages =\n  ordinary-[1-9]\n  large\n"
            "releases =\n  .+rc\\d$\n  2004",
        )
    ),
    "no pre-releases": Case(enabled("prerelease_release")),
    "no pre-releases of some": Case(
        enabled(
            "prerelease_release", options="[filter_prerelease]\npackages =\n  ordinary-1\n  large"
        )
    ),
    "the latest": Case(enabled("latest_release", options="[latest_release]\nkeep = 1")),
    "the latest by time": Case(
        enabled("latest_release", options="[latest_release]\nkeep = 2\nsort_by = time")
    ),
    "sizes": Case(
        enabled(
            "size_project_metadata",
            options="[size_project_metadata]\nmax_package_size = 20K\n"
            "[allowlist]\npackages = large",
        )
    ),
    "versions": Case(
        enabled(
            "versions_count_project_metadata",
            options="[versions_count_project_metadata]\nmin_versions = 2\nmax_versions = 3",
        )
    ),
    "metadata of projects": Case(
        enabled(
            "regex_project_metadata",
            options="[regex_project_metadata]\nnot-null:info.name =\n  (?i)many\n  yanked",
        )
    ),
    "metadata of files": Case(
        enabled(
            "regex_release_file_metadata",
            options="[regex_release_file_metadata]\nany:release_file.packagetype =\n"
            "  sdist\n  bdist_egg",
        )
    ),
    "versions of Python": Case(
        enabled(
            "version_range_release_file_metadata",
            options="[version_range_release_file_metadata]\n"
            "release_file.requires_python =\n  3.9\n  3.12",
        ),
        ours=ODD,  # one of its files has a version specifier that is not valid
    ),
    "platforms": Case(
        enabled("exclude_platform", options="[blocklist]\nplatforms =\n  windows\n  macos\n  py2.7")
    ),
    "one version of Python": Case(
        enabled("exclude_platform", options="[blocklist]\nplatforms =\n  py3.8"),
        ours=["platforms-1.0-cp38-abi3-manylinux2014_x86_64.whl"],
    ),
    "one platform": Case(
        enabled("exclude_platform", options="[blocklist]\nplatforms = manylinux2014_x86_64"),
        ours=["platforms-1.0-cp312-cp312-manylinux_2_17_x86_64.manylinux2014_x86_64.whl"],
    ),
}


def names(target: Target) -> frozenset[str]:
    """Return the files that a mirror stores."""
    keys = (key for key in files(target.contents()) if not key.endswith(".metadata"))
    return frozenset(key.rpartition("/")[2] for key in keys)


@pytest.mark.parametrize("name", CASES)
def test_filters_select_the_same_files(pypi: Upstream, work_folder: Path, name: str) -> None:
    case = CASES[name]
    (work_folder / "pins.txt").write_text("many-releases-1 == 2.0rc1\nyanked-0\nordinary-0 > 0\n")
    mirrors = Mirrors(pypi, work_folder, case.text.replace("{folder}", str(work_folder)))
    theirs, ours = Folder(work_folder), Folder(work_folder)

    mirrors.bandersnatch(theirs, pypi.earlier)
    mirrors.frumious(ours, pypi.earlier)

    by_bandersnatch, by_frumious = names(theirs), names(ours)
    assert by_frumious, "something is selected"
    assert by_frumious < names_of(pypi), "and something is not"
    assert sorted(by_frumious - by_bandersnatch) == sorted(case.ours)
    assert sorted(by_bandersnatch - by_frumious) == sorted(case.theirs)


def names_of(upstream: Upstream) -> frozenset[str]:
    return frozenset(key.rpartition("/")[2] for key in upstream.keys(upstream.earlier))
