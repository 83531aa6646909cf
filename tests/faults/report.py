"""Print what a trial found."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections import Counter
    from collections.abc import Mapping, Sized

_PARTICULARS = re.compile(  # of an error's text
    r"https?://\S+|'[^']*'|[0-9a-f]{12,}|(?<= is not JSON: ).*|\b\d\b"
)


def shape(text: str) -> str:
    """Return an error's text with its particulars masked."""
    return re.sub(r"serial \d+, and \d+", "serial _, and _", _PARTICULARS.sub("_", text))[:100]


def show(
    counts: Mapping[str, Counter[str]],
    figures: Mapping[str, float],
    *,
    never_named: Sized,
    violations: Sized,
    seed: int,
) -> None:
    """Print a report: counts by title, then the figures."""
    for title, counted in counts.items():
        print(f"\n{title}")
        for name, count in sorted(counted.items(), key=lambda entry: (-entry[1], entry[0])):
            print(f"  {count:8}  {name}")
    print()
    for name, figure in figures.items():
        print(f"{figure:10}  {name}")
    print(f"{len(never_named):10}  files left over that no page ever named")
    print(f"{len(violations):10}  violations (seed {seed})")
