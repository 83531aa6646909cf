"""The severity that a CVSS vector stands for.

Base scores of versions 3.0 and 3.1 are computed. Version 4 has no formula but a table of 270
scores, and every entry of OSV's with such a vector comes from a database that has a word as well.
"""

from __future__ import annotations

import math
from typing import Final

from frumious.model.advisories import Severity

# "Metric Values" and "CVSS v3.1 Equations" in the specification of CVSS 3.1, section 7.
_ATTACK_VECTOR: Final = {"N": 0.85, "A": 0.62, "L": 0.55, "P": 0.2}
_COMPLEXITY: Final = {"L": 0.77, "H": 0.44}
_PRIVILEGES: Final = {"U": {"N": 0.85, "L": 0.62, "H": 0.27}, "C": {"N": 0.85, "L": 0.68, "H": 0.5}}
_INTERACTION: Final = {"N": 0.85, "R": 0.62}
_IMPACT: Final = {"H": 0.56, "L": 0.22, "N": 0.0}
_RATINGS: Final = (
    (9.0, Severity.CRITICAL),
    (7.0, Severity.HIGH),
    (4.0, Severity.MEDIUM),
    (0.1, Severity.LOW),
)


def severity_of_vector(vector: str) -> Severity:
    """Return the qualitative rating of a vector; UNKNOWN of one that is not of version 3."""
    score = base_score(vector)
    if score is None:
        return Severity.UNKNOWN
    return next((rating for least, rating in _RATINGS if score >= least), Severity.UNKNOWN)


def base_score(vector: str) -> float | None:
    """Return the base score of a vector of version 3; None if it is another, or not valid."""
    version, _, rest = vector.partition("/")
    if version not in {"CVSS:3.0", "CVSS:3.1"}:
        return None
    metrics = dict(part.split(":", 1) for part in rest.split("/") if ":" in part)
    try:
        scope = metrics["S"]
        exploitability = (
            8.22
            * _ATTACK_VECTOR[metrics["AV"]]
            * _COMPLEXITY[metrics["AC"]]
            * _PRIVILEGES[scope][metrics["PR"]]
            * _INTERACTION[metrics["UI"]]
        )
        kept = [1 - _IMPACT[metrics[name]] for name in "CIA"]
    except KeyError:
        return None
    base = 1 - math.prod(kept)
    impact = 6.42 * base
    if scope == "C":
        impact = 7.52 * (base - 0.029) - 3.25 * (base - 0.02) ** 15
    if impact <= 0:
        return 0.0
    total = (impact + exploitability) * (1.08 if scope == "C" else 1)
    return _round_up(min(total, 10))


def _round_up(value: float) -> float:
    """Round up to one decimal, as the specification's appendix A does it."""
    scaled = round(value * 100_000)
    return scaled / 100_000 if scaled % 10_000 == 0 else (scaled // 10_000 + 1) / 10
