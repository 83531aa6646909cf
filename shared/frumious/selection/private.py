"""Private projects: names that upstream is never asked for (dependency confusion)."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from frumious.config import filters
from frumious.errors import FrumiousError

if TYPE_CHECKING:
    from packaging.utils import NormalizedName

    from frumious.config.reader import Reader

_SECTION: Final = "private"
_PATTERN: Final = re.compile(r"[a-z0-9*]+(-[a-z0-9*]+)*")
_MIN_LITERALS: Final = 3  # letters and digits of a pattern: one mistake must not hide all of PyPI


class PrivateName(FrumiousError):
    """A request to upstream that would have a private name: it is not made."""


@dataclass(slots=True)
class PrivateProjects:
    """The names that are private; all parts of a process share one object."""

    packages: tuple[str, ...] = ()  # names and patterns, normalised
    _matching: re.Pattern[str] | None = None

    def __post_init__(self) -> None:
        if self.packages:
            parts = (re.escape(each).replace(r"\*", ".*") for each in self.packages)
            self._matching = re.compile("|".join(parts))

    def __bool__(self) -> bool:
        """Return whether any project may be private."""
        return bool(self.packages)

    def has(self, project: NormalizedName) -> bool:
        """Return whether a project is private."""
        return self._matching is not None and self._matching.fullmatch(project) is not None

    def check(self, project: NormalizedName) -> None:
        """Make sure that upstream may be asked for a project.

        Raises:
            PrivateName: it must not be.
        """
        if self.has(project):
            msg = f"{project!r} is private ([private] in mirror.conf): upstream is not asked"
            raise PrivateName(msg)

    @classmethod
    def read(cls, reader: Reader) -> PrivateProjects:
        """Read the section `[private]`."""
        none: tuple[str, ...] = ()
        return cls(reader.get(_SECTION, "packages", _packages, none))


def _packages(text: str) -> tuple[str, ...]:
    """Parse names and patterns, one on each line."""
    packages = sorted({re.sub(r"[-_.]+", "-", line).lower() for line in filters.lines(text)})
    for each in packages:
        literals = len(re.sub(r"[-*]", "", each))
        if not _PATTERN.fullmatch(each) or ("*" in each and literals < _MIN_LITERALS):
            msg = (
                f"{each!r:.120} is not a project's name, or a pattern such as acme-* with at least"
                f" {_MIN_LITERALS} letters or digits"
            )
            raise ValueError(msg)
    return tuple(packages)
