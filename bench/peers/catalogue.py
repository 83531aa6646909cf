"""The projects that all peers mirror: as many small and large files as a part of PyPI has."""

from __future__ import annotations

import random
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from tests.upstream import Index

if TYPE_CHECKING:
    from collections.abc import Iterator

_MEDIAN: Final = 25_000  # bytes of a file
_SPREAD: Final = 1.7  # sigma of the logarithm
_LARGEST: Final = 40_000_000
_BYTES_OF_EACH: Final = 205_000  # on average
_METADATA: Final = b"Metadata-Version: 2.1\nName: %s\nVersion: %s\n\n" + b"text " * 500


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Some projects with releases of an sdist and a wheel each; the wheel has core metadata."""

    projects: int
    releases: int  # of all projects together

    @property
    def files(self) -> int:
        """How many files a mirror has to have, without core metadata."""
        return 2 * self.releases

    def index(self) -> Index:
        """Return an index that has them."""
        chance = random.Random(1)  # noqa: S311
        index = Index()
        counts = [1] * self.projects
        for _ in range(self.releases - self.projects):
            counts[int(self.projects * chance.random() ** 3)] += 1
        sizes = list(_sizes(chance, 2 * self.releases))
        for number, count in enumerate(counts):
            for release in range(count):
                _add_release(index, f"project-{number}", release, chance, sizes)
        return index

    def change(self, index: Index) -> None:
        """Add a release to one project in twenty."""
        chance = random.Random(2)  # noqa: S311
        for number in range(0, self.projects, 20):
            sizes = [_MEDIAN, _MEDIAN]
            _add_release(index, f"project-{number}", self.releases, chance, sizes)


def _sizes(chance: random.Random, count: int) -> Iterator[int]:
    sizes = [min(chance.lognormvariate(0, _SPREAD) * _MEDIAN, _LARGEST) for _ in range(count)]
    factor = count * _BYTES_OF_EACH / sum(sizes)
    return (int(size * factor) + 100 for size in sizes)


def _add_release(
    index: Index, project: str, number: int, chance: random.Random, sizes: list[int]
) -> None:
    version, stem = f"{number}.0", project.replace("-", "_")
    metadata = _METADATA % (project.encode(), version.encode())
    sdist, wheel = chance.randbytes(sizes.pop()), chance.randbytes(sizes.pop())
    index.add_file(project, f"{stem}-{version}.tar.gz", content=sdist)
    index.add_file(
        project,
        f"{stem}-{version}-py3-none-any.whl",
        content=wheel,
        core_metadata=metadata,
    )
