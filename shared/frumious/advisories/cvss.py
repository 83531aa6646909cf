"""The severity that a CVSS vector stands for."""

from __future__ import annotations

from frumious.model.advisories import Severity

_RATINGS = {each.value: each for each in Severity}


def severity_of_vector(vector: str) -> Severity:
    """Return the qualitative rating of a vector; UNKNOWN of one that is not valid, or of none.

    Version 2 has no prefix, and rates nothing as critical.
    """
    from cvss import CVSS2, CVSS3, CVSS4, CVSSError  # noqa: PLC0415 (few entries need a vector)

    version = {"CVSS:3": CVSS3, "CVSS:4": CVSS4}.get(vector[:6], CVSS2)
    try:
        rating: str = version(vector).severities()[0]
    except CVSSError:
        return Severity.UNKNOWN
    return _RATINGS.get(rating.lower(), Severity.UNKNOWN)
